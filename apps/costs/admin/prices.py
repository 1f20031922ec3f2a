"""The price book under /admin/: entries made, changed, ended and withdrawn by the services that the API uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

from apps.common.errors import ApiError
from apps.costs.pricebook.checks import MAX_NAME, SERVICE_TIERS
from apps.costs.pricebook.kinds import PRICE_KINDS
from apps.costs.pricebook.models import PriceEntry, PriceVersion
from apps.costs.pricebook.services import price_create, price_end, price_update
from apps.orgs.admin.audit import OrganizationFilter
from apps.orgs.admin.base import Lines, ServiceAdmin, ServiceForm
from apps.orgs.admin.deeds import Deed
from apps.orgs.audit import Actor
from apps.orgs.services import ANYTHING

ANY = [("", "any")]
MOST_STATES = 50
_STATED = ("provider", "match", "model", "service_tier", "effective_from", "effective_to", "source", "note")


def last_state(entry: PriceEntry) -> PriceVersion:
    """What an entry says, or said at last; fetched before where there are many."""
    fetched: list[PriceVersion] | None = getattr(entry, "last", None)
    found = fetched[0] if fetched else entry.versions.order_by("-number").first()
    assert found is not None  # an entry is made with its first state
    return found


class PriceForm(ServiceForm):
    """What an entry says. Prices stand one a line: a kind and dollars."""

    provider = forms.CharField(required=False, max_length=MAX_NAME, help_text="Empty: any.")
    match = forms.ChoiceField(choices=PriceVersion.Match.choices)
    model = forms.CharField(max_length=MAX_NAME, help_text="A name, the beginning of one, or a regular expression.")
    service_tier = forms.ChoiceField(required=False, choices=[*ANY, *((name, name) for name in SERVICE_TIERS)])
    effective_from = forms.SplitDateTimeField(
        required=False, widget=AdminSplitDateTime, help_text="For calls from then on; empty: from now on."
    )
    always = forms.BooleanField(required=False, label="From the beginning", help_text="For all calls before, too.")
    effective_to = forms.SplitDateTimeField(
        required=False, widget=AdminSplitDateTime, help_text="Not included; empty: until further notice."
    )
    prices = Lines(
        help_text="One a line, such as: input 2.5. Dollars a million tokens or characters, or for one of the others. "
        f"Kinds: {', '.join(PRICE_KINDS)}."
    )
    tiers = Lines(
        required=False,
        help_text="Prices of larger prompts, one a line, such as: 200000 input 5 for prompts above 200,000 tokens.",
    )
    source = forms.CharField(required=False, max_length=500, help_text="Where the price is written down.")
    note = forms.CharField(required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    expected_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk is not None:
            state = last_state(self.instance)
            self.initial.update({name: getattr(state, name) for name in _STATED})
            self.initial["always"] = state.effective_from is None
            self.initial["prices"] = [f"{kind} {price}" for kind, price in state.prices.items()]
            self.initial["tiers"] = [
                f"{tier['above']} {kind} {price}" for tier in state.tiers for kind, price in tier["prices"].items()
            ]
            self.initial["expected_version"] = state.number


def _given(data: Mapping[str, Any]) -> dict[str, Any]:
    """The form's texts as the service takes them."""
    given = {name: data[name] for name in _STATED if name in data}
    for name in ("provider", "service_tier"):
        if name in given:
            given[name] = given[name] or None
    if "prices" in data:
        given["prices"] = dict(_words(line, 2, "prices") for line in data["prices"])
    if "tiers" in data:
        given["tiers"] = _tiers(data["tiers"])
    if data.get("always"):
        given["effective_from"] = None
    elif given.get("effective_from", "") is None:  # an emptied field: what holds without one is the service's to say
        del given["effective_from"]
    return given


def _words(line: str, number: int, field: str) -> list[str]:
    words = line.replace(":", " ").split()
    if len(words) != number:
        raise ApiError(1203, f"This line has not {number} words: {line[:100]}", field=field)
    return words


def _tiers(lines: list[str]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, str]] = {}
    for line in lines:
        above, kind, price = _words(line, 3, "tiers")
        if not (above.isascii() and above.isdecimal() and len(above) < 12):
            raise ApiError(1203, f"A line begins with a number of prompt tokens: {line[:100]}", field="tiers")
        found.setdefault(int(above), {})[kind] = price
    return [{"above": above, "prices": prices} for above, prices in found.items()]


def _end(actor: Actor, entry: PriceEntry) -> None:
    price_end(actor=actor, by=ANYTHING, entry=entry)


def _withdraw(actor: Actor, entry: PriceEntry) -> None:
    price_end(actor=actor, by=ANYTHING, entry=entry, withdraw=True)


def state_of(entry: PriceEntry) -> str:
    """Whether an entry holds."""
    last, now = last_state(entry), timezone.now()
    if last.superseded_at is not None:
        return "withdrawn"
    if last.effective_to is not None and last.effective_to <= now:
        return "ended"
    return "to come" if last.effective_from is not None and last.effective_from > now else "holds"


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in ("holds", "to come", "ended", "withdrawn")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        chosen = {
            "holds": Q(effective_from=None) | Q(effective_from__lte=now),
            "to come": Q(effective_from__gt=now),
            "ended": Q(effective_to__lte=now),
            "withdrawn": Q(),
        }.get(self.value() or "")
        if chosen is None:
            return queryset
        believed = PriceVersion.objects.filter(entry=OuterRef("pk"), superseded_at=None)
        if self.value() == "withdrawn":
            return queryset.filter(~Exists(believed))
        if self.value() != "ended":
            believed = believed.filter(Q(effective_to=None) | Q(effective_to__gt=now))
        return queryset.filter(Exists(believed.filter(chosen)))


