"""What every JSON read of data is built on: the door, the cache and conditional requests, in front of DRF.

A view says what it answers (`question`); all else is here. A request whose answer is kept never reaches DRF: it is
admitted, in the same round trip that reads the answer, and gets the kept bytes or 304. docs/architecture.md shows how
to add a read endpoint, docs/caching.md what callers may rely on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.common.errors import ApiError
from apps.common.observe import telemetry
from apps.common.reads import answers, caching, fields
from apps.common.reads.answers import Entry
from apps.common.reads.shortcut import READS
from apps.orgs.access import Principal
from apps.orgs.door import admit, needed_permission, principal_of, require

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A request, understood.

    Args:
        parameters: everything that the answer depends on beside the data and the caller's scope, with defaults and
            relative times resolved; its `repr` goes into the ETag.
        compute: makes the answer without its `meta`.
        known: the names that `fields=` may take (apps.common.reads.fields).
        version: the version of the data that the answer is made from, at a fraction of the answer's cost: read before
            the answer, and never the same again once the data has changed. None where there is none: the ETag is
            then made from the answer, and a 304 saves the way, not the work.
    """

    parameters: Any
    compute: Callable[[], Document]
    known: Collection[str]
    version: Callable[[], Any] | None = None


class ReadView(APIView):
    """A cached, conditional GET. A subclass sets these and implements `question`; it may have other methods too.

    Attributes:
        area: the part of the key between `hub:` and the organization, and the label of its hits and misses.
        ttl: the setting that holds the seconds for which an answer is kept.
        personal: the answer is for the caller alone, not for whoever has the same rights.
    """

    personal: ClassVar[bool] = False
    area: ClassVar[str]
    ttl: ClassVar[str]
    required_permission: ClassVar[str | Mapping[str, str]]
    bucket: ClassVar[str | None] = None

    def question(self, request: Request, **arguments: Any) -> Question:
        """Understand a request, or refuse it.

        Raises:
            ApiError: what is wrong with it.
        """
        raise NotImplementedError

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        through_drf = super().as_view(**initkwargs)

        def front(request: HttpRequest) -> HttpResponseBase | None:
            return _Kept(cls, request).response()

        @wraps(through_drf)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in READS:
                return through_drf(request, *args, **kwargs)
            kept: _Kept | None = getattr(request, "hub_kept", None)
            if kept is None:
                found = front(request)
                if found is not None:
                    return found
                kept = request.hub_kept  # type: ignore[attr-defined]
            try:
                return kept.rather(through_drf(request, *args, **kwargs))
            finally:
                kept.give_up()

        view.front = front  # type: ignore[attr-defined]  # apps.common.reads.shortcut asks it before the routes
        return view

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer what is not kept: 304 by the data's version alone, else compute."""
        asked, raw = self.question(request, **kwargs), request._request
        chosen = fields.requested(raw, asked.known)
        kept: _Kept | None = getattr(raw, "hub_kept", None)
        seconds = seconds_of(type(self))
        maker = _Maker(asked, chosen, raw, principal_of(raw))
        if asked.version is not None and answers.is_conditional(raw):
            seen = maker.first_seen() if "HTTP_IF_NONE_MATCH" not in raw.META else 0.0
            copy = Entry(maker.etag, b"", b"", 0, 0.0, seen)
            if answers.not_modified(raw, copy.etag, copy.last_modified):
                return answers.untouched(copy.etag, copy.last_modified, seconds)
        if kept is None or kept.key is None:
            return answers.respond(maker.entry(), raw, seconds, cached=False)
        if answers.wants_fresh(raw):
            entry, others = maker.entry(), False
            caching.put(kept.key, entry, seconds)
        else:
            entry, others = caching.single(kept.key, maker.entry, seconds, kept.take_token())
        (telemetry.cache_hit if others else telemetry.cache_miss)(self.area)
        return answers.respond(entry, raw, seconds, cached=others)


def seconds_of(view: type[ReadView]) -> int:
    """The time to live of a view's answers."""
    seconds: int = getattr(settings.HUB, view.ttl)
    return seconds


