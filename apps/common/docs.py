"""The documentation pages of the error codes, made from the catalogue, and the OpenAPI document's views."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.views import SpectacularAPIView

from apps.common.errors import CATALOGUE, CATEGORY_ADVICE, ApiError, ErrorCode
from apps.common.http import methods, open_to_all
from apps.common.openapi import example


class SchemaView(SpectacularAPIView):
    """The OpenAPI document: JSON, or YAML for those who ask for it."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer2]


@open_to_all
@methods("GET", "HEAD")
def swagger(request: HttpRequest) -> HttpResponse:
    """Swagger UI, from files of our own; signed-in people try the API as themselves."""
    settings_text = orjson.dumps(spectacular_settings.SWAGGER_UI_SETTINGS).decode()
    return render(request, "docs/swagger.html", {"settings": settings_text})


def as_html(text: str) -> SafeString:
    """A sentence of the catalogue, which marks code by backticks."""
    pairs = zip(cycle(("{}", "<code>{}</code>")), text.split("`"), strict=False)
    return format_html_join("", "{}", ((format_html(markup, part),) for markup, part in pairs))


def _groups() -> list[tuple[str, SafeString, list[ErrorCode]]]:
    categories = dict.fromkeys(entry.category for entry in CATALOGUE.values())
    return [
        (
            category,
            as_html(CATEGORY_ADVICE[category]),
            [entry for entry in CATALOGUE.values() if entry.category == category],
        )
        for category in categories
    ]


@open_to_all
@methods("GET", "HEAD")
def error_index(request: HttpRequest) -> HttpResponse:
    """Every error code on one page."""
    return _page(request, "docs/errors.html", {"groups": _groups()})


@open_to_all
@methods("GET", "HEAD")
def error_page(request: HttpRequest, code: int) -> HttpResponse:
    """One error code: what it means, what to do, how it looks."""
    entry = CATALOGUE.get(code)
    if entry is None:
        raise ApiError(1300, f"There is no error code {code}.")
    shown = orjson.dumps(example(entry), option=orjson.OPT_INDENT_2).decode()
    advice = as_html(entry.advice or CATEGORY_ADVICE[entry.category])
    return _page(request, "docs/error.html", {"entry": entry, "advice": advice, "example": shown})


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    response["Cache-Control"] = "public, max-age=3600"
    return response
