"""The price book: prices of the organization's own, what holds for a model, and the history of every entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.contrib import messages
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.parameters import check_parameters
from apps.console.asking import ask, may, send
from apps.console.page import page
from apps.console.pages.settings.common import asked_once, settings_page, the
from apps.console.pages.settings.forms import ApiForm, Flag, Line, Lines, Moment, Pick, Query, number_of
from apps.costs.pricebook.checks import SERVICE_TIERS
from apps.costs.pricebook.kinds import PRICE_KINDS
from apps.costs.pricebook.models import PriceVersion

LIST: Final = "/settings/prices"
READ: Final = "costs:read"
MANAGE: Final = "costs:manage"
REPRICE: Final = "What is stored keeps its cost until it is repriced."
# Most entries price these; the other kinds are in a field of lines.
COMMON: Final = ("input", "output", "cache_read", "cache_write")
FURTHER: Final = tuple(kind for kind in PRICE_KINDS if kind not in COMMON)
MATCHES: Final = tuple(zip(PriceVersion.Match.values, ("This name", "Names that begin so", "Expression"), strict=True))
_KIND: Final = re.compile(r"([a-z0-9_]+)[ =]+\$?([0-9.]+)")


class LookForm(Query):
    """Which entries: those that fit a call."""

    model = Line(label="Model")
    provider = Line(label="Provider", help_text="Of the call.")
    as_of = Moment(label="At", help_text="When the call began. Empty: now.")


class PriceForm(ApiForm):
    """What an entry says."""

    renamed: ClassVar[Mapping[str, str]] = {
        "prices": "input",
        "prices.*": "further",
        **{f"prices.{kind}": kind if kind in COMMON else "further" for kind in PRICE_KINDS},
    }
    model = Line(label="Model", help_text="As spans name it, the beginning of names, or an expression.")
    match = Pick(MATCHES, initial="exact", label="It fits")
    provider = Line(null=True, label="Provider", help_text="Empty: any.")
    service_tier = Pick([("", "Any"), *((name, name) for name in SERVICE_TIERS)], null=True, label="Service tier")
    input = Line(label="Input", help_text="Dollars a million tokens.")
    output = Line(label="Output", help_text="Dollars a million tokens.")
    cache_read = Line(label="Read from a cache", help_text="Dollars a million tokens. Empty: as input.")
    cache_write = Line(label="Written to a cache", help_text="Dollars a million tokens. Empty: as input.")
    further = Lines(
        label="Further prices",
        help_text=f"One a line, such as “request 0.01”. Kinds: {', '.join(FURTHER)}.",
    )
    tiers = Lines(
        label="Prices of larger prompts",
        help_text="One tier a line: the prompt tokens above which it holds, then its prices, such as "
        "“200000: input 2, output 9”.",
    )
    effective_from = Moment(label="Holds from", help_text="For calls that began then or later.")
    effective_to = Moment(label="Holds until", help_text="Not included. Empty: until further notice.")
    source = Line(label="Source", max_length=500, help_text="Where the price is written down.")
    note = Line(label="Note", max_length=1000)

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body(changed=changed)
        kinds = (*COMMON, "further")
        made = {name: value for name, value in found.items() if name not in kinds}
        if not changed or any(name in found for name in kinds):
            made["prices"] = self._prices()
        return made

    def _prices(self) -> dict[str, str]:
        given = {kind: self.cleaned_data[kind] for kind in COMMON if self.cleaned_data.get(kind)}
        return {**given, **self.cleaned_data.get("further", {})}

    def clean_further(self) -> dict[str, str]:
        return dict(entry for line in self.cleaned_data["further"] for entry in _kinds(line).items())

    def clean_tiers(self) -> list[dict[str, Any]]:
        found = []
        for line in self.cleaned_data["tiers"]:
            above, colon, prices = line.partition(":")
            if not colon:
                raise ValidationError("A tier is written as “200000: input 2, output 9”.")
            found.append({"above": number_of(above.strip().replace(",", "")), "prices": _kinds(prices)})
        return found


class NewPriceForm(PriceForm):
    """An entry to add: it holds from now on, unless told otherwise."""

    always = Flag(label="From the beginning", help_text="For all calls that ever began, in the place of a time.")
    effective_from = Moment(label="Holds from", help_text="Empty: from now on.")
    field_order = (
        *("model", "match", "provider", "service_tier", *COMMON, "further", "tiers"),
        *("effective_from", "always", "effective_to", "source", "note"),
    )

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body()
        always = found.pop("always", False)
        if always:
            found["effective_from"] = None
        elif not found.get("effective_from"):
            found.pop("effective_from", None)  # null would be from the beginning
        return found


def _kinds(text: str) -> dict[str, str]:
    """`input 2, output 9` as prices by kind. Raises ValidationError for what is none."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = [_KIND.fullmatch(part) for part in parts]
    if not parts or not all(found):
        raise ValidationError("Prices are written as “input 2, output 9”, in dollars.")
    return {match[1]: match[2] for match in found if match is not None}


