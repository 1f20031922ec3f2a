"""From any exception to the one error shape: the API's only exception handler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from django.core import exceptions as django
from django.db import Error as DjangoDatabaseError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError
from rest_framework import exceptions as drf
from rest_framework.request import Request

from apps.common.edge import errorpages
from apps.common.errors import ApiError
from apps.common.observe.routes import route_of

logger = logging.getLogger(__name__)

WWW_AUTHENTICATE = {"WWW-Authenticate": 'Bearer realm="analytics-hub"'}


def translate(error: BaseException) -> ApiError:
    """The client's view of an exception. Whatever is not known is 1900, and its text stays with us."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UnreadablePostError) and isinstance(error.__cause__, ApiError):
        return error.__cause__
    if isinstance(error, drf.APIException):
        return _from_drf(error)
    if isinstance(error, (DjangoDatabaseError, psycopg.Error)):
        return from_database(error)
    if isinstance(error, RedisError):
        return ApiError(1701, "The cache server failed.")
    return _from_django(error)


def _from_django(error: BaseException) -> ApiError:
    if isinstance(error, (Http404, django.ObjectDoesNotExist)):
        return ApiError(1300, "There is nothing at this address.")
    if isinstance(error, django.PermissionDenied):
        return ApiError(1102, "Your account may not do this. Ask whoever runs this hub, or sign in as somebody else.")
    if isinstance(error, django.RequestDataTooBig):
        return ApiError(1205, "The request body is too large.", status=413)
    if isinstance(error, django.ValidationError):
        return from_problems(_model_problems(error))
    if isinstance(error, (django.SuspiciousOperation, django.BadRequest, UnreadablePostError)):
        return ApiError(1200, "The request cannot be read.")
    return ApiError(1900, "Something broke on our side. The request id finds it in our logs.")


def from_database(error: BaseException) -> ApiError:
    """A database error by its SQLSTATE, with nothing of its text."""
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    if isinstance(cause, PoolTimeout):
        return ApiError(1602, "Waiting for a database connection took too long.", headers={"Retry-After": "2"})
    state = getattr(cause, "sqlstate", None) or ""
    if state == "57014":
        return ApiError(1800, "The query ran into the time limit. Ask for a shorter range or fewer groups.")
    if state == "55P03":
        return ApiError(1602, "Waiting for a lock took too long.", headers={"Retry-After": "2"})
    if state in ("40001", "40P01"):
        return ApiError(1402, "Somebody else changed it meanwhile. Try again.")
    if isinstance(error, (IntegrityError, psycopg.IntegrityError)):
        return ApiError(1603, "The database refused the change.")
    lost = isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError)) and not state
    if lost or state.startswith(("08", "57P", "53")):
        return ApiError(1601, "The database cannot be reached just now.", headers={"Retry-After": "5"})
    return ApiError(1600, "The database could not answer.")


def _from_drf(error: drf.APIException) -> ApiError:
    if isinstance(error, drf.ValidationError):
        return from_problems(list(_problems(error.get_full_details(), "")))
    if isinstance(error, drf.NotAuthenticated):
        return ApiError(1000, "The request carries no credentials.", headers=WWW_AUTHENTICATE)
    if isinstance(error, drf.AuthenticationFailed):
        return ApiError(1001, "The credentials are not valid.", headers=WWW_AUTHENTICATE)
    if isinstance(error, drf.PermissionDenied):
        return ApiError(1100, str(error.detail))
    if isinstance(error, drf.NotFound):
        return ApiError(1300, "There is nothing at this address.")
    if isinstance(error, drf.Throttled):
        wait = {"Retry-After": str(int(getattr(error, "wait", None) or 1))}
        return ApiError(1500, "Too many requests.", headers=wait)
    if error.status_code >= 500:
        return ApiError(1900, "Something broke on our side. The request id finds it in our logs.")
    return ApiError(1200, str(error.detail), status=error.status_code)


_CODES = {"required": 1201, "null": 1201, "blank": 1201, "invalid": 1203, "date": 1203, "datetime": 1203}


def from_problems(problems: list[tuple[str, str, str]]) -> ApiError:
    """One error out of (field, message, validator code) rows: the field itself for one, `details` for several."""
    rows = [(field or None, message, _CODES.get(code, 1202)) for field, message, code in problems]
    details = [{"field": field, "message": message} for field, message, _ in rows]
    if len(rows) == 1:
        field, message, code = rows[0]
        return ApiError(code, message, field=field, details=details)
    codes = {code for _, _, code in rows}
    code = codes.pop() if len(codes) == 1 else 1202
    fields = ", ".join(dict.fromkeys(field for field, _, _ in rows if field))
    return ApiError(code, f"Several fields are not valid: {fields}." if fields else "Not valid.", details=details)


def _problems(node: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Flatten DRF's nested details into (dotted field, message, code) rows."""
    if isinstance(node, dict) and "message" in node and "code" in node and isinstance(node["message"], str):
        yield path, str(node["message"]), str(node["code"])
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _problems(value, _step(path, key))
    elif isinstance(node, list):
        leaves = all(isinstance(item, dict) and isinstance(item.get("message"), str) for item in node)
        for index, item in enumerate(node):
            yield from _problems(item, path if leaves else f"{path}[{index}]")


def _step(path: str, key: Any) -> str:
    """The path of a field inside another, of an item of a list, or of what concerns the whole."""
    if key == "non_field_errors":
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def _model_problems(error: django.ValidationError) -> list[tuple[str, str, str]]:
    if not hasattr(error, "error_dict"):
        return [("", message, "") for message in error.messages]
    rows = error.error_dict.items()
    return [
        ("" if field == django.NON_FIELD_ERRORS else field, message, str(item.code or ""))
        for field, items in rows
        for item in items
        for message in item.messages
    ]


# Called with every denial (403) before it is answered. The kernel knows no tenants: who keeps an audit log adds itself.
on_denial: list[Callable[[HttpRequest, ApiError], None]] = []


def answer(error: BaseException, request: HttpRequest) -> HttpResponse:
    """Translate, log what is ours to mend, and answer in the one shape: the envelope, or its page."""
    known = translate(error)
    if known.entry.category == "AUTHORIZATION":
        for listener in on_denial:
            listener(request, known)
    if known.status >= 500:
        logger.error(
            "%s %s failed with %s %s",
            request.method,
            route_of(request),
            known.entry.code,
            type(error).__name__,
            exc_info=None if known in (error, error.__cause__) else error,
        )
    return errorpages.present(known, request)


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's EXCEPTION_HANDLER."""
    request = context["request"]
    response = answer(error, request._request if isinstance(request, Request) else request)
    if isinstance(error, drf.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response
