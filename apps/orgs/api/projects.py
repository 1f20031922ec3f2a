"""`/api/v1/projects`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import QuerySet
from django.urls import URLPattern, path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.reads import paging
from apps.orgs.access import SIGNED_IN, Principal
from apps.orgs.api.base import (
    LIST,
    ONE,
    Body,
    Flag,
    Text,
    Texts,
    View,
    Whole,
    body,
    documented,
    example,
    made,
    many,
    one,
    projects_named,
)
from apps.orgs.models import Project
from apps.orgs.services import project_create, project_update
from apps.orgs.services.projects import MAX_RETENTION_DAYS, MAX_SPANS_PER_MINUTE

TAG = "projects"


class ProjectAnswer(serializers.Serializer[Any]):
    """A project. Retentions that are null follow the installation's settings."""

    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    raw_retention_days = serializers.IntegerField(allow_null=True)
    content_retention_days = serializers.IntegerField(allow_null=True)
    store_content = serializers.BooleanField()
    redact_patterns = serializers.ListField(child=serializers.CharField())
    redact_custom = serializers.ListField(child=serializers.CharField())
    spans_per_minute = serializers.IntegerField(allow_null=True)


def _days() -> Whole:
    return Whole(min_value=1, max_value=MAX_RETENTION_DAYS, allow_null=True, required=False)


@example(name="Web shop", content_retention_days=14, redact_patterns=["email"])
class ProjectChange(Body):
    """What can be set of a project."""

    name = Text(max_length=200, required=False)
    raw_retention_days = _days()
    content_retention_days = _days()
    store_content = Flag(required=False)
    redact_patterns = Texts(20, 64, required=False, help_text="Built-in patterns: email, phone, card, key")
    redact_custom = Texts(20, 500, required=False, help_text="Regular expressions of your own")
    spans_per_minute = Whole(
        min_value=1,
        max_value=MAX_SPANS_PER_MINUTE,
        allow_null=True,
        required=False,
        help_text="Spans a minute that are taken; null: as many as come",
    )


@example(slug="chatbot", name="Chatbot")
class NewProject(ProjectChange):
    """A project to make."""

    slug = Text(max_length=64, help_text="1 to 64 of a-z, 0-9 and inner hyphens; it stays")


def in_sight(principal: Principal) -> QuerySet[Project]:
    """The projects that the caller may see."""
    found = Project.objects.filter(organization_id=principal.organization_id)
    return found if principal.all_projects else found.filter(pk__in=principal.project_ids.values())


class ProjectsView(View):
    required_permission = {"GET": SIGNED_IN, "POST": "org:manage"}

    @documented(
        "projects_list",
        "The projects that the caller sees",
        TAG,
        paging.answer_of("ProjectPage", ProjectAnswer),
        parameters=LIST,
    )
    def get(self, request: Request) -> Response:
        return many(request, ProjectAnswer, in_sight(self.principal(request)), paging.Order("slug"))

    @documented(
        "projects_create",
        "Make a project",
        TAG,
        ProjectAnswer,
        status=201,
        request=NewProject,
        errors=(409,),
        description="For those who see all projects of the organization.",
    )
    def post(self, request: Request) -> Response:
        given = body(request, NewProject)
        project = project_create(**self.change(request), organization=self.organization(request), **given)
        return made(ProjectAnswer, project, 201)


class ProjectView(View):
    required_permission = {"GET": SIGNED_IN, "PATCH": "org:manage"}

    @documented("projects_read", "One project", TAG, ProjectAnswer, parameters=ONE)
    def get(self, request: Request, slug: str) -> Response:
        return one(request, ProjectAnswer, partial(self._found, request, slug))

    @documented(
        "projects_update",
        "Change a project",
        TAG,
        ProjectAnswer,
        request=ProjectChange,
        description="What is not given stays. Ingest follows within ten seconds.",
    )
    def patch(self, request: Request, slug: str) -> Response:
        given = body(request, ProjectChange, partial=True)
        project = self._found(request, slug)
        if given:
            project = project_update(**self.change(request), project=project, **given)
        return made(ProjectAnswer, project)

    def _found(self, request: Request, slug: str) -> Project:
        (project,) = projects_named(self.principal(request), [slug], "slug")
        return project


urlpatterns: list[URLPattern] = [
    path("api/v1/projects", ProjectsView.as_view(), name="projects"),
    path("api/v1/projects/<str:slug>", ProjectView.as_view(), name="project"),
]
