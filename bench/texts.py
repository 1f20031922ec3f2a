"""Content and scores for the spans that bench.load made: texts of made-up words, and verdicts on traces and sessions.

Words follow a Zipf-like distribution over a vocabulary of 20,000, so that a search has frequent words, rare words and
words that occur once. The same seed gives the same texts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import md5
from itertools import accumulate, product

import psycopg
from tqdm import tqdm

VOCABULARY = 20_000
PER_TRACE = 5  # spans of a trace, as bench.load makes them
_CONTENT = "COPY span_content (project_id, trace_id, span_id, start_time, input, output, attributes) FROM STDIN"
_STEP = 100_000


def vocabulary() -> list[str]:
    """Made-up words, most frequent first."""
    syllables = [a + b for a, b in product("bdfgklmnprstvz", "aeiou")]
    words = [a + b + c for a, b, c in product(syllables, syllables, ("", "l", "n", "r", "s"))]
    random.Random(11).shuffle(words)
    return words[:VOCABULARY]


def rare_word(number: int) -> str:
    """A word that occurs in one text alone: that of this trace."""
    return f"ticket{number}"


def _texts(rng: random.Random, words: list[str], weights: list[float]) -> tuple[str, str]:
    asked = rng.choices(words, cum_weights=weights, k=rng.randint(20, 60))
    said = rng.choices(words, cum_weights=weights, k=rng.randint(10, 50))
    return " ".join(asked), " ".join(said)


def _rows(
    project_id: int, traces: range, total: int, start: datetime, seconds: float, seed: int
) -> Iterator[tuple[object, ...]]:
    words = vocabulary()
    weights = list(accumulate(1 / (rank + 2) for rank in range(len(words))))
    rng = random.Random(f"{seed}-{traces.start}")
    for trace in traces:
        place = 1 + trace % 3
        number = trace * PER_TRACE + place
        moment = int(trace / total * seconds * 1000) / 1000 + place * 0.05
        asked, said = _texts(rng, words, weights)
        yield (
            project_id,
            md5(f"{trace}-{seed}".encode(), usedforsecurity=False).hexdigest(),
            md5(f"{number}-{seed}-s".encode(), usedforsecurity=False).hexdigest()[:16],
            start + timedelta(seconds=moment),
            f"{asked} {rare_word(trace)}",
            said,
            _attributes(trace),
        )


def _attributes(trace: int) -> str:
    tier = ("free", "pro", "enterprise")[trace % 3]
    return f'{{"span": {{"customer.tier": "{tier}", "customer.id": "c{trace % 50_000}"}}}}'


def load_content(dsn: str, *, project_id: int, spans: int, start: datetime, days: float, seed: int = 7) -> int:
    """Give one LLM span of every trace its content; returns how many."""
    total = max(1, spans // PER_TRACE)
    with psycopg.connect(dsn) as connection:
        for low in tqdm(range(0, total, _STEP), desc="content", unit=f"x{_STEP}", disable=None):
            traces = range(low, min(low + _STEP, total))
            with connection.cursor().copy(_CONTENT) as copy:
                for row in _rows(project_id, traces, total, start, days * 86400, seed):
                    copy.write_row(row)
            connection.commit()
        # As the writer does with each batch: the index of words reads what is marked.
        connection.execute(
            "INSERT INTO text_mark (project_id, lo, hi, at, spans)"
            " SELECT %s, d, d + interval '15 minutes', NULL, %s FROM generate_series(%s, %s, interval '15 minutes') d",
            [
                project_id,
                max(1, round(spans / days / 96)),
                start.replace(minute=0, second=0, microsecond=0),
                start + timedelta(days=days),
            ],
        )
    return total


def load_scores(dsn: str, *, project_id: int) -> None:
    """A score `relevance` on every twentieth trace, `resolved` on every fifth session."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO score (project_id, id, name, data_type, value, trace_id, source, timestamp)"
            " SELECT project_id, 'r-' || trace_id, 'relevance', 'numeric', hashtext(trace_id) %% 1000 / 1000.0,"
            " trace_id, 'evaluator', first_start FROM trace WHERE project_id = %s AND hashtext(trace_id) %% 20 = 0",
            [project_id],
        )
        connection.execute(
            "INSERT INTO score (project_id, id, name, data_type, value, session_id, source, timestamp)"
            " SELECT project_id, 's-' || session_id, 'resolved', 'boolean', (hashtext(session_id) %% 3 <> 0)::int,"
            " session_id, 'human', min(first_start) FROM trace"
            " WHERE project_id = %s AND hashtext(session_id) %% 5 = 0 GROUP BY project_id, session_id",
            [project_id],
        )
