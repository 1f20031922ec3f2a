"""Budgets: made, changed, deleted, and where their spending stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.parameters import check_parameters
from apps.console.asking import ask, may, send
from apps.console.bar import browser_zone, text_of
from apps.console.figures import typed_number
from apps.console.page import page, part
from apps.console.pages.settings.common import asked_once, listed, settings_page, the
from apps.console.pages.settings.forms import ApiForm, Flag, Line, Lines, Pick, Picks
from apps.costs.budgets.models import Period
from apps.orgs.door import principal_of

LIST: Final = "/settings/budgets"
READ: Final = "costs:read"
MANAGE: Final = "costs:manage"
PERIODS: Final = tuple(zip(Period.values, ("Day", "Week, from Monday", "Month", "Quarter"), strict=True))
# A scope's list, and the filter of the console that means the same.
SCOPES: Final = {
    "projects": "project",
    "providers": "provider",
    "models": "model",
    "environments": "environment",
    "users": "user_id",
}


class Amount(Line):
    """Dollars, exact; what is no number is sent as it was typed."""

    def prepare_value(self, value: Any) -> Any:
        return _plain(value) if isinstance(value, (Decimal, int)) else value

    def to_python(self, value: Any) -> Any:
        return typed_number(super().to_python(value).replace(",", "").removeprefix("$").strip())


class Shares(Line):
    """Parts of the amount in percent, with commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(_plain(Decimal(part) * 100) for part in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = [word.strip().removesuffix("%").strip() for word in super().to_python(value).split(",")]
        numbers = [typed_number(word) for word in words if word]
        return [number / 100 if isinstance(number, Decimal) else number for number in numbers]


def _plain(number: Decimal | int) -> str:
    text = format(Decimal(number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _names(label: str, text: str = "One a line. Empty: all.") -> Lines:
    return Lines(label=label, rows=2, help_text=text)


class BudgetForm(ApiForm):
    """What can be set of a budget."""

    renamed: ClassVar[Mapping[str, str]] = {}
    name = Line(label="Name", max_length=200)
    amount_usd = Amount(label="Amount", help_text="Dollars a period.")
    period = Pick(PERIODS, label="Period", initial="month")
    timezone = Line(label="Time zone", help_text="Whose calendar cuts the periods, such as Europe/Berlin.")
    thresholds = Shares(label="Thresholds", help_text="In percent of the amount, such as 50, 80, 100.")
    starts_on = Line(
        label="First day that counts",
        help_text="Empty: that of the running period.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    hard_stop = Flag(
        label="Hard stop", help_text="The status says so once it is spent, and clients stop. No span is refused."
    )
    active = Flag(label="Active", initial=True, help_text="Off: it is computed as ever, but never says stop.")
    projects = Picks(label="Projects", help_text="None ticked: all of the organization.")
    providers = _names("Providers")
    models = _names("Models", "One a line, as spans name them. Empty: all.")
    environments = _names("Environments")
    teams = _names("Teams", "One a line: what comes after team: in a tag. Empty: all.")
    users = _names("Users", "One a line, by user id. Empty: all.")

    def __init__(self, request: HttpRequest, **options: Any) -> None:
        super().__init__(request, **options)
        slugs = sorted(principal_of(request).project_ids)
        self.fields["projects"].choices = [(slug, slug) for slug in slugs]  # type: ignore[attr-defined]

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body(changed=changed)
        return {name: value for name, value in found.items() if name not in ("starts_on", "timezone") or value}


def scope_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a budget is limited to, as (what, names)."""
    return [(name, ", ".join(row[name])) for name in (*SCOPES, "teams") if row[name]]


def behind(row: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """The traces whose costs a budget sums up; nothing where no address says the same."""
    if row["teams"] or any("," in value for name in SCOPES for value in row[name]):
        return ""
    end = datetime.fromisoformat(state["period_end"]) + timedelta(days=1)
    times = {
        "range": "custom",
        "start_time": state["counted_from"],
        "end_time": text_of(end.replace(tzinfo=ZoneInfo(row["timezone"]))),
    }
    filters = {SCOPES[name]: ",".join(row[name]) for name in SCOPES if row[name]}
    return f"/traces?{urlencode({**times, **filters})}"


def toned(state: Mapping[str, Any]) -> str:
    """How a budget stands: bad where it is exceeded, warn where a threshold is reached or the forecast exceeds it."""
    forecast = state.get("forecast") or {}
    if state["exceeded"]:
        return "bad"
    reached = any(row["reached"] for row in state["thresholds"])
    return "warn" if reached or forecast.get("forecast_to_exceed") else "good"


@page(READ)
def budgets(request: HttpRequest) -> HttpResponse:
    """The budgets; where each of them stands is fetched as it comes into sight."""
    answer, further = listed(request, "budgets", limit=50)
    rows = [{**row, "scope": scope_of(row)} for row in answer.data] if answer.ok else []
    context = {"title": "Budgets", "answer": answer, "rows": rows, "further": further, "manages": may(request, MANAGE)}
    return settings_page(request, "budgets", "budgets.html", context)


@page(READ)
def budget_state(request: HttpRequest, number: int) -> HttpResponse:
    """A budget's state for the list."""
    check_parameters(request, ())
    answer = ask(request, f"budgets/{number}/status")
    context = {"answer": answer, "state": answer.document, "number": number, "zone": browser_zone(request)}
    context["tone"] = toned(answer.document) if answer.ok else ""
    return part(request, "console/settings/budget_state.html", context, 200 if answer.ok else answer.status)


@page(MANAGE, POST=MANAGE)
def new_budget(request: HttpRequest) -> HttpResponse:
    """Make a budget."""
    check_parameters(request, ())
    form = BudgetForm(request, initial={"timezone": browser_zone(request), "thresholds": "50, 80, 100"})
    if request.method == "POST" and form.is_valid():
        answer = send(request, "POST", "budgets", form.body())
        if answer.ok:
            messages.success(request, f"The budget {answer.document['name']} is made.")
            return redirect(f"{LIST}/{answer.document['id']}")
        form.refuse(answer)
    context = {"title": "New budget", "form": form, "button": "Make the budget", "back": LIST}
    return settings_page(request, "budgets", "one_form.html", context, form.status)


@page(READ, POST=MANAGE)
def budget(request: HttpRequest, number: int) -> HttpResponse:
    """One budget: where it stands, how its period will end, and what can be changed."""
    check_parameters(request, ())
    answer = the(ask(request, f"budgets/{number}"))
    row, state = answer.document, answer.document["state"]
    form = BudgetForm(request, initial=row)
    if request.method == "POST" and form.is_valid():
        said = send(request, "PATCH", f"budgets/{number}", form.body(changed=True))
        if said.ok:
            messages.success(request, "Saved.")
            return redirect(request.path)
        form.refuse(said)
    context = {
        "title": row["name"],
        "row": row,
        "state": state,
        "scope": scope_of(row),
        "tone": toned(state),
        "behind": behind(row, state),
        "answer": answer,
        "form": form,
        "manages": may(request, MANAGE),
        "back": LIST,
    }
    return settings_page(request, "budgets", "budget.html", context, form.status)


@page(MANAGE, POST=MANAGE)
def delete_budget(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then delete a budget."""
    check_parameters(request, ())
    row = the(ask(request, f"budgets/{number}", {"fields": "name,hard_stop"})).document
    sentences = ["Its definition is gone then; what was spent stays in every report."]
    if row["hard_stop"]:
        sentences.append("Clients that ask it whether to stop get 404 from then on.")
    return asked_once(
        request,
        "budgets",
        lambda: send(request, "DELETE", f"budgets/{number}"),
        done=f"The budget {row['name']} is deleted.",
        after=LIST,
        title=f"Delete “{row['name']}”?",
        sentences=sentences,
        button="Delete the budget",
        back=f"{LIST}/{number}",
    )
