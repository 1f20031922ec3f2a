"""What happened at the demo company, hour by hour.

Pure and repeatable: the same hour always has the same traces with the same ids, so sending an hour twice changes
nothing, and a run that was cut off can be taken up again.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from analytics_hub.demo.catalog import (
    ANSWERS,
    APPLICATIONS,
    EMBEDDING,
    ENVIRONMENTS,
    FAILURES,
    QUESTIONS,
    RELEASES,
    TOOLS,
    USERS,
    Application,
    Model,
)

SEED = 20_170_612
CONVERSATIONS_AN_HOUR = 32.0
USUAL_FAILURES = 0.012
HOUR = timedelta(hours=1)
Value = str | int | float | bool | Sequence[str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """One span to be: times are microseconds, the start counted from its trace's."""

    name: str
    start: int
    duration: int
    attributes: dict[str, Value]
    failure: Failure | None = None
    children: tuple[Step, ...] = ()

    def __len__(self) -> int:
        return 1 + sum(len(child) for child in self.children)

    @property
    def end(self) -> int:
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Trace:
    """One request to an application of the company.

    `relevance` is what an evaluator gave the answer, 0 to 1; `resolved` what the user said at the end of the talk.
    """

    seed: str
    application: Application
    environment: str
    release: str
    start: datetime
    root: Step
    session: str = ""
    relevance: float | None = None
    resolved: bool | None = None

    @property
    def end(self) -> datetime:
        return self.start + timedelta(microseconds=self.root.duration)


@dataclass(frozen=True, slots=True)
class Weather:
    """What is unusual about an hour."""

    openai_failures: float = USUAL_FAILURES
    prompt_factor: float = 1.0
    slowness: float = 1.0


def traces(start: datetime, end: datetime) -> Iterator[Trace]:
    """The traces of the hours from `start` that ended before `end`, in the order of their hours."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield from (trace for trace in _hour(hour, weather(hour)) if trace.end < end)
        hour += HOUR


def weather(hour: datetime) -> Weather:
    """On Tuesday afternoons the agent's prompts explode, on Thursday mornings a provider is slow and fails."""
    if hour.weekday() == 1 and 13 <= hour.hour < 17:
        return Weather(prompt_factor=7.0)
    if hour.weekday() == 3 and 9 <= hour.hour < 12:
        return Weather(openai_failures=0.22, slowness=2.5)
    return Weather()


def rhythm(hour: datetime) -> float:
    """The share of the busiest hour's traffic: high at midday, low at night and at the weekend."""
    day = 0.12 + 0.88 * math.exp(-(((hour.hour - 13.5) / 4.2) ** 2))
    return day * (0.4 if hour.weekday() >= 5 else 1.0)


def _hour(hour: datetime, conditions: Weather) -> Iterator[Trace]:
    rng = random.Random(f"{SEED}:{hour:%Y%m%d%H}")
    wanted = CONVERSATIONS_AN_HOUR * rhythm(hour) * rng.uniform(0.85, 1.15)
    for number in range(int(wanted) + (rng.random() < wanted % 1)):
        seed = f"{SEED}:{hour:%Y%m%d%H}:{number}"
        yield from _conversation(seed, hour, conditions)


def _conversation(seed: str, hour: datetime, conditions: Weather) -> Iterator[Trace]:
    rng = random.Random(seed)
    application = _pick(rng, [(one, one.weight) for one in APPLICATIONS])
    environment = _pick(rng, ENVIRONMENTS)
    # Few people ask most of the questions.
    user = USERS[min(int(rng.paretovariate(0.9)) - 1, len(USERS) - 1)]
    moment = hour + timedelta(microseconds=rng.randrange(3_600_000_000))
    session = f"{application.kind}-{rng.getrandbits(48):012x}"
    context: dict[str, Value] = {"session.id": session, "user.id": user}
    context["tag.tags"] = (f"team:{application.team}", f"channel:{rng.choice(('web', 'mobile', 'api'))}")
    turns = rng.choice(application.turns)
    for turn in range(turns):
        root = _BUILDERS[application.kind](rng, application, conditions)
        root = replace(root, attributes={**root.attributes, **context})
        relevance, resolved = _verdicts(f"{seed}:{turn}", root, last=turn == turns - 1)
        release = rng.choice(RELEASES)
        yield Trace(f"{seed}:{turn}", application, environment, release, moment, root, session, relevance, resolved)
        moment += timedelta(microseconds=root.duration + rng.randrange(15_000_000, 180_000_000))


def _verdicts(seed: str, root: Step, *, last: bool) -> tuple[float | None, bool | None]:
    """An evaluator looks at most answers; some users say at the end whether they were helped."""
    rng = random.Random(f"{seed}:verdicts")
    relevance = round(rng.betavariate(8, 2), 3) if root.failure is None and rng.random() < 0.6 else None
    resolved = rng.random() < (0.3 if root.failure else 0.85) if last and rng.random() < 0.5 else None
    return relevance, resolved


def _chat(rng: random.Random, application: Application, conditions: Weather) -> Step:
    """chain -> retriever (-> embedding) -> llm, and now and then a tool and a second llm."""
    number = rng.randrange(len(QUESTIONS))
    question, answer = QUESTIONS[number], ANSWERS[number]
    retriever = _retriever(rng, question, start=2_000)
    calls = [_llm(rng, application, conditions, retriever.end + 3_000, question, answer)]
    if calls[0].failure is None and rng.random() < 0.3:
        tool = _tool(rng, calls[0].end + 1_000)
        calls += [tool, _llm(rng, application, conditions, tool.end + 1_000, question, answer)]
    return _root("answer question", "CHAIN", question, answer, (retriever, *calls))


