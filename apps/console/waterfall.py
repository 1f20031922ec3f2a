"""One trace as a picture: which spans are drawn as rows, where each bar begins and ends, where time and money went.

A trace may have ten thousand spans and a page has room for some hundred rows. So of a large trace those are drawn that
one looks for: what failed and what the trace was waiting for, with all that is above them, then level by level from
the top. What is left out is counted at the row it hangs below, which leads to a picture of that part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

MOST_ROWS: Final = 150
MOST_LISTED: Final = 5
WIDTH: Final = 1000  # units of a bar's picture
HEIGHT: Final = 10
STRIP: Final = 7  # the critical path is the lower edge of a bar
DEEPEST: Final = 12  # from here on rows are indented alike
Span = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A span as it is drawn.

    Args:
        x, width: its bar, in units of WIDTH.
        critical: the parts of it that are on the critical path, as an SVG path.
        parent: whether further rows hang below it.
        hidden: how many spans below it are not drawn.
    """

    span: Span
    level: int
    x: float
    width: float
    critical: str
    parent: bool
    hidden: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The rows, and what part of the trace they are.

    Args:
        length_ms: how long the drawn part is.
        focus: the span that is its root; None for the whole trace.
        following: from which child of the focus a next page begins; None where all are drawn.
    """

    rows: list[Row]
    length_ms: float
    ticks: list[float]
    focus: Span | None = None
    following: int | None = None
    spans: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One of the greatest parts of a whole."""

    label: str
    value: Any
    share: float
    detail: str = ""
    span_id: str = ""
    count: int = 1


@dataclass(slots=True)
class _Tree:
    """The spans in the API's order, each with its parent's place and the place behind its last descendant."""

    spans: Sequence[Span]
    parent: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        above: list[int] = []
        self.end = [len(self.spans)] * len(self.spans)
        for place, span in enumerate(self.spans):
            while above and self.spans[above[-1]]["depth"] >= span["depth"]:
                self.end[above.pop()] = place
            self.parent.append(above[-1] if above else -1)
            above.append(place)

    def place_of(self, span_id: str) -> int | None:
        return next((place for place, span in enumerate(self.spans) if span["span_id"] == span_id), None)


def picture(document: Mapping[str, Any], focus: str = "", first: int = 0, most: int = MOST_ROWS) -> Picture:
    """The rows of a trace, or of what hangs below one of its spans.

    Args:
        focus: the id of the span to draw alone; one that is not there draws all.
        first: the child of the focus to begin with.
    """
    tree = _Tree(document["spans"])
    place = tree.place_of(focus) if focus else None
    low, high = (0, len(tree.spans)) if place is None else (place, tree.end[place])
    if not tree.spans:
        return Picture([], 0, [])
    children = [at for at in range(low, high) if tree.parent[at] == (-1 if place is None else place)]
    begun = children[first] if 0 < first < len(children) else low
    candidates = [at for at in range(low, high) if at >= begun or at == place]
    chosen = _chosen(tree, candidates, children, most)
    undrawn = [number for number, at in enumerate(children) if at >= begun and at not in chosen]
    scale = _Scale.over(tree.spans[low:high])
    steps = _steps(document)
    rows = [_row(tree, at, chosen, scale, steps, tree.spans[low]["depth"]) for at in sorted(chosen)]
    return Picture(
        rows,
        scale.length,
        [scale.length * quarter / 4 for quarter in range(5)],
        None if place is None else tree.spans[place],
        undrawn[0] if undrawn else None,
        high - low,
    )


