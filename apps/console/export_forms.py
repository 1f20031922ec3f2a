"""The form of an export, and the body that the API takes of it. What a field may hold is for the API to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from django import forms

from apps.console.asking import Answer
from apps.console.bar import Bar, text_of
from apps.exports.sources.costs import GROUPS as COST_GROUPS
from apps.exports.sources.costs import INTERVALS as COST_INTERVALS
from apps.exports.sources.spans.columns import COLUMNS, DEFAULTS
from apps.exports.spec import COMPRESSIONS, FORMATS, Kind
from apps.exports.times import PERIODS
from apps.metrics.catalog import DIMENSION_NAMES
from apps.traces.filters import STATUSES

EXAMPLE: Final = '{"field": "duration_ms", "operator": "gt", "value": 2000}'
LOCAL: Final = "%Y-%m-%dT%H:%M"
LISTS: Final = (
    "provider",
    "model",
    "environment",
    "user_id",
    "session_id",
    "team",
    "name",
    "span_kind",
    "tag",
    "trace_id",
)
AMOUNTS: Final = tuple(f"{edge}_{what}" for what in ("duration_ms", "cost", "tokens") for edge in ("min", "max"))
INTERVALS: Final = {
    "": "range (one row for all of it)",
    "none": "range (one row for all of it)",
    "1min": "minute",
    "5min": "5 minutes",
    "15min": "15 minutes",
    "1hour": "hour",
    "6hour": "6 hours",
    "1day": "day",
    "1week": "week",
    "1month": "month",
}
FILLS: Final = {"none": "Left out", "zero": "With 0", "null": "Empty"}
METRIC_INTERVALS: Final = ("", "1min", "5min", "15min", "1hour", "6hour", "1day", "1week", "1month")
LABELS: Final = {
    "provider": "Provider",
    "model": "Model",
    "environment": "Environment",
    "user_id": "User",
    "session_id": "Session",
    "team": "Team",
    "name": "Span name",
    "span_kind": "Span kind",
    "tag": "Tag",
    "trace_id": "Trace",
    "min_duration_ms": "Duration from, ms",
    "max_duration_ms": "Duration to, ms",
    "min_cost": "Cost from, $",
    "max_cost": "Cost to, $",
    "min_tokens": "Tokens from",
    "max_tokens": "Tokens to",
}
# Which of the filters by name each kind takes.
FILTERS: Final[dict[Kind, tuple[str, ...]]] = {
    "traces": tuple(name for name in LISTS if name != "team"),
    "metrics": ("provider", "model", "environment", "user_id", "session_id", "name", "span_kind"),
    "costs": ("provider", "model", "environment", "user_id", "session_id", "team", "span_kind", "tag"),
}
FORMAT_NAMES: Final = {
    "csv": "CSV",
    "json": "JSON",
    "jsonl": "JSON lines",
    "parquet": "Parquet",
    "xlsx": "xlsx (Excel)",
}
PERIOD_NAMES: Final = {name: name.replace("_", " ").capitalize() for name in PERIODS}


def _pairs(names: Sequence[str], labels: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    return [(name, (labels or {}).get(name, name)) for name in names]


class ExportForm(forms.Form):
    """What every kind is asked for, and the fields of one kind.

    Args:
        kind: of exports.
        zone: in which times are typed.
        projects: slugs of those that may be chosen.
        content: whether texts may be exported.
        metrics: names and descriptions of the catalogue's metrics.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        kind: Kind,
        zone: str,
        projects: Sequence[str],
        content: bool,
        metrics: Sequence[tuple[str, str]] = (),
        **options: Any,
    ) -> None:
        super().__init__(data, **options)
        self.kind, self.zone = kind, zone
        self._range()
        if len(projects) > 1:
            self._text("project", "Project")
        for name in FILTERS[kind]:
            self._text(name, LABELS[name])
        self._select("status", "Status", [("", "Any"), *_pairs(STATUSES)])
        {"traces": self._traces, "metrics": self._metrics, "costs": self._costs}[kind](content, metrics)
        self._select("format", "Format", _pairs(FORMATS, FORMAT_NAMES))
        self._select("compression", "Compression", _pairs(COMPRESSIONS, {"none": "None"}))
        self.fields["limit"] = forms.IntegerField(
            label="At most, rows", required=False, help_text="The first rows in the file's order. Empty: all."
        )
        self._flag("cut_long_cells", "xlsx: cut texts that no cell holds, instead of failing")

    def _range(self) -> None:
        for name, label in (("start_time", "From"), ("end_time", "To")):
            widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format=LOCAL)
            self.fields[name] = forms.CharField(label=label, widget=widget, max_length=32)

    def _traces(self, content: bool, metrics: Any) -> None:
        for name in AMOUNTS:
            self._text(name, LABELS[name])
        self._text("search", "Words in input or output")
        self._select("has_error", "Errors", [("", "Any"), ("true", "With errors"), ("false", "Without errors")])
        self._select("match", "Filters hold for", [("spans", "The span"), ("traces", "Its trace")])
        self.fields["filter"] = forms.CharField(
            label="Conditions", required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": "4"}),
            help_text=f"JSON, as in the search of traces: <code>{EXAMPLE}</code>",
        )  # fmt: skip
        columns = [one.name for one in COLUMNS if content or not one.content]
        self._many("fields", "Columns", _pairs(columns), DEFAULTS)

    def _metrics(self, content: bool, metrics: Sequence[tuple[str, str]]) -> None:
        self._many("metrics", "Metrics", metrics, ("request_count", "error_count", "total_cost", "total_tokens"))
        self._select("interval", "A row for each", _pairs(METRIC_INTERVALS, INTERVALS), "1hour")
        self._many("group_by", "And for each", _pairs(DIMENSION_NAMES), ("model",))
        self._flag("include_percentiles", "Percentiles of duration and time to first token too")
        self._select(
            "fill",
            "Rows without data",
            _pairs(("none", "zero", "null"), {"none": "Left out", "zero": "With 0", "null": "Empty"}),
        )

    def _costs(self, content: bool, metrics: Any) -> None:
        self._select("interval", "A row for each", _pairs(COST_INTERVALS, INTERVALS), "1day")
        self._many("group_by", "And for each", _pairs(COST_GROUPS), ("project", "provider", "model"))

    def _text(self, name: str, label: str) -> None:
        attrs = {"autocomplete": "off", "spellcheck": "false", "placeholder": "any"}
        self.fields[name] = forms.CharField(
            label=label, required=False, max_length=2_000, widget=forms.TextInput(attrs=attrs)
        )

    def _select(self, name: str, label: str, choices: Sequence[tuple[str, str]], initial: str | None = None) -> None:
        self.fields[name] = forms.ChoiceField(label=label, choices=choices, required=False, initial=initial)

    def _many(self, name: str, label: str, choices: Sequence[tuple[str, str]], initial: Sequence[str]) -> None:
        self.fields[name] = forms.MultipleChoiceField(
            label=label, choices=choices, required=False, initial=initial, widget=forms.CheckboxSelectMultiple
        )

    def _flag(self, name: str, label: str) -> None:
        self.fields[name] = forms.BooleanField(label=label, required=False)

    def clean_filter(self) -> Any:
        """A tree, or None."""
        text = self.cleaned_data["filter"].strip()
        try:
            return orjson.loads(text) if text else None  # as strict as the API: half a surrogate pair is no JSON
        except orjson.JSONDecodeError:
            raise forms.ValidationError("This is no JSON.") from None

    # -- for the template

    def shown(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def when(self) -> list[forms.BoundField]:
        return self.shown("schedule_name", "start_time", "end_time", "period", "cron", "timezone")

    @property
    def choices_fields(self) -> list[forms.BoundField]:
        return self.shown("metrics", "group_by", "fields")

    @property
    def row_fields(self) -> list[forms.BoundField]:
        return self.shown("interval", "fill", "include_percentiles")

    @property
    def filters(self) -> list[forms.BoundField]:
        return self.shown("project", *FILTERS[self.kind], "status", "has_error", "search", *AMOUNTS, "filter", "match")

    @property
    def filtered(self) -> bool:
        """Whether a filter is set, so that the fields are to be seen."""
        return any(field.value() for field in self.filters if field.name != "match")

    @property
    def file_fields(self) -> list[forms.BoundField]:
        return self.shown("format", "compression", "limit")

    # -- for the API

    def body(self) -> dict[str, Any]:
        """What is posted: only what is set."""
        given = self.cleaned_data
        made: dict[str, Any] = {name: given[name] for name in ("format", "compression", "limit") if given.get(name)}
        made |= {name: self.moment(given[name]) for name in ("start_time", "end_time") if given.get(name)}
        if given.get("project"):
            made["project"] = _listed(given["project"])
        if given["cut_long_cells"]:
            made["cut_long_cells"] = True
        own = {"traces": self._traces_body, "metrics": self._metrics_body, "costs": self._costs_body}[self.kind]
        return made | own(given)

    def moment(self, text: str) -> str:
        """A typed time with its zone; what is none goes to the API as it is, which says so."""
        try:
            parsed = datetime.fromisoformat(text)
            return text_of(parsed if parsed.tzinfo else parsed.replace(tzinfo=ZoneInfo(self.zone)))
        except (ValueError, OverflowError):  # the last day of the year 9999 west of Greenwich is in none
            return text

    def _named(self, given: Mapping[str, Any]) -> dict[str, list[str]]:
        names = {"span_kind": "kind"}
        found = {names.get(name, name): _listed(given[name]) for name in FILTERS[self.kind] if given.get(name)}
        return found | ({"status": [given["status"]]} if given["status"] else {})

    def _traces_body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._named(given)
        made |= {name: given[name] for name in (*AMOUNTS, "search", "has_error", "filter") if given.get(name)}
        if given["match"] == "traces":
            made["match"] = "traces"
        if tuple(given["fields"]) != DEFAULTS:
            made["fields"] = given["fields"]
        return made

    def _metrics_body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"metrics": [{"metric": name} for name in given["metrics"]], **self._grouped(given)}
        if filters := self._named(given):
            made["filters"] = filters
        if given["include_percentiles"]:
            made["include_percentiles"] = True
        return made | ({"fill": given["fill"]} if given["fill"] not in ("", "none") else {})

    def _costs_body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {**self._named(given), **self._grouped(given)}
        if "tag" in made:
            made["tag"] = given["tag"]
        return made

    def _grouped(self, given: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"group_by": given["group_by"]}
        if given["interval"]:
            made["interval"] = given["interval"]
        return made | ({} if self.zone == "UTC" else {"timezone": self.zone})

    def refuse(self, problem: Answer | Mapping[str, str]) -> None:
        """Put what the API says at the fields that it is about."""
        told = problem.fields if isinstance(problem, Answer) else problem
        for name, message in told.items():
            field = {"kind": "span_kind", "body": "", "export": ""}.get(name, name).split("[")[0].split(".")[0]
            self.add_error(field if field in self.fields else None, message)


