"""Django's own error answers, as the envelope or as a page: handler400, 403, 404, 500 and the CSRF refusal."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from apps.common.edge.errorpages import present
from apps.common.edge.exceptions import answer
from apps.common.errors import ApiError


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(exception, request)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return answer(exception or PermissionDenied(), request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return answer(Http404(), request)


def server_error(request: HttpRequest) -> HttpResponse:
    # Django has logged the exception; its text must not reach the client.
    error = ApiError(1900, "Something broke on our side. The request id finds it in our logs.")
    return present(error, request)


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    return answer(ApiError(1102, "The form's security token is missing or stale. Load the page again."), request)
