"""The address of every page of the console, with something to show on it: an example of each object that a path names.

A page that is added is found by its route. Where its path names a kind of object that is new here, `LookupError` says
what to add.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from apps.console.models import SavedView
from apps.ingest.models import DeadLetter
from apps.orgs.models import Organization, Project, User
from tests.support.callers import MAKERS, Example, lift_limits, make_examples
from tests.support.story import tell
from tests.support.surface import Route, console_routes
from tests.support.world import World

# Named by the story, or by the figures themselves.
TOLD = {"user_id": "user-1", "trace_id": f"{1:032x}", "session_id": "session-3", "name": "model", "deed": "pause"}
# Where the console's word for a kind of object is not the API's.
CALLED = {"exports": "jobs"}
# What a page needs to have something to say.
QUERIES = {
    "/models/compare": "models=gpt-4o&models=claude-sonnet-4-5",
    "/start/arrived": "project=default&since=2026-01-01T00:00:00Z",
}
BARRED = re.compile(r"^/(overview|costs|performance|quality|models|traces|conversations|users)(/|$)")


def furnish(world: World) -> dict[str, str]:
    """Fill Acme with one of everything; route -> address of every page that is asked with GET."""
    lift_limits(world.acme)
    # Whoever runs the installation sees its pages, too.
    User.objects.filter(pk=world.ada.pk).update(is_superuser=True)
    examples = make_examples(world)
    for _ in range(3):  # each asks for its own sum: pages ask for three at a time
        MAKERS["budgets"](world.acme, world.default, world.ada)
    tell(world)
    return {str(route): address(route, examples) for route in pages()}


def pages() -> Iterator[Route]:
    return (route for route in console_routes() if route.needs("GET") is not None)


def address(route: Route, examples: dict[str, Example]) -> str:
    values = {name: named(route, name, examples) for name in route.parameters}
    query = [QUERIES.get(str(route), ""), "range=7d" if BARRED.match(str(route)) else ""]
    asked = "&".join(part for part in query if part)
    return route.at(**values) + (f"?{asked}" if asked else "")


def named(route: Route, name: str, examples: dict[str, Example]) -> str:
    before = re.search(rf"([^/{{}}]+)/{{{name}}}", str(route))
    kind = before[1] if before else name
    if name in TOLD:
        return quote(TOLD[name], safe="")
    kind = CALLED.get(kind, kind)
    if kind in MADE:
        return str(MADE[kind](Organization.objects.get(slug="acme")).pk)
    if kind not in examples:
        raise LookupError(
            f"{route}: no example for {{{name}}}. Add one under '{kind}' to TOLD or MADE in "
            "tests/console/furnished.py, or, if the API names such objects too, to MAKERS in tests/support/callers.py."
        )
    own = examples[kind].own
    return str(getattr(own, name, None) or own.pk)


def _view(organization: Organization) -> SavedView:
    owner = User.objects.get(email="ada@acme.example")
    name = f"view {SavedView.objects.count()}"
    return SavedView.objects.create(organization=organization, owner=owner, name=name, query="status=error")


def _letter(organization: Organization) -> DeadLetter:
    project = Project.objects.get(organization=organization, slug="default")
    kept = {"reason": "schema", "message": "start_time is missing", "payload": "{}"}
    return DeadLetter.objects.create(project_id=project.pk, source="json", trace_id="goes", **kept)


# Kinds of objects that only pages name.
MADE: dict[str, Callable[[Organization], Any]] = {"views": _view, "letters": _letter}


def more_of_everything(world: World) -> None:
    """Several more of every object that pages list, and ten times the spans, under other names."""
    for _ in range(4):
        make_examples(world)
        for make in MADE.values():
            make(world.acme)
    more_spans(world, 10)


def more_spans(world: World, times: int) -> None:
    """The story told again by others: other users, models, conversations and traces."""
    from tests.support.story import spans

    told = [spans(datetime.now(UTC) - timedelta(minutes=turn)) for turn in range(1, times + 1)]
    made = [span | renamed(span, turn, number) for turn, one in enumerate(told, 1) for number, span in enumerate(one)]
    for first in range(0, len(made), 500):
        answer = world.send("POST", "/api/v1/traces", {"spans": made[first : first + 500]}, key=world.key)
        assert answer.json()["rejected"] == [], answer.content


def renamed(span: dict[str, Any], turn: int, number: int) -> dict[str, Any]:
    changed = {"trace_id": f"{turn:08x}{span['trace_id'][8:]}", "span_id": f"{turn:04x}{span['span_id'][4:]}"}
    if "parent_span_id" in span:
        changed["parent_span_id"] = f"{turn:04x}{span['parent_span_id'][4:]}"
    for name in ("user_id", "session_id", "model"):
        if span.get(name):
            changed[name] = f"{span[name]}-{turn}-{number % 3}"
    return changed
