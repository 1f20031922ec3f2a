"""The same rows that OTLP ingest would store, prebuilt as COPY buffers, and the CPU cost of making them by stage."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import django

from bench.traffic import Template

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "analytics_hub.settings")
django.setup()

import psycopg  # noqa: E402

from apps.ingest.otlp import decode  # noqa: E402
from apps.ingest.service import normalise_all, price_rows, rules_for  # noqa: E402
from apps.traces import encode, writer  # noqa: E402
from apps.traces.columns import SpanRow  # noqa: E402

COPY_SPAN = f"COPY span ({', '.join(encode.SPAN_NAMES)}) FROM STDIN (FORMAT binary)"
COPY_CONTENT = f"COPY span_content ({', '.join(encode.CONTENT_NAMES)}) FROM STDIN (FORMAT binary)"
SPANS = 100
POSTGRES_EPOCH_US = 946_684_800_000_000


@dataclass
class Batch:
    """A transaction's buffers and where the trace ids and start times stand in them."""

    buffers: tuple[bytes, bytes]
    traces: list[list[tuple[int, int]]]
    times: list[tuple[int, int, int]]
    made_us: int

    def stamp(self, rng: random.Random, *, age_us: int = 10_000_000) -> tuple[bytes, bytes]:
        """Copies with new trace ids whose spans begin ten seconds ago, as the OTLP client's do."""
        data = (bytearray(self.buffers[0]), bytearray(self.buffers[1]))
        for places in self.traces:
            fresh = rng.randbytes(16).hex().encode()
            for buffer, place in places:
                data[buffer][place : place + 32] = fresh
        base = time.time_ns() // 1000 - age_us - POSTGRES_EPOCH_US
        for buffer, place, shift in self.times:
            data[buffer][place : place + 8] = (base + shift).to_bytes(8, "big", signed=True)
        return bytes(data[0]), bytes(data[1])


def project(number: int) -> SimpleNamespace:
    """The settings of a project with the defaults of a new one."""
    return SimpleNamespace(id=number, store_content=True, redact_patterns=(), redact_custom=(), raw_retention_days=90)


def _rows(project_id: int, body: bytes) -> list[SpanRow]:
    rows, dropped = normalise_all(decode(body), rules_for(project(project_id)))
    price_rows(rows)
    if dropped:
        raise SystemExit(f"the bench's own spans were refused: {dropped[0][1]}")
    return rows


def _batch(encoder: encode.CopyEncoder, rows: list[SpanRow]) -> Batch:
    items = writer.distinct(rows)
    with_content = [item for item in items if item[1].has_content]
    buffers = (encoder.spans(items), encoder.contents(with_content) if with_content else b"")
    traces: dict[str, list[tuple[int, int]]] = {}
    times: list[tuple[int, int, int]] = []
    made_us = min(key[2] for key, _ in items)
    for number, chosen in enumerate((items, with_content)):
        position = 0
        for (trace_id, _span, start_us, _project), _row in chosen:
            position = buffers[number].index(trace_id.encode(), position)
            traces.setdefault(trace_id, []).append((number, position))
            stamp = (start_us - POSTGRES_EPOCH_US).to_bytes(8, "big", signed=True)
            position = buffers[number].index(stamp, position)
            times.append((number, position, start_us - made_us))
    return Batch(buffers, list(traces.values()), times, made_us)


def batches(database_url: str, project_id: int, *, content: int, count: int = 8) -> list[Batch]:
    """`count` prebuilt transactions of 100 rows."""
    with psycopg.connect(database_url) as connection:
        encoder = encode.CopyEncoder(connection)
        return [
            _batch(
                encoder,
                _rows(
                    project_id, Template(random.Random(seed), spans=SPANS, content=content).stamp(random.Random(seed))
                ),
            )
            for seed in range(count)
        ]


def _micros(work: Callable[[], object], times: int) -> float:
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times / SPANS * 1e6


def stages(database_url: str, *, content: int, times: int = 150) -> dict[str, float]:
    """CPU microseconds a span of each stage of ingest, in this process and one after another."""
    body = Template(random.Random(1), spans=SPANS, content=content).stamp(random.Random(2))
    rules = rules_for(project(1))
    rows = _rows(1, body)
    with psycopg.connect(database_url) as connection:

        def write() -> None:
            encoder = encode.CopyEncoder(connection)
            items = writer.distinct(rows)
            encoder.spans(items)
            encoder.contents([item for item in items if item[1].has_content])
            writer.marks_sql(writer.mark_ranges(key for key, _ in items))

        decoded = _micros(lambda: decode(body), times)
        # Normalising changes what it is given, so each round decodes anew and the decoding is taken off.
        both = _micros(lambda: normalise_all(decode(body), rules), times)
        return {
            "decode": decoded,
            "normalise": both - decoded,
            "price": _micros(lambda: price_rows(rows), times),
            "write (encode)": _micros(write, times),
        }
