"""A program instrumented by OpenInference; where its spans go is in the environment alone."""

from __future__ import annotations

from calls import make_calls  # type: ignore[import-not-found]
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
OpenAIInstrumentor().instrument(tracer_provider=provider)
with using_attributes(session_id="session-1", user_id="ada", tags=["x", "team:search"]):
    make_calls()
provider.shutdown()
