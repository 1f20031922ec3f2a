"""The index of words: every content row is in it, or a mark says that it may not be."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from apps.traces import schema, writer
from apps.traces.search import index
from apps.traces.search.candidates import find
from apps.traces.search.index import index_texts
from tests.support.spans import T0, T0_US, span_row

pytestmark = pytest.mark.usefixtures("committed_spans")


def _rows(sql: str, parameters: Any = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [row[0] for row in cursor.fetchall()]


def _found(word: str) -> list[str]:
    return sorted(_rows("SELECT span_id FROM span_text WHERE words @@ plainto_tsquery('simple', %s)", [word]))


def _marks() -> int:
    return int(_rows("SELECT count(*) FROM text_mark")[0])


def test_a_batch_is_marked_and_then_found_by_its_words() -> None:
    writer.write([span_row(span_id="a", input="Where is my parcel?"), span_row(span_id="b", output="On its way.")])
    assert (_marks(), _found("parcel")) == (1, [])
    done = index_texts()
    assert (done.marks, done.rows, done.more, _marks()) == (1, 2, False, 0)
    assert (_found("PARCEL"), _found("way"), _found("parcel way")) == (["a"], ["b"], [])


@pytest.mark.parametrize("cap", [1, 2, 3, 4, 5])
def test_candidates_are_all_or_none(cap: int) -> None:
    """Also where the content rows that are too many are all of one trace."""
    one = [span_row(trace_id="one", span_id=f"{n}", start_us=T0_US + n, input="parcel") for n in range(3)]
    writer.write([*one, span_row(trace_id="two", span_id="a", start_us=T0_US + 9, input="parcel")])
    index_texts()
    edges = (T0 - timedelta(hours=1), T0 + timedelta(hours=1))
    with connection.cursor() as cursor:
        found = find(cursor, [one[0].project_id], "'parcel'::tsquery", {}, *edges, cap)
    assert (None if found is None else sorted(found)) == (["one", "two"] if cap >= 4 else None)


def test_a_span_without_content_leaves_no_mark() -> None:
    writer.write([span_row()])
    assert _marks() == 0


def test_what_is_sent_again_replaces_its_words_and_goes_with_its_content() -> None:
    first = {"trace_id": "t", "span_id": "a", "attribute_count": 1}
    writer.write([span_row(**first, input="apples")])
    index_texts()
    writer.write([span_row(**{**first, "attribute_count": 2}, input="pears")])
    assert _found("apples") == ["a"]
    index_texts()
    assert (_found("apples"), _found("pears")) == ([], ["a"])
    writer.write([span_row(**{**first, "attribute_count": 3})])
    index_texts()
    assert _rows("SELECT span_id FROM span_text") == []


def test_a_pass_reads_the_batch_alone_and_leaves_its_minute_be(monkeypatch: pytest.MonkeyPatch) -> None:
    writer.write([span_row(span_id="a", input="one")])
    monkeypatch.setattr(index, "SPANS_A_PASS", 1)
    writer.write([span_row(span_id="b", input="two"), span_row(span_id="c", input="three")])
    first = index_texts(limit=timedelta(0))
    assert (first.marks, first.more) == (0, True)
    done = index_texts()
    # Had a pass read the minute and not its batch, rows would have been written twice.
    assert (done.marks, done.rows, _marks()) == (2, 3, 0)


def test_a_mark_without_a_time_means_everything_in_its_range() -> None:
    writer.write([span_row(span_id="a", input="one"), span_row(span_id="b", input="two")])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM text_mark")
        cursor.execute(
            "INSERT INTO text_mark (project_id, lo, hi, at, spans) VALUES (1, %s, %s, NULL, 10)",
            [T0 - timedelta(hours=1), T0 + timedelta(hours=1)],
        )
    index_texts()
    assert sorted(_rows("SELECT span_id FROM span_text")) == ["a", "b"]


def test_a_day_that_nobody_prepared_is_made() -> None:
    day = (T0 - timedelta(days=10)).date()
    if schema.partition_name("span_text", day) not in _rows("SELECT relname::text FROM pg_class"):
        pytest.skip("the tier makes its days by itself")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {schema.partition_name('span_text', day)}")
    writer.write([span_row(span_id="a", start_us=T0_US - 10 * 86_400_000_000, input="late")])
    index_texts()
    assert _found("late") == ["a"]


def test_attributes_and_the_project_are_in_it() -> None:
    attributes = {"span": {"tier": "gold", "n": 5.50, "none": None, "list": [1, 2]}, "resource": {"host": "web-1"}}
    writer.write([span_row(span_id="a", attributes=json.dumps(attributes).encode())])
    index_texts()
    (words,) = _rows("SELECT words::text FROM span_text")
    assert words.count("'=") == 4
    assert "'#1'" in words
    same = "SELECT '=' || to_hex(hashtextextended('n=5.5', 0)) = ANY(tsvector_to_array(words)) FROM span_text"
    assert _rows(same) == [True]


WORST = [
    "word " * 400_000,
    "".join(chr(0x4E00 + n % 20_000) + ("-" if n % 3 else " ") for n in range(400_000)),
    " ".join(chr(0x10400 + n % 40) + chr(0x1F600 + n % 60) + str(n) for n in range(200_000)),
    "/".join(f"http://{n}.example/{n}" for n in range(60_000)),
    " ".join(f"{n:x}" for n in range(200_000)),
    " ".join(chr(0x400 + n % 200) + chr(0x400 + n // 200 % 200) + chr(0x400 + n // 40_000) for n in range(300_000)),
    "a_b_" * 200_000,
    "x" * 900_000,
    *(f"a{sign}b{sign}" * 30_000 for sign in "_@:=?%~&#+,;!\"'\\$^*()[]{}|>`\t"),
    "<b>" * 200_000 + "&amp;" * 50_000,
    "".join(random.Random(3).choices("ab-_./@:1 é漢😀'\\\"", k=400_000)),
]


def test_no_text_is_too_much_for_the_index() -> None:
    writer.write([span_row(span_id=f"{n}", input=text, output=text) for n, text in enumerate(WORST)])
    assert index_texts().rows == len(WORST)
