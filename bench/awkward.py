"""Spans that are hard to export: texts that break formats, numbers at their edges, cells of a megabyte.

Traces of one span and of three, whose root alone says user, session, environment, team and tags. The same seed gives
the same spans.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg

from apps.traces.columns import SpanRow

TEXTS = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "|x", "\t=1", "\r", "\n", "\r\n", " =1", "\uff1d1", "'", "''", "'=1", "it's"),
    *('"', '""', ",", ";", '","', "\\.", "\\N", "\\", "NULL", "null", "NaN", "N/A", " ", "  x  ", "\u00a0", "-0"),
    *("\U0001f9ee", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u200f\u05d0", "\u202egpj.exe", "\u2028", "\u2029"),
    *("\x01", "\x08", "\x0b", "\x1f", "\x7f", "\x85", "\ufffe", "\uffff", "\U0001fffe", "\ufeff", "\ufffd", "e\u0301"),
    *("_x000D_", "_x0041_x0042_", "__x0041_", "_x005F_", "_X0041_", "<r><t>x</t></r>", "<r></r>", "</row>", "<row>"),
    *("&amp;", "<b>", "]]>", "<!--", "1", "1.0", "007", "1e5", "true", "2026-01-01", "http://x.example", "#REF!"),
    *('=HYPERLINK("http://x.example")', "=cmd|' /C calc'!A0", "\uff20x", "\u3000=1", "\ufeff+1", "\u200b-1"),
]
NUMBERS = [0, 1, -1, 2**53, 2**53 + 1, 10**15 - 1, 123456789012345678, 0.1, 1e-300, 1.7976931348623157e308, 1 / 3]
LONG = 1_000_000
LONG_EVERY = 25_000


class Maker:
    """Makes spans one after another."""

    def __init__(self, project_id: int, start: datetime, seconds: float, count: int, seed: int = 7) -> None:
        self._project = project_id
        self._start_us = int(start.timestamp()) * 1_000_000
        self._step_us = max(1, int(seconds * 1_000_000 / max(1, count)))
        self._count = count
        self._rng = random.Random(seed)

    def rows(self) -> Iterator[SpanRow]:
        """All of them, in the order of their starts."""
        number = 0
        while number < self._count:
            trace = f"{self._rng.getrandbits(128):032x}"
            root = self._span(number, trace, None)
            yield root
            number += 1
            for _ in range(min(2, self._count - number) if self._rng.random() < 0.25 else 0):
                yield self._span(number, trace, root.span_id)
                number += 1

    def _text(self, more: int = 3) -> str:
        """One or a few awkward things in a row, sometimes about ordinary words."""
        rng = self._rng
        parts = rng.choices(TEXTS, k=rng.randint(1, more))
        if rng.random() < 0.3:
            parts.insert(rng.randint(0, len(parts)), f"word {rng.randrange(1000)}")
        return "".join(parts)

    def _maybe(self, value: Any, chance: float = 0.7) -> Any:
        return value if self._rng.random() < chance else None

    def _json(self) -> bytes:
        rng = self._rng
        inner = {self._text(): rng.choice(NUMBERS), "text": self._text(6), "list": [self._text(), None, True]}
        return json.dumps(inner, ensure_ascii=rng.random() < 0.5).encode()

    def _span(self, number: int, trace: str, parent: str | None) -> SpanRow:
        rng = self._rng
        row = SpanRow(
            project_id=self._project,
            trace_id=trace,
            span_id=f"{number:016x}",
            start_us=self._start_us + number * self._step_us + rng.randrange(self._step_us),
            duration_us=rng.choice([0, 1, 999, rng.randrange(10**7), rng.randrange(10**10)]),
            parent_span_id=parent,
            name=self._maybe(self._text(), 0.95) or "",
            kind=rng.choice(["llm", "chain", "tool", "embedding"]),
            status=rng.choice(["ok", "error", "unset"]),
            provider=self._maybe(rng.choice(["openai", "anthropic", "=x"])),
            model=self._maybe(rng.choice(["gpt-4o", "-model", '"quoted", model'])),
            request_model=self._maybe(self._text(), 0.2),
            error_type=self._maybe(self._text(), 0.2),
            error_message=self._maybe(self._text(8), 0.3),
            ttft_us=self._maybe(rng.randrange(10**9), 0.3),
            unpriced_reason=self._maybe("", 0.1),
            price_version_id=self._maybe(self._text(), 0.1),
            usage=self._maybe(b'{"audio_input": 9007199254740993, "cache_write_5m": 1}', 0.1),
            labels=self._maybe(self._json(), 0.2),
            flags=rng.choice([0, 0, 0, 4, 16 + 32, 1023]),
            content_hash=number,
        )
        row.billable = row.kind in ("llm", "embedding")
        self._usage(row, number)
        if parent is None:
            self._dimensions(row)
        self._content(row, number)
        return row

    def _usage(self, row: SpanRow, number: int) -> None:
        rng = self._rng
        if rng.random() < 0.7:
            row.prompt_tokens, row.completion_tokens = rng.randrange(10**5), rng.randrange(10**4)
            row.total_tokens = row.prompt_tokens + row.completion_tokens
            row.cached_tokens, row.reasoning_tokens = self._maybe(rng.randrange(100)), self._maybe(0, 0.1)
        if rng.random() < 0.7:
            # From a trillionth of a dollar to a hundred thousand dollars, all digits used.
            most = 10**17 if number % 100_000 == 0 else 10 ** rng.randint(1, 13)
            row.prompt_cost, row.completion_cost = rng.randrange(most), rng.choice([0, rng.randrange(most)])
            row.total_cost = row.computed_cost = row.prompt_cost + row.completion_cost
            row.cost_source = "computed"

    def _dimensions(self, row: SpanRow) -> None:
        rng = self._rng
        row.user_id = self._maybe(f"{rng.choice(TEXTS)}{rng.randrange(500)}")
        row.session_id = self._maybe(f"{rng.choice(TEXTS)}s{rng.randrange(5000)}")
        row.environment = self._maybe(rng.choice(["production", "@staging", "+dev"]))
        row.team = self._maybe(rng.choice(["search", "'quoted'", "-team"]))
        row.tags = [self._text() for _ in range(rng.randint(1, 4))] if rng.random() < 0.4 else None

    def _content(self, row: SpanRow, number: int) -> None:
        rng = self._rng
        if rng.random() < 0.5:
            row.input = self._maybe(self._text(20), 0.9)
            row.output = self._maybe("" if rng.random() < 0.2 else self._text())
            row.attributes, row.events = self._maybe(self._json()), self._maybe(b"[" + self._json() + b"]", 0.2)
        if number % LONG_EVERY == 7:
            row.output = (self._text(20) * LONG)[:LONG]


def load_awkward(dsn: str, *, project_id: int, spans: int, end: datetime, days: float) -> datetime:
    """COPY them in, mark their range for the refresh, and say where it begins."""
    from apps.traces import encode, writer  # after Django's settings

    start = end.astimezone(UTC) - timedelta(days=days)
    maker = Maker(project_id, start, days * 86_400, spans)
    with psycopg.connect(dsn) as connection:
        encoder = encode.CopyEncoder(connection)
        rows = maker.rows()
        while held := list(islice(rows, 10_000)):
            items = writer.distinct(held)
            with_content = [item for item in items if item[1].has_content]
            for table, names, data in (
                ("span", encode.SPAN_NAMES, encoder.spans(items)),
                ("span_content", encode.CONTENT_NAMES, encoder.contents(with_content)),
            ):
                sql = f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
                with connection.cursor().copy(sql.encode()) as copy:
                    copy.write(data)
            connection.commit()
        connection.execute(
            "INSERT INTO span_mark (project_id, lo, hi) VALUES (%s, %s, %s)",
            [project_id, start - timedelta(minutes=1), end + timedelta(minutes=1)],
        )
    return start
