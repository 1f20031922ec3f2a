"""Kill -9 of web, worker and PostgreSQL during ingest: what was acknowledged is there once, and the rollups agree.

The longer run of the same is `python -m bench.kill`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.hub import running_hub
from bench.kill import wreck


@pytest.mark.processes
@pytest.mark.timeout(280)
def test_acknowledged_spans_survive_kills(kept_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_KEEP", str(kept_dir.parent))
    with running_hub(ROLLUP_REFRESH_SECONDS="1") as hub:
        counted = wreck(hub, kills=3, pause=2)
    assert counted["acknowledged"] > 100, counted
    assert set(counted["kills"].values()) == {1}, counted
    assert counted["retried"] > 0, "no kill was noticed by a client: nothing was tested"
    assert (counted["missing"], counted["double"], counted["refused"]) == (0, 0, []), counted
    assert counted["reconcile"] == 0, counted["reconcile_text"]