def _agent(rng: random.Random, application: Application, conditions: Weather) -> Step:
    """agent -> llm -> tool -> llm -> ... until it is done or fails."""
    number = rng.randrange(len(QUESTIONS))
    steps: list[Step] = []
    moment = 5_000
    for _ in range(rng.randint(2, 6)):
        call = _llm(rng, application, conditions, moment, QUESTIONS[number], ANSWERS[number])
        steps.append(call)
        if call.failure is not None:
            break
        steps.append(_tool(rng, call.end + 2_000))
        moment = steps[-1].end + 2_000
    return _root("solve task", "AGENT", QUESTIONS[number], ANSWERS[number], tuple(steps))


def _batch(rng: random.Random, application: Application, conditions: Weather) -> Step:
    """chain -> an llm for each part of a document."""
    moment, steps = 10_000, []
    for part in range(rng.randint(2, 5)):
        steps.append(_llm(rng, application, conditions, moment, f"Summarise part {part + 1}.", ANSWERS[3]))
        moment = steps[-1].end + 1_000
    return _root("summarise document", "CHAIN", QUESTIONS[3], ANSWERS[3], tuple(steps))


_BUILDERS = {"chat": _chat, "agent": _agent, "batch": _batch}


def _root(name: str, kind: str, question: str, answer: str, children: tuple[Step, ...]) -> Step:
    failure = next((child.failure for child in reversed(children) if child.failure), None)
    attributes: dict[str, Value] = {"openinference.span.kind": kind, "input.value": question}
    if failure is None:
        attributes["output.value"] = answer
    return Step(name, 0, children[-1].end + 2_000, attributes, failure, children)


def _retriever(rng: random.Random, question: str, start: int) -> Step:
    embedding = Step(
        f"embeddings {EMBEDDING.name}",
        start + 500,
        _about(rng, 0.06),
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": EMBEDDING.provider,
            "gen_ai.request.model": EMBEDDING.name,
            "gen_ai.response.model": EMBEDDING.name,
            "gen_ai.usage.input_tokens": rng.randint(8, 40),
        },
    )
    attributes: dict[str, Value] = {"openinference.span.kind": "RETRIEVER", "input.value": question}
    return Step("search knowledge base", start, embedding.duration + _about(rng, 0.04), attributes, None, (embedding,))


def _tool(rng: random.Random, start: int) -> Step:
    name = rng.choice(TOOLS)
    attributes: dict[str, Value] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    failure = Failure("ToolExecutionError", f"{name} did not answer") if rng.random() < 0.01 else None
    return Step(f"execute_tool {name}", start, _about(rng, 0.25, spread=0.9), attributes, failure)


def _llm(
    rng: random.Random, application: Application, conditions: Weather, start: int, question: str, answer: str
) -> Step:
    model = _pick(rng, application.models)
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
        "gen_ai.request.stream": True,
        "gen_ai.input.messages": _message("user", question),
    }
    if rng.random() < (conditions.openai_failures if model.provider == "openai" else USUAL_FAILURES):
        kind, message = _pick(rng, [((kind, text), share) for kind, text, share in FAILURES])
        return Step(f"chat {model.name}", start, _about(rng, 1.5, spread=1.0), attributes, Failure(kind, message))
    duration = _usage(rng, application, conditions, model, attributes)
    attributes["gen_ai.response.model"] = model.name
    attributes["gen_ai.response.finish_reasons"] = ("stop",)
    attributes["gen_ai.output.messages"] = _message("assistant", answer)
    return Step(f"chat {model.name}", start, duration, attributes)


def _usage(
    rng: random.Random, application: Application, conditions: Weather, model: Model, attributes: dict[str, Value]
) -> int:
    """Fill in the tokens and the time to the first of them; the duration follows from both."""
    factor = conditions.prompt_factor if application.kind == "agent" else 1.0
    prompt = max(20, int(application.prompt_tokens * factor * rng.lognormvariate(0.0, 0.5)))
    completion = max(5, int(application.completion_tokens * rng.lognormvariate(0.0, 0.6)))
    first = model.first_token_s * conditions.slowness * rng.lognormvariate(0.0, 0.35)
    attributes["gen_ai.usage.input_tokens"] = prompt
    attributes["gen_ai.usage.output_tokens"] = completion
    attributes["gen_ai.response.time_to_first_chunk"] = round(first, 6)
    if model.cached_share and rng.random() < 0.7:
        attributes["gen_ai.usage.cache_read.input_tokens"] = int(prompt * model.cached_share * rng.random())
    if model.reasoning_share:
        attributes["gen_ai.usage.reasoning.output_tokens"] = int(completion * model.reasoning_share * rng.random())
    speed = model.tokens_per_s / conditions.slowness * rng.uniform(0.7, 1.2)
    return int((first + completion / speed) * 1e6)


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _about(rng: random.Random, seconds: float, spread: float = 0.4) -> int:
    return max(1_000, int(seconds * rng.lognormvariate(0.0, spread) * 1e6))


def _pick(rng: random.Random, choices: Sequence[tuple[T, float]]) -> T:
    return rng.choices([value for value, _ in choices], [weight for _, weight in choices])[0]
