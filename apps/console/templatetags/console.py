"""Tags of the console's pages: figures, changes, moments, panels, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django import template
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.context import Context
from django.template.loader import get_template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.console import figures
from apps.console.asking import Answer
from apps.console.bar import Bar
from apps.console.charts import Chart
from apps.console.people import address_of

register = template.Library()


@register.simple_tag
def figure(value: Any, unit: str = "count") -> SafeString:
    """A figure, rounded, with its exact value in the title: `{% figure row.total_cost_usd "usd" %}`."""
    return format_html(
        '<span class="figure" title="{}">{}</span>', figures.exact(value, unit), figures.shown(value, unit)
    )


@register.simple_tag
def change(percent: Any, good: str = "") -> SafeString:
    """A change in percent against the period before.

    Args:
        good: `up` or `down`, where one of them is good; else the change has no colour.
    """
    number = figures.number_of(percent)
    if number is None:
        title = "nothing to compare with: the period before has none, or 0"
        return format_html('<span class="change" title="{}">{}</span>', title, figures.NOTHING)
    way = "up" if number > 0 else "down" if number < 0 else "same"
    arrow = {"up": "▲", "down": "▼", "same": "="}[way]
    tone = "" if not good or way == "same" else " good" if way == good else " bad"
    return format_html(
        '<span class="change{}" title="{} against the period before"><span aria-hidden="true">{}</span> {}</span>',
        tone,
        figures.exact(number, "pct"),
        arrow,
        figures.shown(number, "pct"),
    )


def moment_of(value: Any) -> datetime | None:
    """A time of an answer or of a row."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


@register.simple_tag(takes_context=True)
def moment(context: Context, value: Any, style: str = "minute") -> SafeString:
    """A time in the page's zone, exact in the title: style `day`, `minute`, `second` or `exact` (milliseconds)."""
    found = moment_of(value)
    if found is None:
        return format_html("{}", figures.NOTHING)
    bar = context.get("bar")
    zone = bar.zone if isinstance(bar, Bar) else context.get("zone") or "UTC"
    local = found.astimezone(ZoneInfo(zone))
    text = local.strftime({"day": "%d %b %Y", "minute": "%d %b %H:%M"}.get(style, "%d %b %H:%M:%S"))
    if style == "exact":
        text += f".{local.microsecond // 1000:03d}"
    if local.year != datetime.now(UTC).year and style != "day":
        text = f"{local.year} {text}"
    utc = found.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return format_html('<time datetime="{}" title="{} ({})">{}</time>', utc, utc, zone, text)


@register.simple_tag(takes_context=True)
def link(context: Context, path: str, **changes: Any) -> str:
    """The address of another page with this one's range and filters: `{% link "/traces" model=row.model %}`."""
    bar = context.get("bar")
    query = bar.elsewhere(**changes) if isinstance(bar, Bar) else ""
    return f"{path}?{query}" if query else path


@register.simple_tag(takes_context=True)
def trace_link(context: Context, trace: Mapping[str, Any]) -> str:
    """The address of one trace of a list, with this page's range; it names its project where there are several."""
    several = len(context.get("projects") or ()) > 1
    path = f"/traces/{quote(str(trace['trace_id']), safe='')}"
    return link(context, path, of=trace.get("project") if several else None)


@register.simple_tag(takes_context=True)
def user_page(context: Context, user_id: str) -> str:
    """The address of a user's page with this one's range and filters; their traces, for whoever sees no costs."""
    bar, principal = context.get("bar"), context.get("principal")
    held = getattr(principal, "permissions", ())
    return address_of(user_id, bar if isinstance(bar, Bar) else None, "costs:read" in held)


@register.simple_tag(takes_context=True)
def conversation_link(context: Context, row: Mapping[str, Any]) -> str:
    """The address of a conversation of a list, with this page's range; as `trace_link`."""
    several = len(context.get("projects") or ()) > 1
    path = f"/conversations/{quote(str(row['session_id']), safe='')}"
    return link(context, path, of=row.get("project") if several else None)


@register.simple_tag(takes_context=True)
def here(context: Context, **changes: Any) -> str:
    """This page's address with changes: `{% here by="user" %}`."""
    return f"?{context['bar'].query(**changes)}"


@register.inclusion_tag("console/parts/chart.html")
def chart(one: Chart, name: str) -> dict[str, Any]:
    """A chart with its summary and, on demand, its table. `name` is unique on the page."""
    return {"chart": one, "name": name, "data": one.data()}


@register.inclusion_tag("console/parts/share.html")
def share(value: Any) -> dict[str, Any]:
    """A bar as long as a fraction of 0 to 1."""
    number = figures.number_of(value)
    width = 0.0 if number is None else min(100.0, max(0.0, float(number) * 100))
    return {"width": f"{width:.2f}", "number": number}


@register.inclusion_tag("console/parts/spread.html")
def spread(places: Sequence[float]) -> dict[str, Any]:
    """Where p50, p95 and p99 lie on a scale of 0 to 98: `{% spread row.spread %}`."""
    low, middle, high = places
    return {"low": low, "core": max(2.0, middle - low), "whole": max(2.0, high - low)}


@register.simple_tag
def pvalue(value: Any) -> SafeString:
    """A probability of a test, never called zero."""
    number = figures.number_of(value)
    if number is None:
        return format_html('<span class="figure" title="not tested">{}</span>', figures.NOTHING)
    text = "< 0.001" if number < Decimal("0.001") else f"{number:.3f}"
    return format_html('<span class="figure" title="{}">{}</span>', f"p = {number:.3g}", text)


class Panel(Node):
    """`{% panel answer "Cost by model" empty=condition more="/costs" %} ... {% endpanel %}`: see `panel`."""

    def __init__(self, answer: FilterExpression, options: dict[str, FilterExpression], body: NodeList) -> None:
        self.answer, self.options, self.nodelist = answer, options, body

    def render(self, context: Context) -> str:
        options = {name: value.resolve(context) for name, value in self.options.items()}
        answer = self.answer.resolve(context)
        ok = not isinstance(answer, Answer) or answer.ok
        body = ""
        if ok and not options.get("empty"):
            with context.push(answer=answer):
                body = self.nodelist.render(context)
        flat: dict[Any, Any] = {**context.flatten(), **options, "answer": answer, "ok": ok, "body": body}
        return get_template("console/parts/panel.html").render(flat, context.get("request"))


@register.tag
def panel(parser: Parser, token: Token) -> Panel:
    """A framed part of a page around one answer: title, body, and below it source, freshness and the question itself.

    Options: `title`, `empty` (true: say that there is nothing), `empty_text`, `more` with `more_label` (a link in the
    head), `id`. An answer that failed is told in place of the body, and the rest of the page stands.
    """
    name, *words = token.split_contents()
    options = {}
    for word in words[1:]:
        key, sign, value = word.partition("=")
        if not sign:
            raise template.TemplateSyntaxError(f"{name}: {word} is no option=value")
        options[key] = parser.compile_filter(value)
    body = parser.parse((f"end{name}",))
    parser.delete_first_token()
    return Panel(parser.compile_filter(words[0]), options, body)
