"""One hub with awkward traffic in it for all oracle tests of a file, half of it folded and half of it not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from tests.oracle import traffic

SEEDS = (1, 2)


@dataclass
class Asked:
    """How to ask the hub, and the range in which its traffic lies (whole days)."""

    get: Callable[..., Any]
    post: Callable[..., Any]
    start: datetime
    end: datetime
    world: Any
    folded: bool

    @property
    def range(self) -> dict[str, str]:
        return {"start_time": self.start.isoformat(), "end_time": self.end.isoformat()}


def parsed(answer: Any) -> Any:
    """An answer's document; numbers with a point are exact decimals."""
    assert answer.status_code == 200, answer.content[:2000]
    return json.loads(answer.content, parse_float=Decimal)


@pytest.fixture(scope="module", params=[(seed, folded) for seed in SEEDS for folded in (True, False)], ids=str)
def hub(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Asked]:
    from tests.support.cells import clear_cells
    from tests.support.world import make_world

    seed, folded = request.param
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=6)
    with django_db_blocker.unblock():
        clear_cells()
        world = make_world()
        made = traffic.make(seed, start, 6, 150)
        for number, wave in enumerate(made.waves):
            for slug, spans in wave.items():
                if spans:
                    answer = world.send("POST", "/api/v1/traces", {"spans": spans}, **{"X-Project": slug})
                    assert answer.status_code == 200, answer.content
                    assert not answer.json()["rejected"], answer.content
            if folded or number == 0:
                call_command("refresh", once=True, stdout=StringIO())

        def get(path: str, **parameters: Any) -> Any:
            headers = {"Authorization": f"Bearer {world.wide_key}"}
            return parsed(world.client.get(path, parameters, headers=headers))

        def post(path: str, body: Any) -> Any:
            return parsed(world.send("POST", path, body))

        yield Asked(get, post, start, end, world, folded)
        clear_cells()
        call_command("flush", interactive=False, verbosity=0)
