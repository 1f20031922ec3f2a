"""The error catalogue: every code, its name, category and HTTP status, as data.

The API's envelope, the documentation pages and the OpenAPI examples are made from `CATALOGUE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One catalogue entry. `also` are further HTTP statuses under which the code occurs."""

    code: int
    name: str
    category: str
    status: int
    meaning: str
    also: tuple[int, ...] = ()
    advice: str = ""

    @property
    def statuses(self) -> str:
        return ", ".join(str(status) for status in (self.status, *self.also))


CATEGORY_ADVICE = {
    "AUTHENTICATION": "Send a valid API key (`Authorization: Bearer ah_...` or `X-API-Key: ah_...`) or an access token "
    "from `POST /api/v1/auth/token`.",
    "AUTHORIZATION": "Ask an administrator of the organization for the permission, or use another key.",
    "VALIDATION": "Mend the request; the same one will fail again.",
    "NOT_FOUND": "Check the address and the ids in it. What belongs to another organization does not exist for you.",
    "CONFLICT": "Read the present state, then decide whether to try again.",
    "RATE_LIMIT": "Wait as long as the Retry-After header says, then try again.",
    "DATABASE": "Try again in a moment. If it stays, tell whoever runs the hub the request id.",
    "EXTERNAL_SERVICE": "Try again in a moment. If it stays, tell whoever runs the hub the request id.",
    "TIMEOUT": "Ask for less: a shorter range, a coarser interval, fewer groups.",
    "INTERNAL": "Tell whoever runs the hub the request id.",
}
# Further statuses, and advice where the category's does not fit.
_ALSO = {1200: (405, 415), 1202: (416,), 1205: (413,), 1402: (412,)}
_ADVICE = {
    1001: "Exchange the refresh token or sign in again. A refresh token is good for one exchange.",
    1002: "Exchange the refresh token or sign in again; make a new key, since an expired one cannot be extended.",
    1003: "Check the key: `ah_`, 16 digits, `_`, 64 digits. It may have been revoked or rotated.",
    1101: "Use a membership or key that covers that project or the whole organization.",
    1102: "Use the key from one of its networks; with a session, send the page's CSRF token in X-CSRFToken.",
    1202: "Names and values are listed in `details` where there are few; the message names the nearest known one.",
    1204: "Use a range with start before end, no longer than the interval allows; the message says which would fit.",
    1205: "Ask for fewer rows, metrics or buckets, or send a smaller body; the message names the limit.",
    1602: "Try again after a moment: somebody else holds what this request waits for.",
    1901: "Leave it: no version of this hub offers it yet.",
    1902: "Try again in a moment; /ready says what is missing.",
}


def _entries() -> list[ErrorCode]:
    rows: list[tuple[int, str, str, int, str]] = [
        (1000, "MISSING_AUTHORIZATION", "AUTHENTICATION", 401, "The request carries no credentials."),
        (1001, "INVALID_TOKEN", "AUTHENTICATION", 401, "The token is malformed, revoked or not ours."),
        (1002, "EXPIRED_TOKEN", "AUTHENTICATION", 401, "The token or key has expired."),
        (1003, "INVALID_API_KEY", "AUTHENTICATION", 401, "No active API key matches."),
        (1100, "INSUFFICIENT_PERMISSIONS", "AUTHORIZATION", 403, "The role or key lacks the named permission."),
        (1101, "PROJECT_ACCESS_DENIED", "AUTHORIZATION", 403, "The project is outside your membership or key."),
        (1102, "RESOURCE_ACCESS_DENIED", "AUTHORIZATION", 403, "The resource is not open to you."),
        (1200, "INVALID_REQUEST", "VALIDATION", 400, "The request as a whole cannot be read."),
        (1201, "MISSING_REQUIRED_FIELD", "VALIDATION", 400, "A required field is absent."),
        (1202, "INVALID_FIELD_VALUE", "VALIDATION", 400, "A field has a value that is not allowed."),
        (1203, "INVALID_FIELD_FORMAT", "VALIDATION", 400, "A field cannot be parsed."),
        (1204, "INVALID_DATE_RANGE", "VALIDATION", 400, "The time range is reversed, too long or not kept."),
        (1205, "LIMIT_EXCEEDED", "VALIDATION", 400, "More was asked for than one answer may hold."),
        (1300, "RESOURCE_NOT_FOUND", "NOT_FOUND", 404, "There is nothing at this address."),
        (1301, "TRACE_NOT_FOUND", "NOT_FOUND", 404, "No such trace."),
        (1302, "JOB_NOT_FOUND", "NOT_FOUND", 404, "No such job."),
        (1303, "EXPORT_NOT_FOUND", "NOT_FOUND", 404, "No such export."),
        (1400, "RESOURCE_ALREADY_EXISTS", "CONFLICT", 409, "It exists already."),
        (1401, "DUPLICATE_KEY", "CONFLICT", 409, "A value that must be unique is taken."),
        (1402, "CONCURRENCY_CONFLICT", "CONFLICT", 409, "Somebody else changed it meanwhile."),
        (1500, "RATE_LIMIT_EXCEEDED", "RATE_LIMIT", 429, "Too many requests; see Retry-After."),
        (1501, "QUOTA_EXCEEDED", "RATE_LIMIT", 429, "The quota is used up."),
        (1502, "TOO_MANY_REQUESTS", "RATE_LIMIT", 429, "Too many requests at once."),
        (1600, "DATABASE_ERROR", "DATABASE", 503, "The database could not answer."),
        (1601, "DATABASE_CONNECTION_FAILED", "DATABASE", 503, "The database cannot be reached."),
        (1602, "QUERY_TIMEOUT", "DATABASE", 503, "Waiting for a lock or a connection took too long."),
        (1603, "DATABASE_CONSTRAINT_VIOLATION", "DATABASE", 503, "The database refused the change."),
        (1700, "EXTERNAL_SERVICE_ERROR", "EXTERNAL_SERVICE", 502, "A service we depend on failed."),
        (1701, "REDIS_ERROR", "EXTERNAL_SERVICE", 503, "The cache server failed."),
        (1702, "STORAGE_ERROR", "EXTERNAL_SERVICE", 503, "The file storage failed."),
        (1800, "REQUEST_TIMEOUT", "TIMEOUT", 504, "The request ran into the time limit."),
        (1801, "OPERATION_TIMEOUT", "TIMEOUT", 504, "The operation ran into its time limit."),
        (1900, "INTERNAL_SERVER_ERROR", "INTERNAL", 500, "Something broke on our side; the request id finds it."),
        (1901, "NOT_IMPLEMENTED", "INTERNAL", 501, "This is not offered."),
        (1902, "SERVICE_UNAVAILABLE", "INTERNAL", 503, "The service is not ready."),
    ]
    return [ErrorCode(*row, also=_ALSO.get(row[0], ()), advice=_ADVICE.get(row[0], "")) for row in rows]


CATALOGUE: dict[int, ErrorCode] = {entry.code: entry for entry in _entries()}


class ApiError(Exception):
    """An error meant for the client: a catalogue code and a sentence that leaks nothing.

    Args:
        code: a key of CATALOGUE.
        message: what went wrong, for a person.
        field: the request field at fault, if one is.
        details: JSON-able particulars (several bad fields: a list of {field, message}).
        status: an HTTP status other than the catalogue's (413 and 415 share 12xx codes).
        headers: extra response headers, such as Retry-After.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        field: str | None = None,
        details: Any = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.entry = CATALOGUE[code]
        self.message = message
        self.field = field
        self.details = details
        self.status = status or self.entry.status
        self.headers = headers or {}