@admin.register(PriceEntry)
class PriceAdmin(ServiceAdmin):
    form = PriceForm
    object_type = "price"
    findable = True
    offers = frozenset({"add", "change"})
    list_display = ("models", "organization", "provider", "tier", "priced", "since", "until", "state")
    list_select_related = ("organization",)
    list_filter = (StateFilter, OrganizationFilter)
    search_fields = ("pk",)  # what is found is said below
    search_help_text = "A part of a model's or a provider's name, or of an organization's slug."
    sortable_by = ()
    ordering = ("-id",)
    autocomplete_fields = ("organization",)
    deeds = {
        "end": Deed("End it now", "End the chosen prices now", "Ended", _end, lambda one: state_of(one) == "holds"),
        "withdraw": Deed(
            "Withdraw it", "Withdraw the chosen prices: they hold for no call at all", "Withdrawn", _withdraw,
            lambda one: state_of(one) != "withdrawn", danger=True,
        ),
    }  # fmt: skip
    sheet = (*("pk", *list_display), "tiers", "source", "note", "author")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        which = ("organization", "provider", "match", "model", "service_tier")
        holding = ("effective_from", "always", "effective_to", "prices", "tiers", "source", "note", "expected_version")
        asked = ((None, {"fields": which}), ("What it costs", {"fields": holding}))
        return (*asked, ("What it said", {"fields": ("state", "history")})) if obj else asked

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("organization", "state", "history") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last = PriceVersion.objects.order_by("entry_id", "-number").distinct("entry_id")
        found = super().get_queryset(request).select_related("organization")
        return found.prefetch_related(Prefetch("versions", last, to_attr="last"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """In what entries say, and in the names of those that were withdrawn."""
        term = search_term.strip()
        if not term:
            return queryset, False
        said = PriceVersion.objects.filter(entry=OuterRef("pk"))
        named = said.filter(Q(model__icontains=term) | Q(provider__icontains=term))
        return queryset.filter(Exists(named) | Q(organization__slug__icontains=term)), False

    # -- what is shown

    @admin.display(description="model")
    def models(self, entry: PriceEntry) -> str:
        last = last_state(entry)
        return f"{last.model}…" if last.match == PriceVersion.Match.PREFIX else last.model

    @admin.display
    def provider(self, entry: PriceEntry) -> str:
        return last_state(entry).provider or "any"

    @admin.display
    def tier(self, entry: PriceEntry) -> str:
        return last_state(entry).service_tier or "any"

    @admin.display(description="dollars")
    def priced(self, entry: PriceEntry) -> str:
        return _priced(last_state(entry))

    @admin.display(description="from")
    def since(self, entry: PriceEntry) -> Any:
        return last_state(entry).effective_from or "the beginning"

    @admin.display(description="to")
    def until(self, entry: PriceEntry) -> Any:
        return last_state(entry).effective_to or "-"

    @admin.display
    def state(self, entry: PriceEntry) -> str:
        return state_of(entry)

    @admin.display
    def tiers(self, entry: PriceEntry) -> Any:
        return last_state(entry).tiers or ""

    @admin.display
    def source(self, entry: PriceEntry) -> str:
        return last_state(entry).source

    @admin.display
    def note(self, entry: PriceEntry) -> str:
        return last_state(entry).note

    @admin.display
    def author(self, entry: PriceEntry) -> str:
        return last_state(entry).author

    @admin.display(description="states, the newest first")
    def history(self, entry: PriceEntry) -> str:
        """What it said when, by whose hand."""
        rows = (
            (one.number, date_format(one.recorded_at, "Y-m-d H:i"), one.author, one.model, _priced(one), _held(one))
            for one in entry.versions.order_by("-number")[:MOST_STATES]
        )
        names = ("version", "written", "by", "model", "dollars", "for calls")
        head = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in names))
        body = format_html_join("", "<tr>" + "<td>{}</td>" * len(names) + "</tr>", rows)
        table = format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)
        return format_html('<div class="wide" tabindex="0">{}</div>', table)

    def described(self, one: PriceEntry) -> str:
        return f"{self.models(one)}, {state_of(one)}, of {one.organization}"

    # -- what is done

    def make(self, actor: Actor, data: dict[str, Any]) -> PriceEntry:
        return price_create(actor=actor, by=ANYTHING, organization=data["organization"], **_given(data)).entry

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> PriceEntry:
        given = _given(data)
        if "expected_version" in data:  # another one than the entry's: somebody was quicker
            given["expected_version"] = data["expected_version"]
        return price_update(actor=actor, by=ANYTHING, entry=present, **given).entry


def _priced(state: PriceVersion) -> str:
    more = f", {len(state.tiers)} tiers" if state.tiers else ""
    return ", ".join(f"{kind} {price}" for kind, price in state.prices.items()) + more


def _held(state: PriceVersion) -> str:
    begin, end = (
        date_format(moment, "Y-m-d H:i") if moment else "" for moment in (state.effective_from, state.effective_to)
    )
    return f"from {begin or 'the beginning'}{f' to {end}' if end else ''}"
