"""Which rows of a trace are drawn: all of a small one, of a large one what matters, and the rest page by page."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.console.waterfall import WIDTH, picture

T0 = datetime(2026, 11, 5, 12, tzinfo=UTC)


def span(number: int, depth: int, begin: float = 0, length: float = 1, **more: Any) -> dict[str, Any]:
    return {
        "span_id": f"s{number}",
        "name": f"span {number}",
        "kind": "chain",
        "depth": depth,
        "status": "ok",
        "on_critical_path": False,
        "offset_ms": begin,
        "duration_ms": length,
        "start_time": (T0 + timedelta(milliseconds=begin)).isoformat(),
        **more,
    }


def document(spans: list[dict[str, Any]], path: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"spans": spans, "critical_path": path or []}


def tree(seed: int, size: int) -> list[dict[str, Any]]:
    """A tree of any shape, in the API's order."""
    choose, spans = random.Random(seed), [span(0, 0, 0, size)]
    for number in range(1, size):
        depth = choose.randint(1, min(spans[-1]["depth"] + 1, 6))
        bad = choose.random() < 0.02
        spans.append(span(number, depth, number, 1, status="error" if bad else "ok"))
    return spans


def ids(drawn: Any) -> list[str]:
    return [row.span["span_id"] for row in drawn.rows]


def test_a_small_trace_is_drawn_whole_and_to_scale() -> None:
    spans = [span(0, 0, 0, 100), span(1, 1, 25, 50), span(2, 2, 25, 0), span(3, 1, 100, 0)]
    drawn = picture(document(spans))
    assert [(row.x, row.width, row.level, row.parent, row.hidden) for row in drawn.rows] == [
        (0, WIDTH, 0, True, 0),
        (250, 500, 1, True, 0),
        (250, 3, 2, False, 0),  # no time at all is to be seen too
        (WIDTH - 3, 3, 1, False, 0),
    ]
    assert (drawn.length_ms, drawn.ticks, drawn.following) == (100, [0, 25, 50, 75, 100], None)


def test_the_critical_path_lies_on_the_bars() -> None:
    def step(name: str, begin: float, end: float) -> dict[str, Any]:
        begun, ended = (T0 + timedelta(milliseconds=at) for at in (begin, end))
        return {"span_id": name, "start_time": begun.isoformat(), "end_time": ended.isoformat()}

    spans = [span(0, 0, 0, 100), span(1, 1, 25, 50)]
    path = [step("s0", 0, 25), step("s1", 25, 75), step("s0", 75, 100)]
    root, child = picture(document(spans, path)).rows
    assert root.critical == "M0 7H250V10H0zM750 7H1000V10H750z"
    assert child.critical == "M250 7H750V10H250z"


@pytest.mark.parametrize("seed", range(12))
def test_of_a_large_trace_what_failed_is_drawn_with_all_above_it(seed: int) -> None:
    spans = tree(seed, 2_000)
    drawn = picture(document(spans), most=150)
    chosen = set(ids(drawn))
    assert len(chosen) == 150 and len(drawn.rows) == 150
    places = {one["span_id"]: place for place, one in enumerate(spans)}
    for one in drawn.rows:  # whatever is drawn stands below what it belongs to
        place = places[one.span["span_id"]]
        above = next((at for at in range(place, -1, -1) if spans[at]["depth"] < spans[place]["depth"]), None)
        assert above is None or spans[above]["span_id"] in chosen
    failed = [one["span_id"] for one in spans if one["status"] == "error"]
    assert sum(1 for one in failed if one in chosen) >= min(len(failed), 20)
    # Every span is drawn or counted at the root of the picture.
    assert drawn.rows[0].hidden == 2_000 - 150


@pytest.mark.parametrize("shape", ["flat", "failed", "deep", "tree"])
def test_paging_and_descending_reach_every_span(shape: str) -> None:
    spans = tree(3, 700)
    if shape == "deep":  # what failed would fill the page, and no child of the root be drawn
        spans = [span(0, 0, 0, 700), *(span(n, 1 if n < 100 else 2, n, 1, status="ok") for n in range(1, 700))]
        spans[100:] = [{**one, "status": "error"} for one in spans[100:]]
    elif shape != "tree":
        spans = [
            span(0, 0, 0, 700),
            *(span(n, 1, n, 1, status="error" if shape == "failed" else "ok") for n in range(1, 700)),
        ]
    seen: set[str] = set()
    todo: list[tuple[str, int]] = [("", 0)]
    asked = 0
    while todo:
        focus, first = todo.pop()
        asked += 1
        assert asked < 2_000, "this does not end"
        drawn = picture(document(spans), focus, first, most=40)
        new = [row for row in drawn.rows if row.span["span_id"] not in seen]
        seen.update(row.span["span_id"] for row in new)
        if drawn.following is not None:
            assert drawn.following > first
            todo.append((focus, drawn.following))
        todo += [(row.span["span_id"], 0) for row in new if row.hidden and row.span["span_id"] != focus]
    assert len(seen) == 700


def test_a_part_of_a_trace_has_its_own_scale() -> None:
    spans = [span(0, 0, 0, 1_000), span(1, 1, 500, 100), span(2, 2, 550, 50), span(3, 1, 700, 10)]
    drawn = picture(document(spans), "s1")
    assert ids(drawn) == ["s1", "s2"] and drawn.length_ms == 100
    assert [(row.x, row.width, row.level) for row in drawn.rows] == [(0, WIDTH, 0), (500, 500, 1)]
    assert len(picture(document(spans), "nobody").rows) == 4


def test_nothing_is_drawn_of_nothing() -> None:
    assert picture(document([])).rows == []
