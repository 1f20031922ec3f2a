"""GET /api/v1/costs/unpriced: groups equal plain Python over the rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.costs.pricing import REASONS
from tests.costs.asking import Asking
from tests.costs.oracle import figures, within
from tests.costs.test_series import END, RANGE, START
from tests.metrics.oracle import Seen
from tests.support.world import World


def grouped(spans: list[Seen]) -> dict[Any, list[Seen]]:
    made: dict[Any, list[Seen]] = {}
    for span in spans:
        if span.row.total_cost is None:
            key = (span.row.provider, span.row.model, span.row.unpriced_reason or "unknown")
            made.setdefault(key, []).append(span)
    return made


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_unpriced_requests_equal_the_raw_rows(asking: Asking) -> None:
    for filters in ({}, {"environment": "production"}, {"user_id": "ann"}, {"tag": "a"}):
        spans = [
            span
            for span in within(asking.rows, asking.slugs, START, END)
            if all(span.values[name] == value for name, value in filters.items() if name != "tag")
            and ("tag" not in filters or "a" in (span.values["tags"] or []))
        ]
        body = asking.get("/costs/unpriced", **RANGE, **filters)
        groups = grouped(spans)
        found = {(row["provider"], row["model"], row["reason"]): row for row in body["data"]}
        assert set(found) == set(groups)
        for key, members in groups.items():
            right = figures(members)
            row = found[key]
            assert {name: row[name] for name in ("requests", "total_tokens", "prompt_tokens")} == {
                name: right[name] for name in ("requests", "total_tokens", "prompt_tokens")
            }
            assert moment(row["first_seen"]) == min(span.start for span in members)
            assert moment(row["last_seen"]) == max(span.start for span in members)
            assert row["message"] == REASONS.get(key[2], row["message"])
        missing = sum(map(len, groups.values()))
        assert (body["totals"]["requests"], body["totals"]["unpriced_requests"]) == (len(spans), missing)
        counts = [row["requests"] for row in body["data"]]
        assert counts == sorted(counts, reverse=True)
        assert (body["total_groups"], body["others"]["requests"]) == (len(groups), 0)


def test_what_is_not_listed_is_counted(asking: Asking) -> None:
    everything = asking.get("/costs/unpriced", **RANGE)
    body = asking.get("/costs/unpriced", **RANGE, limit=2)
    assert body["data"] == everything["data"][:2]
    assert body["total_groups"] == everything["total_groups"]
    assert body["others"]["requests"] == sum(row["requests"] for row in everything["data"][2:])


def test_nothing_is_no_share(world: World) -> None:
    body = Asking(world).get("/costs/unpriced", **RANGE)
    assert body["totals"] == {"requests": 0, "unpriced_requests": 0, "unpriced_share": None}
