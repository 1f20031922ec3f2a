"""The body of a comparison of models, read: every refusal of `POST /api/v1/models/compare` is made here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.common.errors import ApiError
from apps.common.reads import reading
from apps.common.reads.reading import Problems
from apps.metrics import params
from apps.metrics.catalog import SCORE_NAME
from apps.metrics.reports.base import base_spec
from apps.metrics.reports.trends import alpha_of
from apps.metrics.spec import QuerySpec
from apps.orgs.scopes import Scope

FIELDS = ("models", "metrics", "start_time", "end_time", "project", "filters", "alpha", "scores")
SUBJECTS = ("latency", "cost", "quality", "throughput")
LEAST, MOST = 2, 10
MOST_SCORES = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to compare: of one provider, or by its name wherever it runs."""

    model: str
    provider: str | None = None
    any_provider: bool = True

    @property
    def label(self) -> str:
        return self.model if self.any_provider else f"{self.provider or 'unknown'}/{self.model}"

    @property
    def group_by(self) -> tuple[str, ...]:
        return ("model",) if self.any_provider else ("provider", "model")

    @property
    def key(self) -> tuple[str | None, ...]:
        """Its values of the dimensions that it is grouped by."""
        return (self.model,) if self.any_provider else (self.provider, self.model)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, over which requests, at which level of significance.

    Args:
        scores: the names of scores for quality; None for the first that the projects have.
    """

    base: QuerySpec
    candidates: tuple[Candidate, ...]
    subjects: tuple[str, ...]
    alpha: float
    scores: tuple[str, ...] | None = None


def from_body(body: Any, scope: Scope, now: datetime) -> Comparison:
    """The comparison that a JSON body asks for.

    Raises:
        ApiError: every bad field.
    """
    if not isinstance(body, Mapping):
        raise ApiError(1200, "The body must be a JSON object.")
    problems = Problems()
    take = problems.take
    take(lambda: reading.check_keys(body, FIELDS, ""), None)
    candidates = take(lambda: _candidates(body.get("models")), ())
    subjects = take(lambda: _subjects(body.get("metrics")), ())
    alpha = take(lambda: alpha_of(body.get("alpha")), 0.05)
    filters = take(lambda: params.filters_from_body(body.get("filters")), ())
    scores = take(lambda: _scores(body.get("scores")), None)
    times = {name: body[name] for name in ("start_time", "end_time") if name in body}
    return Comparison(base_spec(times, scope, now, problems, filters=filters), candidates, subjects, alpha, scores)


def _candidates(raw: Any) -> tuple[Candidate, ...]:
    if raw is None:
        raise reading.bad("models", 'Name the models to compare: "models": ["gpt-4o", "claude-sonnet-4-5"].', 1201)
    if not isinstance(raw, list):
        raise reading.bad("models", "models must be a list of names or of {provider, model}.", 1203)
    if not LEAST <= len(raw) <= MOST:
        raise reading.bad("models", f"{LEAST} to {MOST} models are compared.", 1205)
    made = tuple(_candidate(item, f"models[{index}]") for index, item in enumerate(raw))
    seen: set[tuple[str, str | None]] = set()
    wide = {item.model for item in made if item.any_provider}
    for index, item in enumerate(made):
        name = (item.model, None if item.any_provider else item.provider or "")
        if name in seen or (not item.any_provider and item.model in wide):
            message = f"{item.label} is compared with itself: its requests are in two of the models."
            raise reading.bad(f"models[{index}]", message)
        seen.add(name)
    return made


def _candidate(item: Any, where: str) -> Candidate:
    if isinstance(item, str):
        return Candidate(_name(item, where))
    if not isinstance(item, Mapping):
        raise reading.bad(where, "A model is a name or {provider, model}.", 1203)
    reading.check_keys(item, ("provider", "model"), where)
    if "model" not in item:
        raise reading.bad(f"{where}.model", "The model is missing.", 1201)
    model = _name(item["model"], f"{where}.model")
    if "provider" not in item:
        return Candidate(model)
    provider = item["provider"]
    return Candidate(model, None if provider is None else _name(provider, f"{where}.provider"), False)


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or "\x00" in value or len(value) > 500:
        raise reading.bad(where, "A name is a text of 1 to 500 characters.", 1203)
    return value


def _subjects(raw: Any) -> tuple[str, ...]:
    if raw is None:
        return SUBJECTS
    if not isinstance(raw, list) or not raw:
        raise reading.bad("metrics", f"metrics must be a list of: {', '.join(SUBJECTS)}.", 1203)
    chosen = {reading.choice(item, SUBJECTS, "metrics") for item in raw}
    return tuple(name for name in SUBJECTS if name in chosen)


def _scores(raw: Any) -> tuple[str, ...] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(name, str) and SCORE_NAME.fullmatch(name) for name in raw):
        raise reading.bad("scores", "scores must be a list of names of scores.", 1203)
    if len(raw) > MOST_SCORES:
        raise reading.bad("scores", f"At most {MOST_SCORES} scores.", 1205)
    return tuple(dict.fromkeys(raw))
