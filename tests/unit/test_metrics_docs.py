"""docs/metrics.md is made from the catalogue."""

from __future__ import annotations

from apps.metrics.catalog import AGGREGATIONS, CATALOGUE, INTERNAL
from apps.metrics.components import COMPONENTS
from apps.metrics.docs import PAGE, page


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run manage.py metrics_docs"


def test_every_formula_is_made_of_declared_components() -> None:
    for metric in (*CATALOGUE.values(), *INTERNAL.values()):
        assert metric.natural in metric.formulas
        for aggregation, formula in metric.formulas.items():
            assert aggregation in AGGREGATIONS or metric.name in INTERNAL
            assert set(formula.components) <= set(COMPONENTS)
            assert bool(formula.sql) == (formula.source == "components")