class _Kept:
    """A request in front of DRF: let in, and answered from what is kept if it can be."""

    __slots__ = ("entry", "key", "request", "seconds", "token", "view")

    def __init__(self, view: type[ReadView], request: HttpRequest) -> None:
        self.view, self.request, self.seconds = view, request, seconds_of(view)
        self.entry: Entry | None = None
        self.key: str | None = None
        self.token: str | None = None
        request.hub_kept = self  # type: ignore[attr-defined]

    def response(self) -> HttpResponseBase | None:
        """The answer, or None where DRF has to be asked. Raises what the door raises."""
        view, request = self.view, self.request
        principal = principal_of(request)
        if self.seconds > 0 and principal.scope and caching.enabled():
            who = f"{principal.name} {principal.credential}" if view.personal else ""
            self.key = key_of(view.area, principal, request, who)
        permission = needed_permission(view, "GET")
        try:
            admit(request, permission, bucket=view.bucket, look_up=self.key)
        except ApiError as error:
            return self._despite(error, principal, permission)
        entry = self._found()
        if entry is None or answers.wants_fresh(request):
            return None
        self.entry = entry
        if self.key is not None and entry.age >= caching.EARLY * self.seconds:
            self.token = caching.early_claim(self.key)
            if self.token is not None:
                return None
        telemetry.cache_hit(view.area)
        return answers.respond(entry, request, self.seconds, cached=True)

    def _found(self) -> Entry | None:
        """What the limiter's round trip brought; a caller without buckets makes none."""
        if self.key is None:
            return None
        if hasattr(self.request, "hub_looked_up"):
            entry = answers.unpack(self.request.hub_looked_up)
        else:
            entry = caching.get(self.key)
        return entry if entry is not None and entry.age < self.seconds else None

    def _despite(self, error: ApiError, principal: Principal, permission: str) -> HttpResponseBase:
        """Out of tokens: what is kept costs nothing, so it is given."""
        entry = self._found() if error.entry.code == 1500 else None
        if entry is None:
            raise error
        require(self.request, principal, permission)
        response = answers.respond(entry, self.request, self.seconds, cached=True)
        response.headers["X-Served-From-Cache"] = "true"
        telemetry.cache_hit(self.view.area)
        return response

    def take_token(self) -> str | None:
        token, self.token = self.token, None
        return token

    def rather(self, response: HttpResponseBase) -> HttpResponseBase:
        """The answer; where computing an ageing one anew failed on our side, the one that is still kept."""
        if response.status_code < 500 or self.entry is None or self.entry.age >= self.seconds:
            return response
        return answers.respond(self.entry, self.request, self.seconds, cached=True)

    def give_up(self) -> None:
        """Leave no claim behind of a computation that did not begin."""
        token = self.take_token()
        if token is not None and self.key is not None:
            caching.release(self.key, token)


class _Maker:
    """One computation of an answer: its ETag first, then the answer, so that it is never older than its ETag says."""

    def __init__(self, asked: Question, chosen: fields.Node | None, request: HttpRequest, principal: Principal) -> None:
        self.asked, self.chosen, self.request, self.principal = asked, chosen, request, principal
        self._etag: str | None = None

    @property
    def etag(self) -> str:
        """Of a question whose data has a version."""
        if self._etag is None:
            version = self.asked.version() if self.asked.version is not None else None
            self._etag = self._digest(repr((self.asked.parameters, version)))
        return self._etag

    def _digest(self, content: str) -> str:
        request = self.request
        # The date, since retention takes whole days away without a mark; raw `fields`, since they shape the answer.
        parts = (
            code_version(),
            request.path,
            request.GET.getlist(fields.NAME),
            self.principal.organization_id,
            self.principal.scope,
            datetime.now(UTC).date().isoformat(),
            content,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def first_seen(self) -> float:
        return caching.first_seen(self.principal.organization_id, self.etag)

    def entry(self) -> Entry:
        begun = time.time()  # an answer that took long is as old as the data that it saw
        etag = self.etag if self.asked.version is not None else None
        entry = answers.entry_of(fields.keep(self.chosen, self.asked.compute()), computed_at=begun)
        if etag is None:
            etag = self._etag = self._digest(hashlib.sha256(entry.body).hexdigest())
        return entry.named(etag, self.first_seen())


def key_of(area: str, principal: Principal, request: HttpRequest, name: str = "") -> str:
    """The key of an answer: whoever shares it has the same tenant, projects and permissions, and asks the same.

    Args:
        name: the caller's, where the answer is for nobody else.
    """
    asked = f"{code_version()} {principal.scope} {name} {request.path}?{_sorted(request.META.get('QUERY_STRING', ''))}"
    digest = hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"hub:{area}:{principal.organization_id}:{digest}"


def _sorted(query: str) -> str:
    """The parameters in order of their names, where that changes nothing: each given once, in plain letters."""
    pairs = query.split("&")
    names = [pair.partition("=")[0] for pair in pairs]
    plain = len(set(names)) == len(names) and "%" not in "".join(names) and "+" not in "".join(names)
    return "&".join(sorted(pairs)) if plain else query


@cache
def code_version() -> str:
    """A fingerprint of the code: an answer of other code is not taken for this one's."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