def _chosen(tree: _Tree, candidates: Sequence[int], children: Sequence[int], most: int) -> set[int]:
    """As many places as there is room for; with each one all that is above it within the candidates."""
    if len(candidates) <= most:
        return set(candidates)
    wanted = set()
    inside = set(candidates)
    for at in candidates:
        if tree.spans[at]["status"] == "error" or tree.spans[at]["on_critical_path"]:
            while at in inside and at not in wanted:
                wanted.add(at)
                at = tree.parent[at]
    # The first children count too, so that going on from the first that is left out comes to an end.
    wanted.update([at for at in children if at in inside][: most // 2])
    wanted.update(at for at in candidates[:1])
    ordered = sorted(candidates, key=lambda at: (at not in wanted, tree.spans[at]["depth"], at))
    return set(ordered[:most])


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: float
    length: float

    @classmethod
    def over(cls, spans: Sequence[Span]) -> _Scale:
        begin = min(float(span["offset_ms"]) for span in spans)
        end = max(float(span["offset_ms"]) + float(span["duration_ms"]) for span in spans)
        return cls(begin, end - begin)

    def at(self, offset: float) -> float:
        """Where a moment lies, within the picture."""
        where = (offset - self.begin) / self.length * WIDTH if self.length else 0.0
        return min(float(WIDTH), max(0.0, where))


def _row(
    tree: _Tree, at: int, chosen: set[int], scale: _Scale, steps: Mapping[str, list[tuple[float, float]]], top: int
) -> Row:
    span = tree.spans[at]
    begin = float(span["offset_ms"])
    x = scale.at(begin)
    # What takes no time to speak of is to be seen too.
    width = max(scale.at(begin + float(span["duration_ms"])) - x, 3.0)
    drawn = sum(1 for below in range(at + 1, tree.end[at]) if below in chosen) if tree.end[at] > at + 1 else 0
    return Row(
        span,
        min(DEEPEST, span["depth"] - top),
        round(min(x, WIDTH - 3.0), 1),
        round(width, 1),
        _path(steps.get(span["span_id"], ()), scale),
        drawn > 0,
        tree.end[at] - at - 1 - drawn,
    )


def _steps(document: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """The critical path's parts by span, as offsets in milliseconds."""
    spans = document["spans"]
    zero = min(datetime.fromisoformat(span["start_time"]) for span in spans)
    # Offsets of the API begin with the first span's start.
    found: dict[str, list[tuple[float, float]]] = {}
    for step in document["critical_path"]:
        begin, end = (
            (datetime.fromisoformat(step[edge]) - zero).total_seconds() * 1000 for edge in ("start_time", "end_time")
        )
        found.setdefault(step["span_id"], []).append((begin, end))
    return found


def _path(steps: Sequence[tuple[float, float]], scale: _Scale) -> str:
    """Rectangles as one path; those that would touch are one."""
    drawn: list[list[int]] = []
    for begin, end in steps:
        left, right = round(scale.at(begin)), max(round(scale.at(end)), round(scale.at(begin)) + 1)
        if drawn and left <= drawn[-1][1] + 1:
            drawn[-1][1] = max(right, drawn[-1][1])
        else:
            drawn.append([left, right])
    return "".join(f"M{left} {STRIP}H{right}V{HEIGHT}H{left}z" for left, right in drawn)


def time_parts(document: Mapping[str, Any]) -> list[Part]:
    """Where the root's time went: the critical path by name of the span, the greatest first. Together it is all."""
    steps: dict[str, Any] = {}
    for step in document["critical_path"]:
        steps[step["span_id"]] = steps.get(step["span_id"], 0) + step["duration_ms"]
    whole = sum(steps.values())
    spans = [span for span in document["spans"] if span["span_id"] in steps]
    # Of spans with the same id the first bears the time, as on the path.
    return _parts([(span, str(span["kind"] or ""), steps.pop(span["span_id"], 0)) for span in spans], whole)


def cost_parts(document: Mapping[str, Any]) -> list[Part]:
    """Where the money went: billable spans by name and model."""
    costly = [span for span in document["spans"] if span["billable"] and span["total_cost_usd"] is not None]
    whole = document["totals"]["total_cost_usd"] or 0
    return _parts([(span, str(span["model"] or ""), span["total_cost_usd"]) for span in costly], whole)


def _parts(values: Sequence[tuple[Span, str, Any]], whole: Any) -> list[Part]:
    """Sums by name and detail; each leads to its greatest span."""
    groups: dict[tuple[str, str], list[tuple[Any, str]]] = {}
    for span, detail, value in values:
        groups.setdefault((str(span["name"]), detail), []).append((value, span["span_id"]))
    parts = []
    for (name, detail), held in groups.items():
        value, (_, greatest) = sum(one for one, _ in held), max(held, key=lambda one: one[0])
        parts.append(Part(name, value, float(value / whole) if whole else 0.0, detail, greatest, len(held)))
    ordered = sorted(parts, key=lambda part: -part.value)
    shown, rest = ordered[:MOST_LISTED], ordered[MOST_LISTED:]
    if rest:
        value = sum(part.value for part in rest)
        shown.append(Part(f"{len(rest)} others", value, float(value / whole) if whole else 0.0))
    return shown


def kinds_of(document: Mapping[str, Any]) -> list[str]:
    """The kinds of spans, for the legend."""
    return sorted({str(span["kind"] or "other") for span in document["spans"]})


def errors_of(document: Mapping[str, Any]) -> list[Span]:
    """The spans that failed, the deepest first: an error is told upwards, and begins below."""
    failed = [span for span in document["spans"] if span["status"] == "error"]
    return sorted(failed, key=lambda span: (-span["depth"], span["offset_ms"]))


def failures_of(document: Mapping[str, Any]) -> list[tuple[Span, int]]:
    """What failed, once for each name and type of error: the first of its kind, and how many there are."""
    groups: dict[tuple[Any, Any], list[Span]] = {}
    for span in errors_of(document):
        groups.setdefault((span["name"], span["error_type"]), []).append(span)
    return [(spans[0], len(spans)) for spans in groups.values()]


def chosen_span(document: Mapping[str, Any], span_id: str) -> Span | None:
    """The span whose detail is shown: the named one, else where the first error began, else the root."""
    spans: Sequence[Span] = document["spans"]
    named = next((span for span in spans if span["span_id"] == span_id), None) if span_id else None
    return named or next(iter(errors_of(document)), None) or next(iter(spans), None)
