"""A program instrumented by hand with the OpenTelemetry SDK; where its spans go is in the environment alone."""

from __future__ import annotations

import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("by-hand")
with (
    tracer.start_as_current_span("invoke_agent support", attributes={"gen_ai.operation.name": "invoke_agent"}),
    tracer.start_as_current_span("chat gpt-4o") as span,
):
    span.set_attributes(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 1_200,
            "gen_ai.usage.cache_read.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 340,
            "gen_ai.response.time_to_first_chunk": 0.05,
            "gen_ai.conversation.id": "session-1",
            "user.id": "ada",
        }
    )
    time.sleep(0.01)
provider.shutdown()
