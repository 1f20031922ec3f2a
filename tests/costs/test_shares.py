"""GET /api/v1/costs/breakdown and /attribution: groups, the others and the whole equal plain Python over the rows."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any
from urllib.parse import urlencode

from tests.costs.asking import Asking
from tests.costs.oracle import cost, figures, usd, within
from tests.costs.test_series import END, RANGE, START
from tests.metrics.oracle import Seen
from tests.support.world import World

COLUMNS = {
    "model": "model",
    "provider": "provider",
    "user": "user_id",
    "environment": "environment",
    "project": "project",
    "session": "session_id",
    "team": "team",
    "tag": "tags",
}
FIGURES = (*figures([]),)


def groups_of(spans: list[Seen], by: str) -> dict[Any, list[Seen]]:
    made: dict[Any, list[Seen]] = {}
    for span in spans:
        found = span.values[COLUMNS[by]]
        for value in dict.fromkeys(found or [None]) if by == "tag" else (found,):
            made.setdefault(value, []).append(span)
    return made


def ranked(groups: dict[Any, list[Seen]], least: int | None = None) -> list[Any]:
    """Dearest first, unknown costs last, then by requests and name."""
    rows = [
        (value, members)
        for value, members in groups.items()
        if least is None or (figures(members)["total_cost_usd"] is not None and cost(members) >= least)
    ]

    def rank(item: tuple[Any, list[Seen]]) -> Any:
        known = figures(item[1])["total_cost_usd"]
        return (known is None, -(known or 0), -len(item[1]), item[0] is None, item[0] or "")

    return [value for value, _ in sorted(rows, key=rank)]


def of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FIGURES}


def less(whole: list[Seen], parts: list[list[Seen]]) -> Decimal:
    return usd(cost(whole) - sum(cost(part) for part in parts))


PAGES: tuple[tuple[int, Decimal | None], ...] = ((50, None), (2, None), (50, Decimal("0.5")))


def test_breakdown_equals_the_raw_rows(asking: Asking) -> None:
    spans = within(asking.rows, asking.slugs, START, END)
    for by, (limit, min_cost) in product(
        ("model", "provider", "user", "environment", "project", "session", "tag"), PAGES
    ):
        groups = groups_of(spans, by)
        extra = {} if min_cost is None else {"min_cost": str(min_cost)}
        body = asking.get("/costs/breakdown", **RANGE, by=by, limit=limit, **extra)
        order = ranked(groups, None if min_cost is None else int(min_cost * 10**12))
        assert body["total_groups"] == len(order)
        assert [row["value"] for row in body["data"]] == order[:limit]
        assert [of(row) for row in body["data"]] == [figures(groups[value]) for value in order[:limit]]
        assert body["totals"] == figures(spans)
        assert body["sums_may_exceed_total"] == (by == "tag")
        everything = sum(cost(members) for members in groups.values())
        rest = everything - sum(cost(groups[value]) for value in order[:limit])
        assert (body["others"]["total_cost_usd"] or 0) == usd(rest)
        assert body["others"]["requests"] == sum(map(len, groups.values())) - sum(
            row["requests"] for row in body["data"]
        )
        if by != "tag":
            assert sum(row["total_cost_usd"] or 0 for row in [*body["data"], body["others"]]) == usd(cost(spans))
        for row in body["data"]:
            assert abs(row["share"] - Decimal(cost(groups[row["value"]])) / cost(spans)) < Decimal("0.000001")


def test_attribution_equals_the_raw_rows(asking: Asking) -> None:
    spans = within(asking.rows, asking.slugs, START, END)
    for dimension, limit in product(("user", "team", "tag", "provider", "model", "environment"), (50, 1)):
        groups = groups_of(spans, dimension)
        nobody = groups.pop(None, [])
        body = asking.get("/costs/attribution", **RANGE, dimension=dimension, limit=limit)
        order = ranked(groups)
        assert [row["value"] for row in body["data"]] == order[:limit]
        assert [of(row) for row in body["data"]] == [figures(groups[value]) for value in order[:limit]]
        assert of(body["unattributed"]) == figures(nobody)
        assert body["totals"] == figures(spans)
        rest = sum(cost(groups[value]) for value in order[limit:])
        assert (body["others"]["total_cost_usd"] or 0) == usd(rest)


def test_attribution_by_a_key_knows_what_lacks_it(asking: Asking) -> None:
    for key in ("team", "b", "none"):
        _by_key(asking, key)


def _by_key(asking: Asking, key: str) -> None:
    spans = within(asking.rows, asking.slugs, START, END)
    groups = {tag: found for tag, found in groups_of(spans, "tag").items() if tag and tag.startswith(f"{key}:")}
    lacking = [span for span in spans if not any(tag.startswith(f"{key}:") for tag in span.values["tags"] or [])]
    body = asking.get("/costs/attribution", **RANGE, dimension="tag", key=key)
    assert {row["value"]: of(row) for row in body["data"]} == {tag: figures(of_tag) for tag, of_tag in groups.items()}
    assert {(row["key"], f"{row['key']}:{row['tag_value']}") for row in body["data"]} == {(key, tag) for tag in groups}
    assert of(body["unattributed"]) == figures(lacking)
    several = any(sum(span in members for members in groups.values()) > 1 for span in spans)
    assert body["sums_may_exceed_total"] == several


NONSENSE: tuple[tuple[str, dict[str, str], int], ...] = (
    ("breakdown", {"by": "team"}, 1202),
    ("breakdown", {"by": "model", "limit": "0"}, 1202),
    ("breakdown", {"by": "model", "limit": "1001"}, 1205),
    ("breakdown", {"by": "model", "min_cost": "-1"}, 1202),
    ("breakdown", {"by": "model", "min_cost": "cheap"}, 1203),
    ("attribution", {"dimension": "session"}, 1202),
    ("attribution", {"dimension": "team", "key": "x"}, 1202),
    ("attribution", {"dimension": "tag", "key": "a:b"}, 1202),
)


def test_what_makes_no_sense_is_refused(world: World) -> None:
    for path, query, code in NONSENSE:
        answer = world.send("GET", f"/api/v1/costs/{path}?{urlencode(query)}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), query
