"""Changing one's own password."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.common.rates.limits import Verdict
from apps.orgs.models import AuditEntry, SignIn, User
from apps.orgs.pages import common
from tests.pages.conftest import PASSWORD

NEW = "another horse 18"


def change(web: Client, current: str = PASSWORD, password: str = NEW, again: str | None = None) -> Any:
    form = {"current": current, "password": password, "again": password if again is None else again}
    return web.post("/account/password", form)


def test_a_change_ends_everything_but_this_session(signed_in: Client, ada: User) -> None:
    other = Client()
    other.post("/login", {"email": ada.email, "password": PASSWORD})
    family = SignIn.objects.create(user=ada, current_jti="x", expires_at=timezone.now())
    before = signed_in.cookies["hub_session"].value
    answer = change(signed_in)
    assert answer["Location"] == "/account"
    assert signed_in.cookies["hub_session"].value != before
    assert "Your password is changed." in signed_in.get("/account").content.decode()
    assert other.get("/account").status_code == 302
    family.refresh_from_db()
    assert family.revoked_at is not None
    ada.refresh_from_db()
    assert ada.check_password(NEW)
    entry = AuditEntry.objects.get(action="user.password")
    assert (entry.outcome, entry.actor, entry.before, entry.after) == ("done", ada.email, None, None)


def test_the_present_password_is_asked(signed_in: Client, ada: User) -> None:
    answer = change(signed_in, current="wrong")
    assert answer.status_code == 400
    assert "This is not your present password." in answer.content.decode()
    assert AuditEntry.objects.get(action="user.password").outcome == "denied"
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", None, "too short"),
        ("password1234", None, "too common"),
        ("83749283749823", None, "entirely numeric"),
        ("ada@acme.example", None, "too similar"),
        (NEW, "something else", "differ"),
        ("", None, "required"),
        ("x" * 1025, None, "at most 1024"),
    ],
)
def test_a_weak_password_is_refused(signed_in: Client, ada: User, password: str, again: str | None, said: str) -> None:
    answer = change(signed_in, password=password, again=again)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_tries_are_counted(signed_in: Client, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "take", lambda charges: (Verdict(False, charges[0][0], 0, 0, 1), None))
    answer = change(signed_in)
    assert answer.status_code == 429
    assert "Try again in 1 second." in answer.content.decode()
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)
