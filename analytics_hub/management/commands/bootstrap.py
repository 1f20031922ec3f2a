"""`manage.py bootstrap`: an organization, a project, a first member and a key, ready to send spans with."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import OperationalError, ProgrammingError

from apps.common.errors import ApiError
from apps.orgs.services import Bootstrapped, organization_bootstrap

UNREACHABLE = (
    "the database cannot be reached. Is the hub running, and are HUB_DATA_DIR or DATABASE_URL the same as the hub's?"
)
UNPREPARED = "the database is not prepared. Run 'manage.py prepare', or start the hub with 'manage.py up'."


class Command(BaseCommand):
    help = (
        "Make what is missing of an organization, a project and its first member (an admin), and print a fresh API "
        "key for the project. Safe to repeat: what exists is left as it is, only the key is new each time."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", required=True, help="slug, such as acme")
        parser.add_argument("--project", default="default", help="slug (default: %(default)s)")
        parser.add_argument("--email", required=True, help="the first member's address")
        parser.add_argument("--password", help="the first member's password (or HUB_BOOTSTRAP_PASSWORD)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--data-dir", help="the hub's data folder (HUB_DATA_DIR)")

    def handle(self, *args: Any, **options: Any) -> None:
        answer = describe(
            bootstrap(
                organization=options["organization"],
                project=options["project"],
                email=options["email"],
                password=options["password"] or os.environ.get("HUB_BOOTSTRAP_PASSWORD") or None,
            )
        )
        if options["json"]:
            self.stdout.write(json.dumps(answer))
            return
        for name, value in answer.items():
            text = ", ".join(value) or "nothing" if isinstance(value, list) else value
            self.stdout.write(f"{name:<16} {text}")


def bootstrap(*, organization: str, project: str, email: str, password: str | None) -> Bootstrapped:
    """
    Raises:
        CommandError: with one line that says what is wrong.
    """
    try:
        validate_email(email)
        return organization_bootstrap(organization=organization, project=project, email=email, password=password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    except ApiError as error:
        raise CommandError("; ".join(_sentences(error))) from None
    except OperationalError:
        raise CommandError(UNREACHABLE) from None
    except ProgrammingError:
        raise CommandError(UNPREPARED) from None


def _sentences(error: ApiError) -> list[str]:
    if isinstance(error.details, list):
        return [f"{item['field']}: {item['message']}" for item in error.details]
    return [error.message]


def describe(made: Bootstrapped) -> dict[str, Any]:
    """What the command prints."""
    return {
        "organization": made.organization.slug,
        "organization_id": made.organization.pk,
        "project": made.project.slug,
        "project_id": made.project.pk,
        "email": made.user.email,
        "api_key": made.api_key,
        "created": list(made.created),
    }
