"""Pages without a tenant: health and readiness."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from apps.common import jsontext, readiness
from apps.common.http import methods, open_to_all


@open_to_all
@methods("GET", "HEAD")
def health(request: HttpRequest) -> HttpResponse:
    """The process is up. Touches nothing else, so that a probe never restarts a hub whose database is away."""
    return HttpResponse(b'{"status":"ok"}', content_type="application/json", headers={"Cache-Control": "no-store"})


@open_to_all
@methods("GET", "HEAD")
def ready(request: HttpRequest) -> HttpResponse:
    """The hub is usable: 200, or 503 with what is missing."""
    usable, checks = readiness.run_checks()
    body = {"status": "ready" if usable else "not_ready", "checks": checks}
    headers = {"Cache-Control": "no-store"} if usable else {"Cache-Control": "no-store", "Retry-After": "2"}
    status = 200 if usable else 503
    return HttpResponse(jsontext.dumps(body), status=status, content_type="application/json", headers=headers)
