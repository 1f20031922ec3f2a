"""The pages about prices and errors say what the code does."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from apps.common import resilience, valkey
from apps.common.errors import CATALOGUE
from apps.common.rates.local_limits import MAX_BUCKETS
from apps.costs.pricing import REASONS, Usage, price
from apps.costs.providers import normalise_provider
from apps.orgs.tiers import ENDPOINT_FIGURES, REFRESH_FIGURES, ROLE_FIGURES, SIGN_IN_FIGURES

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
NOON_US = 1_793_880_000_000_000


def tables(page: str) -> dict[str, list[list[str]]]:
    """The rows of each table of a page, by the first heading cell."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] | None = None
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            rows = None
            continue
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if rows is None:
            rows = found.setdefault(cells[0], [])
        elif set(line) - set("|-"):
            rows.append(cells)
    return found


@pytest.mark.parametrize("row", tables("prices.md")["provider"], ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_the_examples_of_prices(row: list[str]) -> None:
    provider, model, prompt, cached, written, completion, total = row
    usage = Usage(int(prompt), int(completion), int(cached), int(written))
    got = price(provider=provider, model=model, at_us=NOON_US, usage=usage)
    assert got.total_cost == Decimal(total) * 10**12


def test_the_reasons_of_unpriced_calls() -> None:
    assert dict(tables("prices.md")["reason"]) == REASONS


def test_the_names_of_providers() -> None:
    for kept, others in tables("prices.md")["kept as"]:
        for other in others.split(","):
            assert normalise_provider(other.strip().strip("`")) == kept


def test_the_catalogue_of_errors() -> None:
    rows = tables("errors.md")["code"]
    assert rows == [
        [str(entry.code), entry.name, entry.category, entry.statuses, entry.meaning] for entry in CATALOGUE.values()
    ]


def test_the_figures_of_rate_limits() -> None:
    shown = tables("limits.md")
    for heading, figures in (("role", ROLE_FIGURES), ("bucket", ENDPOINT_FIGURES)):
        rows = {name: (int(per_minute), int(burst)) for name, per_minute, burst in shown[heading]}
        assert rows == figures
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    assert f"together: {SIGN_IN_FIGURES[0]} tries a minute" in text
    assert f"tokens: {REFRESH_FIGURES[0]} a minute" in text
    assert SIGN_IN_FIGURES[0] == SIGN_IN_FIGURES[1]
    assert (valkey.FAILURES, valkey.RETRY_SECONDS, resilience.SUCCESSES) == (3, 2.0, 3)
    assert f"{MAX_BUCKETS:,} such buckets" in text
