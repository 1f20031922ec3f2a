"""Forms whose rules are the API's: they turn what was typed into a body, and show at each field what was refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest

from apps.console.asking import Answer
from apps.console.bar import browser_zone, text_of


def number_of(text: Any) -> Any:
    """A whole number that was typed as one; anything else as it is."""
    return int(text) if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,18}", text) else text


class Line(forms.CharField):
    """A line of text; empty is the empty text, or null where `null` says so."""

    def __init__(self, *, null: bool = False, **options: Any) -> None:
        self.null = null
        super().__init__(**{"required": False, **options})
        self.widget.attrs.setdefault("autocomplete", "off")

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return None if self.null and not text else text


class Whole(Line):
    """A whole number, empty for null. What is none is sent as it was typed: the API says what is wrong with it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": forms.TextInput(attrs={"inputmode": "numeric"}), "null": True, **options})

    def to_python(self, value: Any) -> Any:
        return number_of(super().to_python(value))


class Lines(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, *, rows: int = 3, **options: Any) -> None:
        area = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocomplete": "off"})
        super().__init__(**{"required": False, "widget": area, **options})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(list(initial or ()) != self.to_python(data))


class Moment(Line):
    """A time as the browser's own field gives it, in the zone of the page; empty for null."""

    def __init__(self, **options: Any) -> None:
        field = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"})
        super().__init__(**{"widget": field, "null": True, **options})
        self.zone = "UTC"  # the form sets it

    def prepare_value(self, value: Any) -> Any:
        try:
            found = datetime.fromisoformat(value)
            local = found if found.tzinfo is None else found.astimezone(ZoneInfo(self.zone))
        except (TypeError, ValueError, OverflowError):
            return value
        return local.strftime("%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            found = datetime.fromisoformat(text)
            return text_of(found.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC) if not found.tzinfo else found)
        except (TypeError, ValueError, OverflowError):
            return text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (self.prepare_value(initial) or "") != (self.prepare_value(data) or "")


class Flag(forms.BooleanField):
    """Yes or no."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, **options})


class Pick(forms.ChoiceField):
    """One of some; empty for null. The API says which there are."""

    def __init__(self, choices: Iterable[tuple[str, str]] = (), *, null: bool = False, **options: Any) -> None:
        self.null = null
        super().__init__(**{"required": False, "choices": choices, **options})

    def validate(self, value: Any) -> None:
        """Left to the API."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return None if self.null and not text else text


class Picks(forms.MultipleChoiceField):
    """Some of some."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, choices: Iterable[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(**{"required": False, "choices": choices, **options})

    def validate(self, value: Any) -> None:
        """Left to the API."""


class ApiForm(forms.Form):
    """A form over one body of the API. `renamed`: the form's name for each of the API's that is called otherwise.

    `field.*` names what lies inside a field of the API.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    def __init__(self, request: HttpRequest, initial: Mapping[str, Any] | None = None, **options: Any) -> None:
        data = request.POST if request.method == "POST" else None
        super().__init__(data, initial=dict(initial or {}), **options)
        self._refused_with = 0
        for field in self.fields.values():
            if isinstance(field, Moment):
                field.zone = browser_zone(request)

    @property
    def status(self) -> int:
        """The page's: that of the answer which refused the form, 400 for what the form itself refused."""
        return self._refused_with or (400 if self.errors else 200)

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        """What the API is sent: everything, or only what differs from before."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if not changed or name in self.changed_data}

    def refuse(self, answer: Answer) -> None:
        """Show what the API refused, at its fields; what has none stands above the form."""
        self._refused_with = answer.status
        details = answer.problem.get("details")
        rows = details if isinstance(details, list) else [answer.problem]
        for row in rows:
            path = str(row.get("field") or "") if isinstance(row, dict) else ""
            name = re.split(r"[.\[]", path)[0]
            inner = self.renamed.get(f"{name}.*", name) if path != name else name
            name = self.renamed.get(path, self.renamed.get(inner, inner))
            message = str(row.get("message")) if isinstance(row, dict) else str(answer.problem.get("message"))
            self.add_error(name if name in self.fields else None, message)


class Query(ApiForm):
    """A form that is sent in the address: what a list is asked for."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.data, self.is_bound = request.GET, bool(request.GET)
        self.request = request

    def parameters(self) -> dict[str, str]:
        """What the API is asked: the fields that say something."""
        return {name: str(value) for name, value in self.body().items() if value} if self.is_bound else {}

    def refuse_answer(self, answer: Answer) -> None:
        """Show at the fields what the API would not be asked."""
        if not answer.ok and answer.status < 500 and self.is_bound:
            self.refuse(answer)

    def address(self, **changes: str | None) -> str:
        """This page with other parameters; nothing where the first of them is empty."""
        if not any(changes.values()):
            return ""
        query = self.request.GET.copy()
        for name, value in changes.items():
            query[name] = value or ""
        return f"?{query.urlencode()}"
