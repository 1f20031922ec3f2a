"""Sends the story with the OpenTelemetry SDK and its OTLP/HTTP exporter, as an instrumented application would."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

from analytics_hub.demo.story import Step, Trace

BATCH = 1000


class SendError(Exception):
    """The hub did not take the spans."""


class _RepeatableIds(IdGenerator):
    """Ids from the trace's seed: a trace that is sent twice is the same trace."""

    def __init__(self) -> None:
        self.rng = random.Random(0)

    def generate_trace_id(self) -> int:
        return self.rng.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self.rng.getrandbits(64) or 1


class _Outbox(SpanProcessor):
    """Gathers finished spans. The SDK's own batch processor drops spans when it is fed faster than it sends."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Sender:
    """Turns traces into the SDK's spans and exports them in batches, each acknowledged before the next."""

    def __init__(self, url: str, api_key: str, progress: Callable[[int], object]) -> None:
        self._exporter = OTLPSpanExporter(
            endpoint=f"{url}/v1/traces",
            headers={"Authorization": f"Bearer {api_key}"},
            compression=Compression.Gzip,
            timeout=60,
        )
        self._ids = _RepeatableIds()
        self._outbox = _Outbox()
        self._progress = progress
        self._tracers: dict[tuple[str, str, str], Tracer] = {}

    def send(self, traces: Iterable[Trace]) -> int:
        """Send all traces; how many spans that were.

        Raises:
            SendError: the hub refused a batch, or could not be reached.
        """
        sent = 0
        for trace in traces:
            self._ids.rng = random.Random(trace.seed)
            self._record(self._tracer(trace), trace.root, _nanoseconds(trace.start), None)
            if len(self._outbox.spans) >= BATCH:
                sent += self._flush()
        sent += self._flush()
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        return sent

    def _tracer(self, trace: Trace) -> Tracer:
        key = (trace.application.service, trace.environment, trace.release)
        if key not in self._tracers:
            names = ("service.name", "deployment.environment.name", "service.version")
            provider = TracerProvider(
                resource=Resource(dict(zip(names, key, strict=True))), id_generator=self._ids, shutdown_on_exit=False
            )
            provider.add_span_processor(self._outbox)
            self._tracers[key] = provider.get_tracer("analytics-hub-demo")
        return self._tracers[key]

    def _record(self, tracer: Tracer, step: Step, origin: int, parent: Context | None) -> None:
        start, end = origin + step.start * 1000, origin + step.end * 1000
        # An empty context, not None: None would mean whatever span is current here.
        span = tracer.start_span(step.name, parent or Context(), attributes=step.attributes, start_time=start)
        for child in step.children:
            self._record(tracer, child, origin, set_span_in_context(span, Context()))
        if step.failure is not None:
            named = {"exception.type": step.failure.kind, "exception.message": step.failure.message}
            span.set_attribute("error.type", step.failure.kind)
            span.add_event("exception", named, timestamp=end)
            span.set_status(Status(StatusCode.ERROR, step.failure.message))
        span.end(end)

    def _flush(self) -> int:
        spans, self._outbox.spans = self._outbox.spans, []
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise SendError("the hub did not take the demo's spans; its log says why")
        self._progress(len(spans))
        return len(spans)


def _nanoseconds(moment: datetime) -> int:
    """Exact, since a float of seconds cannot hold microseconds of today's dates reliably."""
    return (int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond) * 1000
