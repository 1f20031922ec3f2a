"""Reading scores: `GET /api/v1/scores`, `GET` and `DELETE /api/v1/scores/{score_id}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters
from apps.common.reads import fields, paging
from apps.common.reads.reading import bad, choice, moment, number
from apps.common.reads.snapshot import snapshot
from apps.orgs.access import Principal
from apps.orgs.scopes import Scope, principal_of, scope_of, single_values
from apps.orgs.views import Question, ReadView
from apps.traces import scores
from apps.traces.api import openapi_scores as openapi
from apps.traces.scores import Score, Wanted
from apps.traces.scores_writer import delete_score
from apps.traces.versions import ALWAYS, counted

CONTENT = "traces:content"
MAX_VALUES = 100
# Texts that may be several, separated by commas; the columns are named alike.
TEXTS = ("name", "trace_id", "span_id", "session_id", "environment", "author")
CHOICES: Mapping[str, tuple[str, ...]] = {"source": scores.SOURCES, "data_type": scores.DATA_TYPES}
PARAMETERS = (*TEXTS, *CHOICES, "min_value", "max_value", "start_time", "end_time", "project")
ORDER = paging.Order("timestamp", descending=True)


class ScoreReads(ReadView):
    """What the reads of scores share."""

    area = "scores"
    ttl = "cache_ttl_traces"
    required_permission = {"GET": "traces:read", "DELETE": "scores:write"}


@extend_schema_view(get=extend_schema(**openapi.LIST))
class ScoresList(ScoreReads):
    """Scores, the newest first."""

    def question(self, request: Request, **_: Any) -> Question:
        check_parameters(request, (*PARAMETERS, *paging.NAMES, fields.NAME))
        source, principal = single_values(request), principal_of(request)
        scope = scope_of(principal, source.get("project"))
        wanted = wanted_from(source)
        asked = paging.asked(request, ORDER)
        content = CONTENT in principal.permissions

        def compute() -> Mapping[str, Any]:
            return _page(scope, wanted, asked, content=content)

        parameters = (sorted(scope.projects.values()), wanted, asked.limit, asked.after, asked.include_total, content)
        return Question(parameters, compute, openapi.NAMES, lambda: _version(scope))


def _page(scope: Scope, wanted: Wanted, asked: paging.Asked, *, content: bool) -> Mapping[str, Any]:
    projects = sorted(scope.projects.values())
    slugs = {number: slug for slug, number in scope.projects.items()}
    after = _after(asked.after)
    with snapshot() as cursor:
        found = scores.page(cursor, projects, wanted, after=after, limit=asked.limit + 1)
        total = scores.count(cursor, projects, wanted) if asked.include_total else None
    page = paging.finish(asked, found, _place, total)
    rows = [scores.shown(score, slugs.get(score.project_id), content=content) for score in page.rows]
    return {"data": rows, "pagination": page.pagination}


def _place(score: Score) -> tuple[paging.Value, paging.Value]:
    """Where a score stands: an id is unique within its project alone."""
    return score.timestamp, f"{score.project_id}/{score.id}"


def _after(values: tuple[paging.Value, ...] | None) -> scores.After | None:
    if values is None:
        return None
    moment_, place = values
    project, _, key = str(place).partition("/")
    return moment_, key, int(project)  # type: ignore[return-value]


def _version(scope: Scope) -> tuple[int, ...]:
    # A score of any day leaves a mark, and so does its deletion.
    return counted(sorted(scope.projects.values()), [ALWAYS]).counters


def wanted_from(source: Mapping[str, str]) -> Wanted:
    """The filters of a list.

    Raises:
        ApiError: what is wrong with them.
    """
    conditions: list[str] = []
    parameters: dict[str, Any] = {}

    def add(name: str, condition: str, value: Any) -> None:
        conditions.append(condition.format(f"%(f_{name})s"))
        parameters[f"f_{name}"] = value

    for name in (*TEXTS, *CHOICES):
        if name in source:
            add(name, f"c.{name} = ANY({{}}::text[])", _listed(name, source[name]))
    for name, sign in (("min_value", ">="), ("max_value", "<=")):
        if name in source:
            add(name, f"c.value {sign} {{}}::double precision", float(number(source[name], name)))
    for name, sign in (("start_time", ">="), ("end_time", "<")):
        if name in source:
            add(name, f"c.timestamp {sign} {{}}::timestamptz", moment(source[name], name))
    start, end = parameters.get("f_start_time"), parameters.get("f_end_time")
    if start is not None and end is not None and start >= end:
        raise ApiError(1204, "start_time must be before end_time.", field="start_time")
    return Wanted(tuple(conditions), parameters)


def _listed(name: str, text: str) -> list[str]:
    items = [item for item in text.split(",") if item]
    if not items or len(items) > MAX_VALUES:
        raise bad(name, f"{name} takes 1 to {MAX_VALUES} values.", 1205 if items else 1202)
    if "\x00" in text:
        raise bad(name, f"{name} holds no NUL.")
    return [choice(item, CHOICES[name], name) for item in items] if name in CHOICES else items


@extend_schema_view(get=extend_schema(**openapi.ONE))
class ScoreDetail(ScoreReads):
    """One score."""

    def question(self, request: Request, **arguments: Any) -> Question:
        check_parameters(request, ("project", fields.NAME))
        score_id: str = arguments["score_id"]
        principal = principal_of(request)
        scope = scope_of(principal, single_values(request).get("project"))
        content = CONTENT in principal.permissions
        slugs = {number: slug for slug, number in scope.projects.items()}

        def compute() -> Mapping[str, Any]:
            with snapshot() as cursor:
                score = _one(cursor, sorted(slugs), score_id)
            return {"data": scores.shown(score, slugs[score.project_id], content=content)}

        return Question((sorted(slugs), score_id, content), compute, openapi.NAMES, lambda: _version(scope))

    @extend_schema(**openapi.DELETE)
    def delete(self, request: Request, *, score_id: str) -> Response:
        check_parameters(request, ("project",))
        principal: Principal = principal_of(request)
        scope = scope_of(principal, single_values(request).get("project"))
        with snapshot() as cursor:
            score = _one(cursor, sorted(scope.projects.values()), score_id)
        delete_score(score.project_id, score.id)
        return Response(status=204)


def _one(cursor: Any, projects: list[int], score_id: str) -> Score:
    # No stored text holds a null character, and PostgreSQL takes none.
    found = [] if "\x00" in score_id else scores.by_id(cursor, projects, score_id)
    if not found:
        raise ApiError(1300, "There is no such score.", field="score_id")
    if len(found) > 1:
        raise bad("project", "Several projects have a score of this id: name one by ?project=.", 1201)
    return found[0]
