"""The first run: a key of one's own, a program that sends a span with it, and word of its arrival.

The key's text is in the answer of the POST that made it and nowhere else: not in an address, a session or a message.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from apps.common.errors import ApiError
from apps.common.parameters import check_parameters, whole
from apps.common.reads import reading
from apps.console.asking import Answer, ask, may, send
from apps.console.bar import text_of
from apps.console.page import page, part, show
from apps.console.showing import zone_only
from apps.console.snippets import NO_KEY, snippets
from apps.ingest.letters import REASONS, newest_reason
from apps.orgs.access import Principal
from apps.orgs.door import principal_of

FIELDS: Final = "trace_id,name,start_time,span_count"
KEY_NAME: Final = "First spans"
SENDS: Final = ("traces:write",)  # all that a sender needs
_AHEAD: Final = timedelta(hours=24)  # spans may start so far in the future


@page("traces:read", POST="keys:manage_own")
def start(request: HttpRequest) -> HttpResponse:
    """Programs to paste; POST makes a key for them, which the answer shows this once."""
    check_parameters(request, ("project",))
    principal = principal_of(request)
    project = _project(principal, request.POST.get("project") or request.GET.get("project"))
    made = _new_key(request, project) if request.method == "POST" else None
    key = str(made.document["api_key"]) if made is not None and made.ok else ""
    asked = {"project": project, "since": text_of(datetime.now(UTC))}
    if made is not None and made.ok:
        asked["key"] = str(made.document["id"])
    context: dict[str, Any] = {
        "title": "Send the first span",
        "here": "start",
        "project": project,
        "made": made,
        "key": key,
        "snippets": snippets(request.build_absolute_uri("/"), key or NO_KEY),
        "may_make": may(request, "keys:manage_own") and may(request, "traces:write"),
        "earlier": ask(request, "traces", {"project": project, "limit": 1, "fields": FIELDS}),
        "state": "waiting",
        "asked": asked,
        **zone_only(request),
    }
    return show(request, "console/start.html", context, 200 if made is None or made.ok else made.status)


@page("traces:read")
def arrived(request: HttpRequest) -> HttpResponse:
    """How far it is by now: for the page, which asks every few seconds until a span is there."""
    check_parameters(request, ("project", "since", "key", "state"))
    asked = {name: request.GET.get(name, "") for name in ("project", "since", "key")}
    project = _project(principal_of(request), asked["project"])
    since = reading.moment(asked["since"], "since")
    key = whole(asked["key"], "key", least=1, most=2**31) if asked["key"] else None
    found = _found(request, project, since, key)
    if found["state"] == request.GET.get("state"):
        return HttpResponse(status=204)  # nothing new: a screen reader need not hear it again
    return part(
        request, "console/start/state.html", {**found, "asked": asked, "project": project, **zone_only(request)}
    )


def _project(principal: Principal, slug: str | None) -> str:
    """The project that is meant: the named one, else `default`, else the first."""
    known = sorted(principal.project_ids)
    if slug and slug not in known:
        raise ApiError(1300, "There is no such project, or you may not see it.", field="project")
    if not known:
        raise ApiError(1300, "You see no project. Ask an administrator of the organization for one.")
    return slug or ("default" if "default" in known else known[0])


def _new_key(request: HttpRequest, project: str) -> Answer:
    return send(request, "POST", "keys", {"name": KEY_NAME, "permissions": list(SENDS), "project": project})


def _found(request: HttpRequest, project: str, since: datetime, key: int | None) -> dict[str, Any]:
    """`arrived` with the trace; `refused`; `used` where the key was and no trace is there; `waiting`; or `failed`."""
    ahead = text_of(since + _AHEAD)
    asked = {"project": project, "start_time": text_of(since), "end_time": ahead, "limit": 1, "fields": FIELDS}
    traces = ask(request, "traces", asked, fresh=True)
    if not traces.ok:
        return {"state": "failed", "traces": traces}
    if traces.data:
        return {"state": "arrived", "trace": traces.data[0]}
    if reason := newest_reason(principal_of(request).project_ids[project], since):
        return {"state": "refused", "reason": reason, "meaning": REASONS.get(reason, "")}
    used = key is not None and may(request, "keys:manage_own") and ask(request, f"keys/{key}").document
    return {"state": "used" if used and used.get("last_used_at") else "waiting"}