def plain(value: Any) -> str:
    """A price without needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with its prices as (name, dollars, unit), and its tiers as lines."""
    rows = [(kind, plain(entry["prices"][kind]), PRICE_KINDS[kind].unit) for kind in _ordered(entry["prices"])]
    tiers = [f"{tier['above']}: {_line(tier['prices'])}" for tier in entry["tiers"]]
    return {**entry, "rows": rows, "tier_lines": tiers}


def _ordered(prices: Mapping[str, Any]) -> list[str]:
    return [kind for kind in (*COMMON, *FURTHER) if kind in prices]


def _line(prices: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind} {plain(prices[kind])}" for kind in _ordered(prices))


def _initial(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the form has it."""
    prices = {kind: plain(value) for kind, value in entry["prices"].items()}
    return {
        **{name: entry[name] for name in ("model", "match", "provider", "service_tier", "source", "note")},
        **{name: entry[name] for name in ("effective_from", "effective_to")},
        **{kind: prices.get(kind, "") for kind in COMMON},
        "further": [f"{kind} {prices[kind]}" for kind in FURTHER if kind in prices],
        "tiers": shown(entry)["tier_lines"],
    }


@page(READ)
def prices(request: HttpRequest) -> HttpResponse:
    """The book; with a model what fits it, what is bundled, and what holds."""
    check_parameters(request, {"cursor", "model", "provider", "as_of"})
    form = LookForm(request)
    asked = form.parameters()
    answer = ask(request, "costs/prices", {**asked, "limit": 100, "cursor": request.GET.get("cursor")})
    form.refuse_answer(answer)
    document = answer.document if answer.ok else {}
    context = {
        "title": "Prices",
        "form": form,
        "asked": asked,
        "answer": answer,
        "rows": [shown(row) for row in document.get("data", ())],
        "listed": [shown(row) for row in document.get("listed", ())],
        "holds": document.get("holds"),
        "further": form.address(cursor=document.get("pagination", {}).get("next_cursor")),
        "manages": may(request, MANAGE),
    }
    return settings_page(request, "prices", "prices.html", context, form.status)


@page(MANAGE, POST=MANAGE)
def new_price(request: HttpRequest) -> HttpResponse:
    """Add an entry."""
    check_parameters(request, {"model", "provider"})
    form = NewPriceForm(request, initial={"model": request.GET.get("model"), "provider": request.GET.get("provider")})
    if request.method == "POST" and form.is_valid():
        answer = send(request, "POST", "costs/prices", form.body())
        if answer.ok:
            messages.success(request, f"The price of {answer.document['model']} is used within ten seconds. {REPRICE}")
            return redirect(f"{LIST}/{answer.document['id']}")
        form.refuse(answer)
    context = {"title": "New price", "form": form, "button": "Add the price", "back": LIST}
    return settings_page(request, "prices", "one_form.html", context, form.status)


@page(READ, POST=MANAGE)
def price(request: HttpRequest, number: int) -> HttpResponse:
    """One entry: what it says, what it said, and what can be changed. A change makes its next version."""
    check_parameters(request, ())
    row = the(ask(request, f"costs/prices/{number}")).document
    form = PriceForm(request, initial=_initial(row))
    if request.method == "POST" and form.is_valid():
        version = number_of(request.POST.get("version", ""))
        answer = send(
            request, "PATCH", f"costs/prices/{number}", {**form.body(changed=True), "expected_version": version}
        )
        if answer.ok:
            messages.success(request, f"Saved; it is used within ten seconds. {REPRICE}")
            return redirect(request.path)
        form.refuse(answer)
    context = {
        "title": row["model"],
        "row": shown(row),
        "history": [shown(state) for state in reversed(row["history"])],
        "form": form,
        "manages": may(request, MANAGE),
        "back": LIST,
        "version": request.POST.get("version", row["version"]),
    }
    return settings_page(request, "prices", "price.html", context, form.status)


@page(MANAGE, POST=MANAGE)
def end_price(request: HttpRequest, number: int) -> HttpResponse:
    """Ask once, then end an entry from now on, or for all calls."""
    check_parameters(request, ())
    row = the(ask(request, f"costs/prices/{number}")).document
    withdraw = {"withdraw": "true"} if request.POST.get("withdraw") else {}
    sentences = [
        "Calls from now on are priced by the next entry that fits, else by the bundled price list. Its history stays.",
        REPRICE,
    ]
    return asked_once(
        request,
        "prices",
        lambda: send(request, "DELETE", f"costs/prices/{number}", parameters=withdraw),
        done=f"The price of {row['model']} {'is withdrawn' if withdraw else 'has ended'}. {REPRICE}",
        after=LIST,
        title=f"End the price of {row['model']}?",
        sentences=sentences,
        button="End the price",
        tick=("withdraw", "Withdraw it: let it hold for no call at all, past ones included, as if it had not been"),
        back=f"{LIST}/{number}",
    )
