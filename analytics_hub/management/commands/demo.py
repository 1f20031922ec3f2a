"""`manage.py demo`: an organization with a week of invented traffic, sent through the hub's own door."""

from __future__ import annotations

import json
import secrets
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from tqdm import tqdm

from analytics_hub.env import Env
from analytics_hub.management.commands.bootstrap import UNREACHABLE, bootstrap
from analytics_hub.runtime import read_runtime, write_private
from apps.orgs.models import ApiKey, User

ORGANIZATION, PROJECT, EMAIL = "demo", "default", "demo@example.com"
FRESH = timedelta(hours=2)


class Account(TypedDict):
    """How to get at the demo's data; kept in the data folder for its owner."""

    email: str
    password: str
    api_key: str
    project_id: int


class Command(BaseCommand):
    help = (
        "Make the organization 'demo' and send it some days of traffic with the OpenTelemetry SDK. Run again, it sends "
        "what has happened since. Needs a running hub on the same data folder."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="how many days of traffic (default: %(default)s)")
        parser.add_argument("--url", help="the hub's address (default: the one that runs on the data folder)")
        parser.add_argument("--data-dir", help="the hub's data folder (HUB_DATA_DIR)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 80:
            raise CommandError("--days: must be from 1 to 80")
        env: Env = settings.HUB
        url = options["url"] or read_runtime(env.hub_data_dir).get("web_url")
        if not url:
            raise CommandError("no hub runs on this data folder. Start one with 'make up', or name it with --url.")
        try:
            account = demo_account(env.hub_data_dir / "demo.json")
            sent = send_traffic(url.rstrip("/"), account, timedelta(days=options["days"]))
            stored = _count(account["project_id"])
        except OperationalError:
            raise CommandError(UNREACHABLE) from None
        self.stdout.write(summary(url.rstrip("/"), account, sent, stored))


def demo_account(path: Path) -> Account:
    """The account of an earlier run as long as it is good, else a new one."""
    try:
        kept: Account = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {"email": EMAIL, "password": "", "api_key": "", "project_id": 0}
    if _key_works(kept) and _password_works(kept):
        return kept
    password = secrets.token_urlsafe(9)
    made = bootstrap(organization=ORGANIZATION, project=PROJECT, email=EMAIL, password=password)
    if "user" not in made.created:
        # The file with the password is gone, or the password was changed: the printed one must work.
        made.user.set_password(password)
        made.user.save()
    account: Account = {
        "email": EMAIL,
        "password": password,
        "api_key": made.api_key,
        "project_id": made.project.pk,
    }
    write_private(path, json.dumps(account))
    return account


def _key_works(account: Account) -> bool:
    parts = account["api_key"].split("_")
    keys = ApiKey.objects.filter(project_id=account["project_id"], revoked_at=None)
    return len(parts) == 3 and keys.filter(public_id=parts[1]).exists()


def _password_works(account: Account) -> bool:
    user = User.objects.filter(email=account["email"]).first()
    return user is not None and user.check_password(account["password"])


def send_traffic(url: str, account: Account, length: timedelta) -> int:
    """Send what the project has not got yet; how many spans that were.

    Raises:
        CommandError: the packages are missing, or the hub refuses the spans.
    """
    try:
        from analytics_hub.demo.send import Sender, SendError
        from analytics_hub.demo.story import traces
    except ModuleNotFoundError as error:
        raise CommandError(f"the package {error.name} is missing: pip install 'analytics-hub[demo]'") from None
    now = datetime.now(UTC)
    last = _last_span(account["project_id"], now)
    if last is not None and now - last < FRESH:
        return 0
    # A trace that began before the last span may be missing, so the hour before it goes again: it changes nothing.
    start = max(now - length, last - timedelta(hours=1)) if last else now - length
    story = list(traces(start, now))
    total = sum(len(trace.root) for trace in story)
    slow = 0.2 if sys.stderr.isatty() else 5.0
    with tqdm(total=total, unit=" spans", desc="demo data", mininterval=slow, file=sys.stderr) as bar:
        try:
            return Sender(url, account["api_key"], bar.update).send(story)
        except SendError as error:
            raise CommandError(str(error)) from None


def _last_span(project_id: int, now: datetime) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select max(start_time) from span where project_id = any(%s) and start_time <= %s", [[project_id], now]
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _count(project_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from span where project_id = any(%s)", [[project_id]])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def summary(url: str, account: Account, sent: int, stored: int) -> str:
    """What a newcomer needs: where, who, and three questions that can be pasted."""
    header = f"-H 'Authorization: Bearer {account['api_key']}'"
    metrics = '[{"metric": "duration", "aggregation": "p95"}, {"metric": "error_rate"}]'
    query = f'{{"metrics": {metrics}, "group_by": ["model"]}}'
    news = f"{sent:,} spans sent, {stored:,} stored" if sent else f"{stored:,} spans are there already"
    return f"""
Demo data: {news}.

  address   {url}
  sign-in   {account["email"]}
  password  {account["password"]}
  API key   {account["api_key"]}

Try:
  curl -s {header} '{url}/api/v1/metrics/summary?start_time={_days_ago(7)}'
  curl -s {header} '{url}/api/v1/metrics?metrics=total_cost,request_count&interval=1day&group_by=model'
  curl -s {header} -H 'Content-Type: application/json' -d '{query}' '{url}/api/v1/metrics/query'
"""


def _days_ago(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:00:00Z}"
