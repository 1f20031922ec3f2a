"""Pages without a tenant: health, readiness, and what Prometheus reads."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST

from apps.common import jsontext
from apps.common.edge.address import client_address, parse_address, undeclared_proxy, within
from apps.common.errors import ApiError
from apps.common.http import methods, open_to_all
from apps.common.observe import readiness, scrape


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


@open_to_all
@methods("GET", "HEAD")
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus: for those with METRICS_TOKEN, or from a network of METRICS_ALLOWED."""
    if not _may_scrape(request):
        raise ApiError(1102, "The metrics are open to METRICS_TOKEN and to the networks of METRICS_ALLOWED only.")
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(scrape.exposition(request), content_type=CONTENT_TYPE_LATEST, headers=headers)


def _may_scrape(request: HttpRequest) -> bool:
    token = settings.HUB.metrics_token
    scheme, _, offered = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(offered.strip().encode(), token.encode()):
        return True
    # Behind a proxy on this machine that nobody has declared, every caller seems to come from loopback.
    return not undeclared_proxy(request) and within(parse_address(client_address(request)), settings.METRICS_ALLOWED)
