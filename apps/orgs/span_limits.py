"""Spans charged to their project's bucket, together with the request that brings them.

How many spans a request brings is known once it is decoded. Where a project limits its spans, the door only asks
whether there is anything left; `charging` then takes the request's token and the spans' in one script, all or none. A
request that ends before its spans are counted costs its one token all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.http import HttpRequest

from apps.common.rates.bucket import Bucket
from apps.common.rates.limits import Verdict, refusal, take
from apps.orgs.access import Principal
from apps.orgs.projects import IngestProject


@dataclass(frozen=True, slots=True)
class _Owed:
    """What a request has been let in for and not paid yet."""

    own: list[tuple[Bucket, int]]
    limited: Mapping[int, Bucket]


def ask_for_spans(request: HttpRequest, principal: Principal, limited: Mapping[int, Bucket]) -> None:
    """Refuse a sender that has no token left, or whose one project takes no spans now; nothing is charged yet.

    Raises:
        ApiError: 1500.
    """
    own = [(principal.buckets["requests"], 1)] if "requests" in principal.buckets else []
    # An organization's key may be sending to another project than the exhausted one.
    project = limited.get(principal.key_project_id or 0)
    asked = [*own, (project, 1)] if project else own
    request.hub_headers = {}  # type: ignore[attr-defined]
    request.hub_owed = _Owed(own, limited)  # type: ignore[attr-defined]
    if asked:
        verdict, _ = take(asked, ask=True)
        _tell(request, verdict)


def _tell(request: HttpRequest, verdict: Verdict, projects: Mapping[str, str] | None = None) -> None:
    request.hub_headers = verdict.standing()  # type: ignore[attr-defined]
    if not verdict.allowed:
        project = (projects or {}).get(verdict.bucket.key)
        raise refusal(verdict, **({"project": project} if project else {}))


Charge = Callable[[Iterable[tuple[IngestProject, int]]], None]


@contextmanager
def charging(request: HttpRequest) -> Iterator[Charge]:
    """While a request's spans are read: the function given is to be called with projects and numbers of spans.

    It raises ApiError 1500, and then nothing has been charged.
    """

    def charge(parts: Iterable[tuple[IngestProject, int]]) -> None:
        owed = _owed(request)
        if owed is not None:
            _charge(request, owed, parts)

    try:
        yield charge
    finally:
        settle(request)


def settle(request: HttpRequest) -> None:
    """Charge the token of a request that ends here, if it is still owed."""
    owed = _owed(request)
    if owed is not None and owed.own:
        verdict, _ = take(owed.own)
        request.hub_headers = verdict.standing()  # type: ignore[attr-defined]


def _charge(request: HttpRequest, owed: _Owed, parts: Iterable[tuple[IngestProject, int]]) -> None:
    counts: Counter[int] = Counter()
    slugs: dict[str, str] = {}
    for project, spans in parts:  # several may name one project
        if project.id in owed.limited:
            counts[project.id] += spans
            slugs[owed.limited[project.id].key] = project.slug
    charges = [*owed.own, *((owed.limited[project_id], spans) for project_id, spans in counts.items())]
    if charges:
        verdict, _ = take(charges)
        _tell(request, verdict, slugs)


def _owed(request: HttpRequest) -> _Owed | None:
    """What is owed, once."""
    owed: _Owed | None = getattr(request, "hub_owed", None)
    request.hub_owed = None  # type: ignore[attr-defined]
    return owed
