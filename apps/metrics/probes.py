"""The readiness check of the rollups."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common.observe.readiness import NotReady
from apps.metrics import compile_timescale
from apps.metrics.ledger import rollup_lag_seconds

# Answers stay right at any lag, since they read unfolded minutes from raw; beyond this they are no longer fast, and
# the worker that folds them is most likely gone.
LAG_LIMIT_SECONDS = 900


def rollup_lag() -> dict[str, Any]:
    """How long the oldest write has waited to be folded into the rollups."""
    lag = rollup_lag_seconds()
    if lag > LAG_LIMIT_SECONDS:
        raise NotReady(f"the rollups are {lag:.0f} s behind; is the worker running?")
    return {"lag_seconds": round(lag, 1)}


def usage_cells(connection: BaseDatabaseWrapper) -> str:
    """What the usage cells of this database are, for `manage.py storage status`."""
    with connection.cursor() as cursor:
        return "continuous aggregates" if compile_timescale.in_use(cursor) else "ordinary tables"
