"""Scores that come with spans: which attributes and events make one, and that they follow their span's fate."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from apps.ingest.raw import RawEvent
from apps.traces.scores import MAX_TEXT, Score
from tests.ingest.build import NOW_NS, SPAN, TRACE, json_request, json_span, row_of, rules, to_protobuf
from tests.ingest.world import PROTOBUF, Sender
from tests.support.cells import marks

EVENT = "gen_ai.evaluation.result"
END = NOW_NS // 1000 + 1_500_000


def scores_of(attributes: dict[str, Any] | None = None, events: Any = None, **settings: Any) -> list[Score]:
    return list(row_of(attributes, rules(**settings), events=events).scores)


def event(time_ns: int = NOW_NS + 7_000, **fields: Any) -> RawEvent:
    names = {"name": "name", "value": "score.value", "label": "score.label", "explanation": "explanation"}
    return RawEvent(EVENT, time_ns, {f"gen_ai.evaluation.{names[key]}": value for key, value in fields.items()})


def annotation(number: int, of: str = "", listed: str = "annotation", **fields: Any) -> dict[str, Any]:
    return {f"{of}{listed}s.{number}.{listed}.{key}": value for key, value in fields.items()}


def us_of(score: Score) -> int:
    return round(score.timestamp.timestamp() * 1_000_000)


def test_an_evaluation_event_judges_its_span() -> None:
    [score] = scores_of(events=[event(name="relevance", value=0.75, label="good", explanation="to the point")])
    assert (score.name, score.data_type, score.value, score.label) == ("relevance", "numeric", 0.75, "good")
    assert (score.trace_id, score.span_id, score.session_id) == (TRACE, SPAN, None)
    assert (score.source, score.comment, us_of(score)) == ("evaluator", "to the point", (NOW_NS + 7_000) // 1000)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": True}, ("boolean", 1.0, None)),
        ({"value": "0.5"}, ("numeric", 0.5, None)),
        ({"value": 3}, ("numeric", 3.0, None)),
        ({"label": "pass"}, ("categorical", None, "pass")),
        ({"value": float("nan"), "label": "pass"}, ("categorical", None, "pass")),
        ({"value": "high", "label": "pass"}, ("categorical", None, "pass")),
        ({"value": 1e300, "label": "pass"}, ("categorical", None, "pass")),
        ({"label": "a\x00" + "b" * 500}, ("categorical", None, "a\ufffd" + "b" * 254)),
    ],
)
def test_what_the_verdict_is(fields: dict[str, Any], expected: Any) -> None:
    [score] = scores_of(events=[event(name="n", **fields)])
    assert (score.data_type, score.value, score.label) == expected


@pytest.mark.parametrize("fields", [{"value": 1}, {"name": "n"}, {"name": "", "value": 1}, {"name": 5, "value": 1}])
def test_without_a_name_or_a_verdict_there_is_no_score(fields: dict[str, Any]) -> None:
    assert scores_of(events=[event(**fields)]) == []


def test_an_event_at_an_impossible_time_stands_at_the_spans_end() -> None:
    for wrong in (0, 1, NOW_NS * 2):
        [score] = scores_of(events=[event(wrong, name="n", value=1)])
        assert us_of(score) == END


def test_openinference_annotates_spans_traces_and_sessions() -> None:
    found = scores_of(
        {
            **annotation(0, name="tone", label="polite", annotator_kind="HUMAN", identifier="ada"),
            **annotation(1, name="facts", score=0.5, annotator_kind="LLM", explanation="half of them"),
            **annotation(0, "trace.", "evaluation", name="done", score=True),
            **annotation(0, "session.", name="mood", score=1),
            "session.id": "c1",
        }
    )
    by_name = {score.name: score for score in found}
    assert set(by_name) == {"tone", "facts", "done", "mood"}
    assert (by_name["tone"].source, by_name["tone"].author, by_name["tone"].span_id) == ("human", "ada", SPAN)
    assert (by_name["facts"].source, by_name["facts"].value, by_name["facts"].comment) == (
        "evaluator",
        0.5,
        "half of them",
    )
    assert (by_name["done"].trace_id, by_name["done"].span_id, by_name["done"].data_type) == (TRACE, None, "boolean")
    assert (by_name["mood"].session_id, by_name["mood"].trace_id, by_name["mood"].span_id) == ("c1", TRACE, None)


def test_a_verdict_on_a_session_needs_one() -> None:
    assert scores_of(annotation(0, "session.", name="mood", score=1)) == []


def test_one_score_a_name_and_evaluator_and_never_more_than_a_hundred() -> None:
    two = {**annotation(0, name="n", score=1), **annotation(1, name="n", score=2)}
    assert [score.value for score in scores_of(two)] == [2.0]
    assert len(scores_of({**two, **annotation(2, name="n", score=3, identifier="other")})) == 2
    many = {key: value for n in range(300) for key, value in annotation(n, name=f"n{n}", score=n).items()}
    assert len(scores_of(many)) == 100


def test_explanations_are_content() -> None:
    given = [event(name="n", value=1, explanation="ask ada@acme.example " + "x" * MAX_TEXT)]
    [redacted] = scores_of(events=given, redact_patterns=("email",))
    assert redacted.comment is not None
    assert redacted.comment.startswith("ask [email] ")
    assert len(redacted.comment) == MAX_TEXT
    [without] = scores_of(events=given, store_content=False)
    assert (without.value, without.comment) == (1.0, None)


def test_where_content_is_off_verdicts_still_tell_arrivals_apart() -> None:
    hashes = {
        row_of({}, rules(store_content=False), events=[event(name="n", value=value)]).content_hash for value in (1, 2)
    }
    assert len(hashes) == 2


# -- through the writer -------------------------------------------------------------------------------------------


def spans(*values: float | None, more: int = 0) -> bytes:
    """A request of one span a value, which carries a score of it (None: no score); `more` makes its rank greater."""
    begin = BEGIN
    made = []
    for number, value in enumerate(values):
        name = f"n{more % 3}"
        events = [] if value is None else [event(begin + 5_000, name=name, value=value)]
        extra = {f"extra.{n}": n for n in range(more)}
        made.append(
            json_span(
                extra,
                spanId=f"{number + 1:016x}",
                startTimeUnixNano=str(begin),
                endTimeUnixNano=str(begin + 10**9),
                events=events,
            )
        )
    return json.dumps(json_request(made)).encode()


BEGIN = time.time_ns() // 10**9 * 10**9 - 600 * 10**9


def stored() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name, value, span_id, derived, timestamp FROM score ORDER BY id")
        return list(cursor.fetchall())


def forget() -> None:
    with connection.cursor() as cursor:
        for table in ("score", "span", "span_content", "span_mark"):
            cursor.execute(f"DELETE FROM {table}")


@pytest.mark.django_db
@pytest.mark.parametrize("sink", ["copy", "unnest"])
def test_scores_are_stored_with_their_spans_and_a_retry_changes_nothing(acme: Sender, sink: str) -> None:
    with override_settings(WRITER_SINK=sink):
        assert acme.post(spans(0.5, 1, None)).status_code == 200
        first, marked = stored(), marks()
        assert [(row[2], row[3]) for row in sorted(first, key=lambda row: row[3])] == [
            (0.5, f"{1:016x}"),
            (1.0, f"{2:016x}"),
        ]
        for _ in range(2):
            assert acme.post(spans(0.5, 1, None)).status_code == 200
        body = to_protobuf(json.loads(spans(0.5, 1, None)))
        assert acme.post(body, content_type=PROTOBUF).status_code == 200
    assert (stored(), marks()) == (first, marked)


@pytest.mark.django_db
def test_the_order_of_arrivals_makes_no_difference(acme: Sender) -> None:
    arrivals = [spans(0.1, 0.2), spans(None, 0.4, more=2), spans(0.5, None, more=3)]
    results = set()
    for order in itertools.permutations(arrivals):
        forget()
        for body in order:
            assert acme.post(body).status_code == 200
        results.add(tuple(row[:4] for row in stored()))
    # The greatest arrival of each span decides: of the first 0.5 (under n0), of the second nothing.
    assert len(results) == 1
    assert [(row[1], row[2]) for row in results.pop()] == [("n0", 0.5)]


@pytest.mark.django_db
def test_what_came_over_the_api_stays_when_a_span_is_replaced(acme: Sender) -> None:
    acme.post(spans(0.1))
    own = {"trace_id": TRACE, "span_id": f"{1:016x}", "name": "n0", "value": 9, "id": "own"}
    assert acme.post(json.dumps(own).encode(), "/api/v1/scores").status_code == 200
    acme.post(spans(None, more=1))
    assert [row[0] for row in stored()] == ["own"]


@pytest.mark.django_db
def test_two_spans_that_differ_in_their_start_alone_are_one_batch(acme: Sender) -> None:
    document = json.loads(spans(0.1, 0.2))
    listed = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    listed[1]["spanId"] = listed[0]["spanId"]
    listed[1]["startTimeUnixNano"] = str(BEGIN + 10**6)
    assert acme.post(document).status_code == 200
    assert [row[2] for row in stored()] == [0.2]


@pytest.mark.django_db
def test_a_text_of_the_sender_is_no_sql(acme: Sender) -> None:
    document = json.loads(spans(0.1))
    event_attributes = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["events"][0]["attributes"]
    hostile = "it's; DROP TABLE score; -- \\' %s $1 $$ \u2028"
    event_attributes[0]["value"]["stringValue"] = hostile
    assert acme.post(document).status_code == 200
    assert [row[1] for row in stored()] == [hostile]
