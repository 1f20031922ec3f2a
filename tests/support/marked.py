"""Zenith with a mark of its own in every text that it has, so that a trace of it anywhere is seen."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.utils import timezone

from apps.orgs.models import ApiKey, AuditEntry, Invitation, Membership, Project, RateLimit, Role, User
from tests.support.callers import bearer, lift_limits
from tests.support.world import World

SPANS = 12


def mark(field: str) -> str:
    """A text that stands nowhere else, and fits a slug, an e-mail address and a name."""
    return f"zq{field.replace('_', '')}zq"


@dataclass(frozen=True)
class Marked:
    """What is Zenith's: `texts` never belong in an answer to anybody else; `ids` are its numbers and keys."""

    texts: frozenset[str]
    ids: tuple[str, ...]


def mark_zenith(world: World) -> Marked:
    """Name everything of Zenith's after a mark, and give it spans that hold marks too."""
    lift_limits(world.zenith)
    texts = {world.zenith.slug: "", **_name_tenant(world)}
    trace_ids = [secrets.token_hex(16) for _ in range(SPANS // 3)]
    texts |= dict.fromkeys(trace_ids, "") | _send_spans(world, trace_ids)
    numbers: list[str] = []
    for model in (Project, ApiKey, Invitation, Membership):
        rows: Any = model._default_manager.filter(organization=world.zenith)
        numbers += [str(row.pk) for row in rows]
        texts |= {row.public_id: "" for row in rows if isinstance(row, ApiKey)}
    numbers += [str(entry.pk) for entry in AuditEntry.objects.filter(organization_id=world.zenith.pk)]
    return Marked(frozenset(texts), (str(world.zenith.pk), *numbers, *texts))


def _name_tenant(world: World) -> dict[str, str]:
    world.zenith.slug, world.zenith.name = mark("slug"), mark("organization")
    world.zenith.save()
    world.zenith_project.slug, world.zenith_project.name = mark("project"), mark("project_name")
    world.zenith_project.save()
    cleo = User.objects.get(email="cleo@z.example")
    cleo.email, cleo.name = f"{mark('user')}@z.example", mark("person")
    cleo.save()
    ApiKey.objects.filter(organization=world.zenith).update(name=mark("key"), created_by=cleo)
    RateLimit.objects.filter(organization=world.zenith).update(per_minute=98_765_431)
    Invitation.objects.create(
        organization=world.zenith,
        email=f"{mark('guest')}@z.example",
        role=Role.ADMIN,
        token_sha256=secrets.token_hex(32),
        expires_at=timezone.now() + timedelta(days=7),
        invited_by=cleo,
    )
    AuditEntry.objects.create(
        organization_id=world.zenith.pk,
        project_id=world.zenith_project.pk,
        outcome=AuditEntry.Outcome.DENIED,
        actor_kind="user",
        actor_id=cleo.pk,
        actor=mark("actor"),
        action="key.create",
        object_type="key",
        object_id=mark("object_id"),
        object_name=mark("object"),
        before={"name": mark("before")},
        after={"name": mark("after")},
        request_id=mark("request"),
    )
    names = "slug organization project project_name user person key guest actor object_id object before after request"
    return {mark(name): "" for name in names.split()} | {"98765431": ""}


_TEXTS = (
    *("name", "provider", "model", "environment", "user_id", "session_id", "error_type", "error_message", "input"),
    *("output", "release", "status_message"),
)


def _send_spans(world: World, trace_ids: list[str]) -> dict[str, str]:
    texts = {field: mark(field) for field in _TEXTS}
    more = {"tags": [mark("tag"), f"team:{mark('team')}"], "attributes": {mark("attribute"): mark("value")}}
    send_spans(world, world.zenith_key, trace_ids, {**texts, **more})
    return {mark(field): "" for field in (*_TEXTS, "tag", "team", "attribute", "value")}


def send_spans(world: World, key: str, trace_ids: list[str], texts: dict[str, Any]) -> None:
    """A few spans of two hours ago, with these texts in them."""
    began = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
    spans = [
        {
            **texts,
            "trace_id": trace_ids[number % len(trace_ids)],
            "kind": "llm",
            "status": "error" if number % 2 else "ok",
            "start_time": (began + timedelta(minutes=number)).isoformat(),
            "duration_ms": 100 + number,
            "prompt_tokens": 1_000,
            "completion_tokens": 77,
            "cost_usd": 12.5,
        }
        for number in range(SPANS)
    ]
    answer = world.client.post(
        "/api/v1/traces",
        orjson.dumps({"spans": spans}),
        content_type="application/json",
        headers=bearer(key),
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["accepted"] == SPANS, answer.content
