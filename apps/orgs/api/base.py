"""What the management endpoints share: strict bodies, lists by cursor, what belongs to the caller's organization."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import models
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters, unknown_name
from apps.common.reads import fields, paging
from apps.orgs.access import Principal, visible_project
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import Organization, Project, Role
from apps.orgs.services import Authority, authority_of

M = TypeVar("M", bound=models.Model)
B = TypeVar("B", bound=serializers.Serializer[Any])
V = TypeVar("V", bound=Callable[..., Response])
HIGHEST_ID = 2**31 - 1
MAX_PROJECTS = 1_000
Answer = serializers.Serializer[Any]


class Text(serializers.CharField):
    """A JSON text; numbers are none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Whole(serializers.IntegerField):
    """A JSON whole number; texts and truth values are none."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """true or false; "yes" and 1 are neither."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(data)[:64])
        return data


class Choice(serializers.ChoiceField):
    """One of some words; a wrong one is told which there are."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise serializers.ValidationError(f"This must be one of {known}.", code="invalid_choice")
        return data


class Moment(serializers.DateTimeField):
    """An ISO 8601 time with a zone."""

    default_error_messages = {"invalid": "This must be an ISO 8601 time with a zone, such as 2026-11-05T00:00:00Z."}

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str):
            self.fail("invalid")
        return super().to_internal_value(value)

    def enforce_timezone(self, value: Any) -> Any:
        if value.tzinfo is None:
            self.fail("invalid")
        return super().enforce_timezone(value)


class OneRole(serializers.ChoiceField):
    """A role, by its name."""

    default_error_messages = {"invalid_choice": f"'{{input}}' is none of {', '.join(Role.values)}."}

    def __init__(self, **options: Any) -> None:
        super().__init__(Role.choices, **options)


class Texts(serializers.ListField):
    """A list of texts."""

    def __init__(self, most: int, length: int, **options: Any) -> None:
        super().__init__(child=Text(max_length=length, trim_whitespace=False), max_length=most, **options)


def example(**value: Any) -> Callable[[type[B]], type[B]]:
    """What Swagger UI offers to send, in the place of a "string" for every text."""
    return extend_schema_serializer(examples=[OpenApiExample("Such as", value=value, request_only=True)])


class Body(serializers.Serializer[Any]):
    """A request's body: a JSON object without unknown fields."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ApiError(1200, "The body must be a JSON object.")
        for name in data:
            if name not in self.fields:
                raise unknown_name(str(name), self.fields, what="field")
        return super().to_internal_value(data)


class Reach(Body):
    """The part of a body that says what somebody may do, and where."""

    role = OneRole()
    all_projects = Flag(required=False)
    projects = Texts(MAX_PROJECTS, 64, required=False, help_text="Slugs; without all_projects, these alone")


class View(APIView):
    """A management endpoint: who asks, and for which organization. Its answers are kept by nobody on the way."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    @staticmethod
    def principal(request: Request) -> Principal:
        assert isinstance(request.user, Principal)
        return request.user

    def organization(self, request: Request) -> Organization:
        """The caller's organization, or 1300 where it is gone."""
        found = Organization.objects.filter(pk=self.principal(request).organization_id).first()
        return existing(found, "organization")

    def change(self, request: Request) -> dict[str, Any]:
        """Who acts and what they hold, as every service wants to know it."""
        return {"actor": self.actor(request), "by": self.by(request)}

    @staticmethod
    def actor(request: Request) -> Actor:
        return actor_of(request)

    def by(self, request: Request) -> Authority:
        return authority_of(self.principal(request))


def body(request: Request, form: type[Body], *, partial: bool = False) -> dict[str, Any]:
    """A request's body, checked; for `partial` only what is given.

    Raises:
        ApiError: 12xx, naming the fields.
    """
    check_parameters(request, ())
    read = form(data=request.data, partial=partial)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def nothing(request: Request) -> None:
    """Refuse a body where none is expected, and parameters."""
    check_parameters(request, ())
    if request.data:
        raise ApiError(1202, "This takes no body.")


def one(request: Request, answer: type[Answer], find: Callable[[], models.Model]) -> Response:
    """An object as JSON, by its own fields (`fields=`). It is looked for once the question is known to be right."""
    check_parameters(request, {fields.NAME})
    chosen = fields.requested(request, fields.names_of(answer))
    return Response(fields.keep(chosen, answer(find()).data))


def many(
    request: Request,
    answer: type[Answer],
    rows: models.QuerySet[M],
    order: paging.Order | None = None,
    *,
    filters: Collection[str] = (),
    context: Mapping[str, Any] | None = None,
) -> Response:
    """A page of objects as JSON."""
    check_parameters(request, {fields.NAME, *paging.NAMES, *filters})
    chosen = fields.requested(request, fields.names_of(answer))
    page = paging.paginate(request, rows, order)
    data = answer(page.rows, many=True, context=dict(context or {})).data
    return Response(fields.keep(chosen, {"data": data, "pagination": page.pagination}))


def made(answer: type[Answer], row: models.Model, status: int = 200, **more: Any) -> Response:
    """The object that a change left, with what is told once."""
    headers = {"Cache-Control": "no-store"} if more else None
    return Response({**answer(row).data, **more}, status=status, headers=headers)


def existing(row: M | None, what: str) -> M:
    """The row, or 1300 where there is none."""
    if row is None:
        raise ApiError(1300, f"There is no such {what}.")
    return row


def reachable(number: int, rows: models.QuerySet[M], reach: models.QuerySet[M], what: str) -> M:
    """An object of the caller's organization by id.

    Args:
        rows: those of the organization.
        reach: those of them that the caller may see.

    Raises:
        ApiError: 1300 for one that is not the organization's, 1102 for one out of reach.
    """
    if number > HIGHEST_ID:
        raise ApiError(1300, f"There is no such {what}.")
    found = reach.filter(pk=number).first()
    if found is None:
        existing(rows.filter(pk=number).first(), what)
        raise ApiError(1102, f"The {what} is another person's, or of projects that you do not see.")
    return found


def projects_named(principal: Principal, slugs: Iterable[str], field: str = "projects") -> list[Project]:
    """Projects by slug.

    Raises:
        ApiError: 1101 for a hidden one, 1300 for one that is not the organization's.
    """
    try:
        ids = {visible_project(principal, slug) for slug in slugs}
    except ApiError as error:
        error.field = field
        raise
    return list(Project.objects.filter(pk__in=ids, organization_id=principal.organization_id))


def documented(
    operation: str,
    summary: str,
    tag: str,
    answer: Any,
    *,
    status: int = 200,
    request: Any = None,
    parameters: Sequence[OpenApiParameter] = (),
    description: str = "",
    errors: Sequence[int] = (),
) -> Callable[[V], V]:
    """Describe an operation; `errors` are statuses beside those that every operation may answer."""
    return extend_schema(
        operation_id=operation,
        summary=summary,
        tags=[tag],
        request=request,
        responses={status: answer if answer is not None else OpenApiResponse(description="Done.")},
        parameters=list(parameters),
        description=description or None,
        extensions={"x-errors": [400, *errors]},
    )


ONE = [fields.PARAMETER]
LIST = [*paging.PARAMETERS, fields.PARAMETER]
