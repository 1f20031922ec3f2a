"""`manage.py createsuperuser` and `changepassword`: Django's, and in the audit log."""

from __future__ import annotations

import getpass
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.orgs.audit import SYSTEM
from apps.orgs.models import AuditEntry, User
from apps.orgs.tokens import begin

pytestmark = pytest.mark.django_db


def entries() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "actor", "object_name"))


def test_a_superuser_is_in_the_audit_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "Correct horse 9")
    call_command("createsuperuser", email="root@acme.example", interactive=False, stdout=StringIO())
    assert entries() == [("user.create", "manage.py", "root@acme.example")]
    after = AuditEntry.objects.get().after or {}
    assert (after["is_staff"], after["is_superuser"]) == (True, True)
    assert "password" not in after
    User.objects.create_user("later@acme.example")
    assert len(entries()) == 1


def test_a_password_is_in_the_audit_log_and_ends_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user("ada@acme.example", "before it all")
    begin(user, SYSTEM)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "Correct horse 9")
    call_command("changepassword", "Ada@Acme.example", stdout=StringIO())
    assert entries()[-1] == ("user.password", "manage.py", "ada@acme.example")
    assert AuditEntry.objects.latest("id").after is None
    user.refresh_from_db()
    assert user.check_password("Correct horse 9")
    assert not user.sign_ins.filter(revoked_at=None).exists()


def test_the_person_has_to_be_named() -> None:
    with pytest.raises(CommandError, match=r"changepassword ada@acme\.example"):
        call_command("changepassword", stdout=StringIO())
