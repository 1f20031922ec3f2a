"""Who may open which page: every page of the console, every role, nobody, a key, another tenant.

`NEEDS` is written down apart from the code, as tests/support/table.py is for the API.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.surface import Route, console_routes
from tests.support.table import ROLES, TABLE
from tests.support.world import World

_NEEDS = """
GET /overview              metrics:read
GET /performance           metrics:read
GET /quality               metrics:read
GET /quality/scores        traces:read
GET /models                metrics:read
GET /conversations         traces:read
GET /conversations/{session_id} traces:read
GET /conversation-turns/{trace_id} traces:read
GET /models/compare        metrics:read
GET /overview/users        metrics:read
GET /costs                 costs:read
GET /costs/by              costs:read
GET /costs/change          costs:read
GET /costs/forecast        costs:read
GET /costs/unpriced        costs:read
GET /costs/budgets         costs:read
GET /costs/budgets/more    costs:read
GET /overview/budgets      metrics:read
GET /users                 metrics:read
GET /users/{user_id}       costs:read
GET /choices/{name}        metrics:read
GET /exports               exports:read
GET /exports/new           exports:create
POST /exports/new          exports:create
GET /exports/schedules     exports:read
GET /exports/schedules/new exports:create
POST /exports/schedules/new exports:create
GET /exports/schedules/{schedule_id} exports:read
GET /exports/schedules/{schedule_id}/delete exports:read
POST /exports/schedules/{schedule_id}/delete exports:cancel
GET /exports/schedules/{schedule_id}/{deed} exports:read
POST /exports/schedules/{schedule_id}/{deed} exports:create
GET /exports/{job_id}      exports:read
GET /exports/{job_id}/cancel exports:read
POST /exports/{job_id}/cancel exports:cancel
GET /exports/{job_id}/again exports:read
POST /exports/{job_id}/again exports:create
GET /ingest                traces:read
GET /ingest/installation   installation:manage
GET /ingest/letters        traces:read
POST /ingest/letters       traces:write
GET /ingest/letters/{letter_id} traces:read
POST /ingest/letters/{letter_id} traces:write
GET /start                 traces:read
POST /start                keys:manage_own
GET /start/arrived         traces:read
GET /traces                traces:read
GET /traces/views          traces:read
POST /traces/views         traces:read
GET /traces/views/{number}/delete traces:read
POST /traces/views/{number}/delete traces:read
GET /traces/{trace_id}     traces:read
POST /traces/{trace_id}    scores:write
GET /traces/{trace_id}/delete data:delete
POST /traces/{trace_id}/delete data:delete
GET /traces/{trace_id}/text traces:content
GET /settings                             signed_in
GET /settings/organization                signed_in
POST /settings/organization               org:manage
GET /settings/new-project                 org:manage
POST /settings/new-project                org:manage
GET /settings/projects/{slug}             signed_in
POST /settings/projects/{slug}            org:manage
GET /settings/members                     members:manage
GET /settings/members/{number}            members:manage
POST /settings/members/{number}           members:manage
GET /settings/members/{number}/remove     members:manage
POST /settings/members/{number}/remove    members:manage
GET /settings/invitations/new             members:manage
POST /settings/invitations/new            members:manage
GET /settings/invitations/{number}/revoke members:manage
POST /settings/invitations/{number}/revoke members:manage
GET /settings/keys                        keys:manage_own
GET /settings/keys/new                    keys:manage_own
POST /settings/keys/new                   keys:manage_own
GET /settings/keys/{number}               keys:manage_own
POST /settings/keys/{number}              keys:manage_own
GET /settings/keys/{number}/rotate        keys:manage_own
POST /settings/keys/{number}/rotate       keys:manage_own
GET /settings/keys/{number}/revoke        keys:manage_own
POST /settings/keys/{number}/revoke       keys:manage_own
GET /settings/prices                      costs:read
GET /settings/prices/new                  costs:manage
POST /settings/prices/new                 costs:manage
GET /settings/prices/{number}             costs:read
POST /settings/prices/{number}            costs:manage
GET /settings/prices/{number}/end         costs:manage
POST /settings/prices/{number}/end        costs:manage
GET /settings/prices/reprice              costs:read
POST /settings/prices/reprice             costs:manage
GET /settings/prices/reprice/{number}     costs:read
GET /settings/prices/reprice/{number}/apply costs:manage
POST /settings/prices/reprice/{number}/apply costs:manage
GET /settings/prices/reprice/{number}/undo costs:manage
POST /settings/prices/reprice/{number}/undo costs:manage
GET /settings/budgets                     costs:read
GET /settings/budgets/new                 costs:manage
POST /settings/budgets/new                costs:manage
GET /settings/budgets/{number}            costs:read
POST /settings/budgets/{number}           costs:manage
GET /settings/budgets/{number}/state      costs:read
GET /settings/budgets/{number}/delete     costs:manage
POST /settings/budgets/{number}/delete    costs:manage
GET /settings/audit                       audit:read
"""
NEEDS = {(method, path): needed for method, path, needed in (line.split() for line in _NEEDS.strip().splitlines())}
# What a path's parameters are filled with here: names that exist, or not; the door comes first.
EXAMPLES = {
    "name": "model",
    "job_id": "7f1c3f0e-6a52-4c5b-9a55-0d3a8e1b2c4d",
    "letter_id": "1",
    "schedule_id": "1",
    "deed": "pause",
    "trace_id": "0" * 32,
    "session_id": "session-1",
    "slug": "web",
    "number": 2_000_000_000,
    "user_id": "user-1",
}


def at(route: Route) -> str:
    return route.at(**{name: EXAMPLES[name] for name in route.parameters})


def test_every_page_needs_what_is_written_down() -> None:
    found = {
        (method, str(route)): needed
        for route in console_routes()
        for method in ("GET", "POST")
        if (needed := route.needs(method)) is not None
    }
    assert found == NEEDS


def test_every_role_gets_in_where_the_table_says(world: World, browser_of: Any) -> None:
    wrong = []
    for role in ROLES:
        web = browser_of(world.new_person(f"{role}@acme.example", role))
        for route in console_routes():
            for method in ("GET", "POST"):
                needed = NEEDS.get((method, str(route)))
                if needed is None:
                    continue
                answer = web.generic(method, at(route))
                may = needed == "signed_in" or role in TABLE.get(needed, ())
                if may == (answer.status_code == 403) or answer.status_code >= 500:
                    wrong.append((method, str(route), role, answer.status_code))
    assert wrong == []


def test_nobody_and_keys_get_into_no_page(world: World, web: Any) -> None:
    for method, path in NEEDS:
        route = next(one for one in console_routes() if str(one) == path)
        nobody = web.generic(method, at(route))
        assert nobody.status_code == (302 if method == "GET" else 401), path
        key = web.generic(method, at(route), headers={"Authorization": f"Bearer {world.wide_key}"})
        assert key.status_code == 403, path


@pytest.mark.parametrize("path", ["/overview"])
def test_who_chose_no_organization_is_asked_to(world: World, browser_of: Any, path: str) -> None:
    from apps.orgs.models import Membership

    Membership.objects.create(user=world.ada, organization=world.zenith, role="viewer")
    assert browser_of(world.ada).get(path)["Location"] == "/account"
