"""The page for operators names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from apps.common.observe import scrape, telemetry
from tests.unit.test_docs import DOCS, tables

KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


def declared() -> dict[str, tuple[str, set[str]]]:
    found: dict[str, tuple[str, set[str]]] = {}
    for one in vars(telemetry).values():
        if isinstance(one, MetricWrapperBase):
            name = f"{one._name}_total" if isinstance(one, Counter) else one._name
            found[name] = (KINDS[type(one)], set(one._labelnames))
    for figure in scrape._figures.values():
        found[figure.name] = ("gauge", set(figure.labels))
    return found


def test_every_metric_is_in_the_table() -> None:
    documented = {
        name: (kind, {label.strip() for label in labels.split(",") if label.strip()})
        for names, kind, labels, _ in tables("operations.md")["Name"]
        for name in re.findall(r"[a-z_]+", names)
    }
    assert documented == declared()


def test_alerts_ask_for_metrics_that_exist() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8").partition("### Alerts")[2].partition("\n## ")[0]
    asked = set(re.findall(r"\b((?:http|db|cache|rate_limit|spans|rollup|celery|export)_[a-z_]+)", text))
    assert asked - {"db_errors_total"}
    assert {name.removesuffix("_bucket") for name in asked} <= set(declared())


def test_the_settings_of_the_page_exist() -> None:
    from analytics_hub.env import Env

    text = Path(DOCS / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", text)) - {"PROMETHEUS_MULTIPROC_DIR", "SECRET_KEY_FILE"}
    assert named <= {name.upper() for name in Env.model_fields}
