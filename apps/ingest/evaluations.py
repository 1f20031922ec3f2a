"""Verdicts that come with spans: OpenTelemetry's evaluation events and OpenInference's annotations and evaluations.

An event `gen_ai.evaluation.result` judges the span that carries it. OpenInference writes lists of attributes,
`annotations.0.annotation.score`, for the span itself, under `trace.` for its trace, under `session.` for its session.
The events and attributes stay with the span's content as they came; what is read here is stored as scores together
with the span.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from apps.ingest.clean import cut_bytes, mend_text
from apps.ingest.raw import Drop
from apps.ingest.work import Work
from apps.traces.schema import EPOCH
from apps.traces.scores import MAX_LABEL, MAX_NAME, MAX_TEXT, MAX_VALUE, Score, derived_id

EVENT: Final = "gen_ai.evaluation.result"
MOST: Final = 100  # scores of one span
_ATTRIBUTE: Final = re.compile(
    r"(?P<of>trace\.|session\.)?(?P<list>annotation|evaluation)s\.(?P<slot>\d{1,5})\.(?P=list)\."
    r"(?P<field>name|score|label|explanation|annotator_kind|identifier)"
)
_PREFIXES: Final = tuple(
    f"{of}{listed}s." for of in ("", "trace.", "session.") for listed in ("annotation", "evaluation")
)
_SOURCES: Final = {"HUMAN": "human", "API": "api"}
_US: Final = timedelta(microseconds=1)

# What is judged ("", "trace." or "session."), when (microseconds), and the fields by OpenInference's names.
Verdict = tuple[str, int, dict[str, Any]]


def read_evaluations(work: Work) -> Drop | None:
    """The scores of a span. It comes after redaction and after the ids have been cut, and finds both done."""
    found: dict[str, Score] = {}
    for of, us, fields in _verdicts(work):
        score = _score(work, of, us, fields)
        if score is not None:
            found[score.id] = score  # of several under one name the last stays
            if len(found) == MOST:
                break
    work.row.scores = tuple(found.values())
    return None


def _verdicts(work: Work) -> Iterator[Verdict]:
    rest = work.hits.rest
    row = work.row
    if any(key.startswith(_PREFIXES) for key in rest):
        slots: dict[tuple[str, str, int], dict[str, Any]] = {}
        for key, value in rest.items():
            match = _ATTRIBUTE.fullmatch(key)
            if match is not None:
                slot = (match["of"] or "", match["list"], int(match["slot"]))
                slots.setdefault(slot, {})[match["field"]] = value
        for (of, _, _), fields in sorted(slots.items(), key=lambda item: item[0]):
            yield of, row.start_us + row.duration_us, fields
    for event in work.events or ():
        if event.name == EVENT:
            given = event.attributes
            fields = {
                "name": given.get("gen_ai.evaluation.name"),
                "score": given.get("gen_ai.evaluation.score.value"),
                "label": given.get("gen_ai.evaluation.score.label"),
                "explanation": given.get("gen_ai.evaluation.explanation"),
            }
            yield "", _moment(work, event.time_ns), fields


def _moment(work: Work, ns: int) -> int:
    """The event's time, if it can be one; else the end of the span."""
    if work.rules.oldest_ns <= ns <= work.rules.newest_ns:
        return ns // 1_000
    return work.row.start_us + work.row.duration_us


def _score(work: Work, of: str, us: int, fields: dict[str, Any]) -> Score | None:
    """The score, or None where a name, a verdict or what is judged is missing."""
    row = work.row
    name = _text(fields.get("name"), MAX_NAME)
    value, kind = _number(fields.get("score"))
    label = _text(fields.get("label"), MAX_LABEL)
    if name is None or (value is None and label is None) or (of == "session." and row.session_id is None):
        return None
    author = _text(fields.get("identifier"), MAX_LABEL)
    explanation = fields.get("explanation")
    comment = None
    if isinstance(explanation, str) and explanation and work.rules.store_content:
        comment = cut_bytes(mend_text(explanation), MAX_TEXT)
    return Score(
        project_id=row.project_id,
        id=derived_id(row.trace_id, row.span_id, of, name, author),
        name=name,
        data_type=kind if value is not None else "categorical",
        value=value,
        label=None if kind == "boolean" else label,
        trace_id=row.trace_id,
        span_id=None if of else row.span_id,
        session_id=row.session_id if of == "session." else None,
        source=_SOURCES.get(str(fields.get("annotator_kind")).upper(), "evaluator"),
        author=author,
        comment=comment,
        environment=row.environment,
        timestamp=EPOCH + us * _US,
        derived=True,
    )


def _number(value: Any) -> tuple[float | None, str]:
    """(the number, its data type); some senders write numbers as texts."""
    if isinstance(value, bool):
        return float(value), "boolean"
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None, "numeric"
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= MAX_VALUE:
        return float(value), "numeric"
    return None, "numeric"


def _text(value: Any, most: int) -> str | None:
    return mend_text(value)[:most] if isinstance(value, str) and value else None
