"""The demo's story: repeatable, plausible, and never in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics_hub.demo.story import Step, Trace, traces, weather

END = datetime(2026, 11, 20, 15, 20, tzinfo=UTC)
START = END - timedelta(days=7)


@pytest.fixture(scope="module")
def week() -> list[Trace]:
    return list(traces(START, END))


def steps(step: Step) -> list[Step]:
    return [step, *(below for child in step.children for below in steps(child))]


def test_a_week_is_about_twenty_thousand_spans(week: list[Trace]) -> None:
    assert 15_000 < sum(len(trace.root) for trace in week) < 26_000


def test_the_same_hour_is_the_same_whenever_it_is_told(week: list[Trace]) -> None:
    later = {trace.seed: trace for trace in traces(END - timedelta(hours=1), END + timedelta(days=2))}
    last_hours = [trace for trace in week if trace.seed in later]
    assert last_hours
    assert all(later[trace.seed] == trace for trace in last_hours)
    assert len({trace.seed for trace in week}) == len(week)


def test_nothing_ends_in_the_future(week: list[Trace]) -> None:
    assert max(trace.end for trace in week) < END
    assert min(trace.start for trace in week) >= START.replace(minute=0)


def test_children_lie_inside_their_parents(week: list[Trace]) -> None:
    for trace in week:
        for step in steps(trace.root):
            assert step.duration > 0
            for child in step.children:
                assert step.start <= child.start < child.end <= step.end


def test_every_kind_of_thing_happens(week: list[Trace]) -> None:
    every = [step for trace in week for step in steps(trace.root)]
    models = {step.attributes.get("gen_ai.request.model") for step in every} - {None}
    assert models == {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "text-embedding-3-small"}
    assert {trace.environment for trace in week} == {"production", "staging", "development"}
    assert {step.failure.kind for step in every if step.failure} >= {"RateLimitError", "APITimeoutError"}
    cached = [step for step in every if "gen_ai.usage.cache_read.input_tokens" in step.attributes]
    assert cached
    for step in cached:
        read, prompt = (step.attributes[f"gen_ai.usage.{kind}"] for kind in ("cache_read.input_tokens", "input_tokens"))
        assert isinstance(read, int)
        assert isinstance(prompt, int)
        assert 0 <= read <= prompt


def test_a_spike_and_an_outage_lie_in_every_week(week: list[Trace]) -> None:
    hours = {trace.start.replace(minute=0, second=0, microsecond=0) for trace in week}
    assert any(weather(hour).prompt_factor > 1 for hour in hours)
    assert any(weather(hour).slowness > 1 for hour in hours)


def test_answers_are_judged_and_users_say_whether_they_were_helped(week: list[Trace]) -> None:
    judged = [trace for trace in week if trace.relevance is not None]
    assert 0.3 < len(judged) / len(week) < 0.8
    assert all(trace.relevance is not None and 0 <= trace.relevance <= 1 for trace in judged)
    said = [trace for trace in week if trace.resolved is not None]
    assert len({trace.session for trace in said}) == len(said), "one verdict a conversation"
    assert {trace.resolved for trace in said} == {True, False}
