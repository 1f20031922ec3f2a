"""`manage.py hub_cache clear`."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.common import valkey
from apps.common.reads import caching
from apps.orgs.models import Organization

pytestmark = pytest.mark.django_db
HASH = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    caching.clear()
    yield
    caching.clear()


def run(**options: Any) -> str:
    out = StringIO()
    call_command("hub_cache", "clear", stdout=out, **options)
    return out.getvalue().strip()


def keep(*names: str) -> None:
    for name in names:
        valkey.call(lambda client, name=name: client.set(name, "x", px=60_000))  # type: ignore[misc]


def left(*names: str) -> list[str]:
    return [name for name in names if valkey.call(lambda client, name=name: client.get(name))]  # type: ignore[misc]


def test_one_organizations_answers_go_and_nothing_else() -> None:
    acme, zenith = (Organization.objects.create(slug=slug, name=slug) for slug in ("acme", "zenith"))
    ours = [f"hub:metrics:{acme.pk}:{HASH}", f"hub:costs:{acme.pk}:{HASH}", f"hub:metrics:{acme.pk}:{HASH}:lock"]
    others = [f"hub:metrics:{zenith.pk}:{HASH}", f"hub:limit:{{{acme.pk}}}:key:{acme.pk}:requests", "hub:1:something"]
    keep(*ours, *others)
    assert run(organization="acme") == "3 entries dropped"
    assert left(*ours, *others) == others
    assert run() == "1 entries dropped"
    assert left(*others) == others[1:]


def test_an_unknown_organization_is_refused() -> None:
    with pytest.raises(CommandError, match="no organization 'nobody'"):
        run(organization="nobody")


def test_an_absent_cache_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(function: Any) -> Any:
        raise valkey.CacheDown("away")

    monkeypatch.setattr(valkey, "call", away)
    with pytest.raises(CommandError, match="cannot be asked: away"):
        run()
    monkeypatch.undo()