class ScheduleForm(ExportForm):
    """The same with a period in the place of the range, and when it runs."""

    def _range(self) -> None:
        self.fields["schedule_name"] = forms.CharField(label="Name", max_length=200)
        self._select("period", "Of each run", list(PERIOD_NAMES.items()), "previous_day")
        self.fields["cron"] = forms.CharField(
            label="When", max_length=100, initial="0 6 * * *",
            help_text="Minute, hour, day of the month, month, day of the week: <code>0 6 * * *</code> is daily at 6, "
            "<code>0 6 * * MON</code> every Monday, <code>0 6 1 * *</code> the first of each month.",
        )  # fmt: skip
        self.fields["timezone"] = forms.CharField(label="Time zone", max_length=64, initial=self.zone)

    def schedule(self) -> dict[str, Any]:
        """What is posted to make it."""
        given = self.cleaned_data
        self.zone = given["timezone"]
        return {
            "name": given["schedule_name"],
            "kind": self.kind,
            **{name: given[name] for name in ("cron", "timezone", "period")},
            "export": self.body(),
        }

    def refuse(self, problem: Answer | Mapping[str, str]) -> None:
        told = dict(problem.fields if isinstance(problem, Answer) else problem)
        if "name" in told:  # the schedule's; a filter by span name is checked by the same word, and is rarer
            told["schedule_name"] = told.pop("name")
        super().refuse({name.removeprefix("export."): message for name, message in told.items()})


def initial_of(bar: Bar, more: Mapping[str, str]) -> dict[str, Any]:
    """What a page's address says, for the form: its range, its filters, its further parameters."""
    zone = ZoneInfo(bar.zone)
    listed = {"fields": more["fields"].split(",")} if more.get("fields") else {}
    grouped = {"group_by": more["group_by"].split(",")} if more.get("group_by") else {}
    return {
        "start_time": bar.start.astimezone(zone).strftime(LOCAL),
        "end_time": bar.end.astimezone(zone).strftime(LOCAL),
        **bar.filters,
        **more,
        **listed,
        **grouped,
    }


def _listed(text: str) -> list[str]:
    return [item for item in (part.strip() for part in text.split(",")) if item]
