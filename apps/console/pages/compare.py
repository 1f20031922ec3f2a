"""The comparison of models: verdicts in words, figures with intervals, and how many requests stand behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse

from apps.console.asking import Answer, ask, may, send
from apps.console.bar import Bar, read_bar
from apps.console.chosen import Chosen, read
from apps.console.figures import number_of
from apps.console.page import page, show
from apps.console.pages.models import rows_of
from apps.console.showing import bar_context

LEAST, MOST = 2, 10
OFFERED: Final = 30
STRETCHES: Final = {
    "15min": "a quarter of an hour",
    "1hour": "one hour",
    "6hour": "six hours",
    "1day": "one day",
    "1week": "one week",
}
# Measure: label, unit, what a greater and a smaller value is called.
MEASURES: Final = {
    "avg_duration_ms": ("Mean duration", "ms", "slower", "faster"),
    "avg_ttft_ms": ("Mean time to first token", "ms", "later", "sooner"),
    "tokens_per_second": ("Tokens a second", "per_second", "more", "fewer"),
    "cost_per_request_usd": ("Cost a request", "usd", "dearer", "cheaper"),
    "error_rate": ("Error rate", "rate", "more errors", "fewer errors"),
}
BEST: Final = {
    "fastest": ("Fastest", "by mean duration"),
    "cheapest": ("Cheapest", "by cost a request"),
    "most_reliable": ("Most reliable", "by error rate"),
    "highest_throughput": ("Highest speed", "by tokens a second"),
}
# Label, block of the answer, field, low and high end of its interval, unit.
FIGURES: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    ("Mean duration", "latency", "avg_ms", "", "", "ms"),
    ("p50 duration", "latency", "p50_ms", "p50_low_ms", "p50_high_ms", "ms"),
    ("p95 duration", "latency", "p95_ms", "p95_low_ms", "p95_high_ms", "ms"),
    ("Mean time to first token", "latency", "ttft_avg_ms", "", "", "ms"),
    ("Tokens a second", "throughput", "tokens_per_second", "", "", "per_second"),
    ("Error rate", "reliability", "error_rate", "error_rate_low", "error_rate_high", "rate"),
    ("Cost", "cost", "total_cost_usd", "", "", "usd"),
    ("Cost a request", "cost", "cost_per_request_usd", "", "", "usd"),
    ("Cost a successful request", "cost", "cost_per_successful_request_usd", "", "", "usd"),
    ("Tokens a request", "cost", "tokens_per_request", "", "", "count"),
)


@page("metrics:read")
def compare(request: HttpRequest) -> HttpResponse:
    """The models to choose from, and the comparison of those that the address names."""
    bar = read_bar(request, own=("models", "base"))
    chosen = read(bar.own.get("models", ""))
    allowed = may(request, "metrics:query")
    offered = ask(request, "metrics/models", bar.listing(sort_by="requests", limit=OFFERED, model=None))
    ready = allowed and LEAST <= len(chosen) <= MOST
    answer = send(request, "POST", "models/compare", _body(bar, chosen)) if ready else None
    base = next((one for one in chosen if one.entry == bar.own.get("base")), chosen[0] if chosen else None)
    context: dict[str, Any] = {
        "title": "Compare models",
        "here": "models",
        "allowed": allowed,
        "offered": offered,
        "choices": _choices(offered, chosen),
        "chosen": chosen,
        "too_many": len(chosen) > MOST,
        "answer": answer,
        "base": base,
        "bases": [(one.entry, one.label) for one in chosen],
        "keeps": parse_qsl(bar.query(models=None, base=None)),
    }
    if answer is not None and answer.ok:
        context |= {
            "best": _best(answer),
            "columns": _columns(answer, chosen),
            "figures": _figures(answer),
            "differences": _differences(answer, base.label if base else ""),
            "plots": _plots(answer),
            "stretch": STRETCHES.get(answer.document["metadata"]["cluster_interval"], "one stretch"),
            "min_sample": answer.document["metadata"]["min_sample"],
            "body": json.dumps(_body(bar, chosen), indent=2, ensure_ascii=False),
        }
    return show(request, "console/compare.html", {**bar_context(request, bar), **context})


def _body(bar: Bar, chosen: Sequence[Chosen]) -> dict[str, Any]:
    filters = [
        {"field": name, "operator": "in", "value": value.split(",")}
        for name, value in bar.filters.items()
        if name != "project"
    ]
    body: dict[str, Any] = {"models": [one.asked for one in chosen], **bar.period(), "filters": filters}
    if bar.filters.get("project"):
        body["project"] = bar.filters["project"].split(",")
    return body


def _choices(offered: Answer, chosen: Sequence[Chosen]) -> list[dict[str, Any]]:
    """What can be ticked: the models of the range, and those of the address that are none of them."""
    entries = {one.entry for one in chosen}
    made = [
        {
            "entry": row["entry"],
            "label": row["model"],
            "provider": row["provider"],
            "requests": row["requests"],
            "on": row["entry"] in entries,
        }
        for row in rows_of(offered)
        if row["entry"]
    ]
    known = {row["entry"] for row in made}
    others = [one for one in chosen if one.entry not in known]
    return made + [
        {"entry": one.entry, "label": one.label, "provider": "", "requests": None, "on": True} for one in others
    ]


def _best(answer: Answer) -> list[dict[str, Any]]:
    made = []
    for name, (title, by) in BEST.items():
        found = answer.document["best"].get(name)
        if found is not None:
            made.append({"title": title, "by": by, **found})
    return made


def _columns(answer: Answer, chosen: Sequence[Chosen]) -> list[dict[str, Any]]:
    return [{**model, "chosen": one} for model, one in zip(answer.document["models"], chosen, strict=True)]


def _figures(answer: Answer) -> list[dict[str, Any]]:
    """One row a figure, one cell a model; rows in which nobody has a value are left out."""
    models = answer.document["models"]
    rows: list[dict[str, Any]] = []
    for label, block, name, low, high, unit in FIGURES:
        cells = [
            {
                "value": model.get(block, {}).get(name),
                "low": model.get(block, {}).get(low),
                "high": model.get(block, {}).get(high),
            }
            for model in models
        ]
        rows.append({"label": label, "unit": unit, "cells": cells, "interval": bool(low)})
    names = list(dict.fromkeys(name for model in models for name in model.get("quality", {})))
    for name in names:
        found = [model["quality"].get(name) or {} for model in models]
        cells = [{"value": one.get("avg"), "count": one.get("scores")} for one in found]
        rows.append({"label": f"Score {name}", "unit": "score", "cells": cells, "interval": False})
    return [row for row in rows if any(number_of(cell["value"]) is not None for cell in row["cells"])]


def _plots(answer: Answer) -> list[dict[str, Any]]:
    """Figures with an interval, drawn on one scale: whose intervals lie apart is seen at once."""
    made = []
    for label, block, name, low, high, unit in FIGURES:
        if not low:
            continue
        ends = [
            (model, *(number_of(model.get(block, {}).get(field)) for field in (low, name, high)))
            for model in answer.document["models"]
        ]
        known = [end for end in ends if None not in end]
        top = max((end[3] for end in known if end[3] is not None), default=Decimal(0))
        if len(known) < LEAST or not top:
            continue
        rows = [
            {
                "label": model["label"],
                "value": middle,
                "low": start,
                "high": stop,
                "x": _place(start, top),
                "middle": _place(middle, top),
                "width": max(0.5, _place(stop, top) - _place(start, top)),
            }
            for model, start, middle, stop in known
        ]
        made.append({"label": label, "unit": unit, "rows": rows})
    return made


def _place(value: Decimal | None, top: Decimal) -> float:
    return 0.0 if value is None else round(float(value / top) * 99, 2)


def _differences(answer: Answer, base: str) -> list[dict[str, Any]]:
    """Every other model against one of them, measure by measure, seen from the other one."""
    made = []
    for row in answer.document["differences"]:
        if base not in (row["a"], row["b"]):
            continue
        made.append(_seen(row, base))
    return made


def _seen(row: Mapping[str, Any], base: str) -> dict[str, Any]:
    """A difference as the other model's value less the base's."""
    turned = row["a"] == base
    other = "b" if turned else "a"
    value, low, high = (number_of(row[name]) for name in ("difference", "difference_low", "difference_high"))
    if turned:
        value, low, high = (None if end is None else -end for end in (value, high, low))
    score = row["measure"].removeprefix("score.")
    default = (f"Score {score}", "score", "higher", "lower")
    label, unit, more, less = MEASURES.get(row["measure"], default)
    better = row.get("better")
    return {
        "label": label,
        "unit": unit,
        "other": row[other],
        "difference_unit": "points" if unit == "rate" else unit,
        "other_n": row[f"{other}_n"],
        "base_n": row["a_n" if turned else "b_n"],
        "other_value": row[f"{other}_value"],
        "base_value": row["a_value" if turned else "b_value"],
        "size": None if value is None else abs(value),
        "word": "" if not value else more if value > 0 else less,
        "low": low,
        "high": high,
        "verdict": row["verdict"],
        "tone": "" if better is None else "bad" if better == base else "good",
        "p_adjusted": row["p_adjusted"],
        "method": row["method"],
        "effect_size": row["effect_size"],
    }
