"""Sends the story with the OpenTelemetry SDK and its OTLP/HTTP exporter, as an instrumented application would."""

from __future__ import annotations

import json
import random
import urllib.request
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
SCORES = 1000  # as many as the API takes at once


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
        self._url, self._api_key = url, api_key
        self._resolved: list[dict[str, object]] = []
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
            self._record(self._tracer(trace), trace.root, _nanoseconds(trace.start), None, trace.relevance)
            if trace.resolved is not None:
                self._resolved.append(_verdict(trace))
            if len(self._outbox.spans) >= BATCH:
                sent += self._flush()
        sent += self._flush()
        self._send_scores()
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

    def _record(
        self, tracer: Tracer, step: Step, origin: int, parent: Context | None, relevance: float | None = None
    ) -> None:
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
        if relevance is not None:
            evaluated: dict[str, str | float] = {
                "gen_ai.evaluation.name": "relevance",
                "gen_ai.evaluation.score.value": relevance,
            }
            span.add_event("gen_ai.evaluation.result", evaluated, timestamp=end)
        span.end(end)

    def _send_scores(self) -> None:
        """What users said, as an application would report it: over the REST API."""
        while self._resolved:
            body, self._resolved = self._resolved[:SCORES], self._resolved[SCORES:]
            request = urllib.request.Request(  # noqa: S310  (the hub's own address)
                f"{self._url}/api/v1/scores",
                json.dumps({"scores": body}).encode(),
                {"Authorization": f"Bearer {self._api_key}", "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    answer.read()
            except OSError as error:
                raise SendError("the hub did not take the demo's scores; its log says why") from error

    def _flush(self) -> int:
        spans, self._outbox.spans = self._outbox.spans, []
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise SendError("the hub did not take the demo's spans; its log says why")
        self._progress(len(spans))
        return len(spans)


def _verdict(trace: Trace) -> dict[str, object]:
    return {
        "id": f"resolved-{trace.session}",
        "session_id": trace.session,
        "name": "resolved",
        "value": trace.resolved,
        "source": "human",
        "timestamp": trace.end.isoformat(),
    }


def _nanoseconds(moment: datetime) -> int:
    """Exact, since a float of seconds cannot hold microseconds of today's dates reliably."""
    return (int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond) * 1000
