"""Kill -9 of web, worker and PostgreSQL during ingest: what was acknowledged is there once, and the rollups agree.

The longer run of the same is `python -m bench.kill`.
"""

from __future__ import annotations

import pytest

from bench.hub import running_hub
from bench.kill import wreck


@pytest.mark.processes
@pytest.mark.timeout(280)
def test_acknowledged_spans_survive_kills() -> None:
    with running_hub(ROLLUP_REFRESH_SECONDS="1") as hub:
        counted = wreck(hub, kills=4, pause=2.5)
    assert counted["acknowledged"] > 100, counted
    assert sum(counted["kills"].values()) == 4, counted
    assert counted["retried"] > 0, "no kill was noticed by a client: nothing was tested"
    assert (counted["missing"], counted["double"], counted["refused"]) == (0, 0, []), counted
    assert counted["reconcile"] == 0, counted["reconcile_text"]
