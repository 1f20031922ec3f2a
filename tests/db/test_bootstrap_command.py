"""`manage.py bootstrap` and what it prints."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from apps.orgs.authentication import authenticate_request
from apps.orgs.models import ApiKey, Organization, User

pytestmark = pytest.mark.django_db
ACME = {"organization": "acme", "project": "default", "email": "Ada@Acme.example", "password": "correct horse"}


def run(**changes: Any) -> str:
    out = StringIO()
    call_command("bootstrap", stdout=out, **{**ACME, "json": True, **changes})
    return out.getvalue()


def test_makes_everything_once_and_a_key_each_time() -> None:
    first, second = json.loads(run()), json.loads(run(password="another"))
    assert first["created"] == ["organization", "project", "user", "membership"]
    assert second["created"] == []
    same = ("organization", "organization_id", "project", "project_id", "email")
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert first["email"] == "ada@acme.example"
    assert first["api_key"] != second["api_key"]
    user = User.objects.get()
    assert user.check_password("correct horse")
    assert {key.role for key in ApiKey.objects.all()} == {"admin"}
    assert {key.project_id for key in ApiKey.objects.all()} == {first["project_id"]}


def test_both_keys_work() -> None:
    for answer in (json.loads(run()), json.loads(run())):
        request = RequestFactory().get("/", headers={"X-API-Key": answer["api_key"]})
        assert authenticate_request(request).organization_id == answer["organization_id"]


def test_the_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_BOOTSTRAP_PASSWORD", "from outside")
    run(password=None)
    assert User.objects.get().check_password("from outside")


def test_text_without_json() -> None:
    lines = dict(line.split(None, 1) for line in run(json=False).splitlines())
    assert lines["organization"] == "acme"
    assert lines["api_key"].startswith("ah_")


@pytest.mark.parametrize(
    "bad", [{"organization": "Not A Slug"}, {"project": "-x"}, {"email": "nobody"}, {"organization": "a" * 65}]
)
def test_a_bad_value_is_one_line_and_makes_nothing(bad: dict[str, str]) -> None:
    with pytest.raises(CommandError) as caught:
        run(**bad)
    assert "\n" not in str(caught.value)
    assert not Organization.objects.exists()
    assert not User.objects.exists()
