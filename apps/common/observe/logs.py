"""How the hub writes its logs: one line of JSON each, or plain text for a person at a terminal.

Every line says when, how grave, which logger, what, in which request (or task), for whom, and in which process. A line
holds no credentials, no query string and no body; tracebacks lose what PostgreSQL adds about the values of a row.
"""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from pythonjsonlogger.core import LogData
from pythonjsonlogger.orjson import OrjsonFormatter

from apps.common import ids
from apps.common.observe.routes import route_of

request_now: ContextVar[HttpRequest | None] = ContextVar("request_now", default=None)

# The server quotes rows there: "DETAIL:  Key (email)=(a@b.example) already exists.", "CONTEXT:  COPY span, line 1 ...".
_QUOTED_ROWS = re.compile(r"^[ |]*(DETAIL|CONTEXT|QUERY|LINE \d+): .*\n?(^[ |]*\^\n?)?", re.MULTILINE)
# The same inside a quoted exception, as Celery tells of a task that failed.
_QUOTED_INSIDE = re.compile(r"\\n(?:DETAIL|CONTEXT|QUERY|LINE \d+): (?:(?!\\n).)*?(?=\\n|['\"]\)|$)")
# At most so much of one line; a traceback keeps its end, which says what went wrong.
LONGEST = 20_000


def caller_of(request: HttpRequest) -> tuple[str, str]:
    """The name of who asks and the organization's slug, as far as anybody has found out by now."""
    principal = getattr(request, "hub_principal", None)
    if principal is not None:
        return principal.name, principal.organization_slug
    # Where Django keeps the user of a page once it is known; `request.user` would look it up in the database.
    user = getattr(request, "_cached_user", None)
    return (user.get_username(), "") if user is not None and user.is_authenticated else ("", "")


def told(text: str) -> str:
    """A text without what the database quotes of rows."""
    return _QUOTED_INSIDE.sub("", _QUOTED_ROWS.sub("", text))


class JsonFormatter(OrjsonFormatter):
    """One JSON object a line. `extra={"hub": {...}}` adds fields; whatever else a library attaches stays out."""

    def __init__(self) -> None:
        super().__init__()
        self.process = os.environ.get("HUB_PROCESS", "") or "command"

    def add_fields(self, log_data: LogData, record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        request = request_now.get()
        user, organization = caller_of(request) if request is not None else ("", "")
        log_data.update(
            time=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            level=record.levelname,
            logger=record.name,
            message=told(record.getMessage())[:LONGEST],
            request_id=ids.current.get(),
            user=user,
            organization=organization,
            process=self.process,
            pid=record.process,
        )
        log_data.update(getattr(record, "hub", None) or {})
        if record.exc_info:
            log_data["traceback"] = self.formatException(record.exc_info)

    def formatException(self, ei: Any) -> str:
        return told(logging.Formatter.formatException(self, ei))[-LONGEST:]


class PlainFormatter(logging.Formatter):
    """For a terminal: time, level, logger, message, and the request where there is one."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = told(record.message)
        found = ids.current.get()
        return f"{super().formatMessage(record)} ({found})" if found else super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return told(super().formatException(ei))


class OnceEach(logging.Filter):
    """For Django's own logger of requests: an error that has its line already needs no second one.

    What is left, an exception outside every view, is told without the path.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info:
            return False
        request = getattr(record, "request", None)
        record.msg, record.args = "%s failed outside its view", (route_of(request) if request is not None else "",)
        return True
