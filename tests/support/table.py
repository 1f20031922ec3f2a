"""The permission table of the roles as the API's contract states it.

Written down apart from apps/orgs/access.py on purpose: tests compare the two, and the API's behaviour, with this one.
"""

from __future__ import annotations

ROLES = ("admin", "developer", "analyst", "billing", "viewer")

_ROWS = """
traces:read         x x x . x
events:read         x x x . x
metrics:read        x x x x x
insights:read       x x x . x
alerts:read         x x x x x
dashboards:read     x x x x x
traces:content      x x x . .
traces:write        x x . . .
events:write        x x . . .
scores:write        x x x . .
metrics:query       x x x . .
costs:read          x x x x .
costs:manage        x . . x .
exports:create      x x x x .
exports:read        x x x x .
exports:cancel      x x x x .
exports:download    x x x x .
alerts:manage       x x x . .
dashboards:write    x x x . .
keys:manage         x . . . .
keys:manage_own     x x . . .
members:manage      x . . . .
org:manage          x . . . .
audit:read          x . . . .
data:delete         x . . . .
"""

TABLE: dict[str, frozenset[str]] = {
    fields[0]: frozenset(role for role, mark in zip(ROLES, fields[1:], strict=True) if mark == "x")
    for fields in (line.split() for line in _ROWS.strip().splitlines())
}

# What a route may ask for beside the table's permissions: nothing; any caller; any caller with an organization; a
# signed-in person, with an organization or without; a superuser.
PUBLIC, AUTHENTICATED, SIGNED_IN, ACCOUNT = "public", "authenticated", "signed_in", "account"
INSTALLATION = "installation:manage"
FURTHER = frozenset({PUBLIC, AUTHENTICATED, SIGNED_IN, ACCOUNT, INSTALLATION})


def permissions_of(role: str) -> frozenset[str]:
    return frozenset(permission for permission, roles in TABLE.items() if role in roles)


_NEEDS = """
GET    /api/v1/metrics                      metrics:read
GET    /api/v1/metrics/summary              metrics:read
GET    /api/v1/metrics/catalog              metrics:read
GET    /api/v1/metrics/quality              metrics:read
GET    /api/v1/metrics/performance          metrics:read
GET    /api/v1/metrics/models               metrics:read
GET    /api/v1/metrics/conversations        metrics:read
GET    /api/v1/metrics/trends               metrics:read
GET    /api/v1/metrics/{name}               metrics:read
GET    /api/v1/metrics/{name}/timeseries    metrics:read
GET    /api/v1/performance                  metrics:read
POST   /api/v1/models/compare               metrics:query
POST   /api/v1/metrics/query                metrics:query
GET    /api/v1/sessions                     traces:read
GET    /api/v1/sessions/{session_id}        traces:read
GET    /api/v1/costs                        costs:read
GET    /api/v1/costs/breakdown              costs:read
GET    /api/v1/costs/attribution            costs:read
GET    /api/v1/costs/prices                 costs:read
POST   /api/v1/costs/prices                 costs:manage
GET    /api/v1/costs/prices/{number}        costs:read
PUT    /api/v1/costs/prices/{number}        costs:manage
PATCH  /api/v1/costs/prices/{number}        costs:manage
DELETE /api/v1/costs/prices/{number}        costs:manage
GET    /api/v1/costs/forecast               costs:read
GET    /api/v1/users                        traces:read
GET    /api/v1/costs/summary                costs:read
GET    /api/v1/costs/change                 costs:read
GET    /api/v1/costs/reprice                costs:read
POST   /api/v1/costs/reprice                costs:manage
GET    /api/v1/costs/reprice/{number}       costs:read
POST   /api/v1/costs/reprice/{number}/apply costs:manage
POST   /api/v1/costs/reprice/{number}/undo  costs:manage
GET    /api/v1/budgets                      costs:read
POST   /api/v1/budgets                      costs:manage
GET    /api/v1/budgets/{number}             costs:read
PATCH  /api/v1/budgets/{number}             costs:manage
DELETE /api/v1/budgets/{number}             costs:manage
GET    /api/v1/budgets/{number}/status      costs:read
GET    /api/v1/costs/unpriced               costs:read
POST   /v1/traces                           traces:write
POST   /v1/metrics                          traces:write
POST   /v1/logs                             traces:write
POST   /api/v1/traces                       traces:write
GET    /api/v1/scores                       traces:read
POST   /api/v1/scores                       scores:write
GET    /api/v1/scores/{score_id}            traces:read
DELETE /api/v1/scores/{score_id}            scores:write
GET    /api/v1/traces                       traces:read
GET    /api/v1/traces/{trace_id}            traces:read
DELETE /api/v1/traces                       data:delete
DELETE /api/v1/traces/{trace_id}            data:delete
POST   /api/v1/traces/search                traces:read
POST   /api/v1/private/otel/v1/traces       traces:write
POST   /api/public/otel/v1/traces           traces:write
GET    /api/v1/me                           authenticated
GET    /api/v1/organizations                authenticated
POST   /api/v1/organizations                installation:manage
GET    /api/v1/organizations/{slug}         authenticated
PATCH  /api/v1/organizations/{slug}         org:manage
GET    /api/v1/projects                     signed_in
POST   /api/v1/projects                     org:manage
GET    /api/v1/projects/{slug}              signed_in
PATCH  /api/v1/projects/{slug}              org:manage
GET    /api/v1/members                      members:manage
GET    /api/v1/members/{number}             members:manage
PATCH  /api/v1/members/{number}             members:manage
DELETE /api/v1/members/{number}             members:manage
GET    /api/v1/invitations                  members:manage
POST   /api/v1/invitations                  members:manage
DELETE /api/v1/invitations/{number}         members:manage
GET    /api/v1/keys                         keys:manage_own
POST   /api/v1/keys                         keys:manage_own
GET    /api/v1/keys/{number}                keys:manage_own
PATCH  /api/v1/keys/{number}                keys:manage_own
DELETE /api/v1/keys/{number}                keys:manage_own
POST   /api/v1/keys/{number}/rotate         keys:manage_own
GET    /api/v1/audit                        audit:read
GET    /api/v1/audit/export                 audit:read
POST   /api/v1/export/traces                exports:create
POST   /api/v1/export/metrics               exports:create
POST   /api/v1/export/costs                 exports:create
GET    /api/v1/export/jobs                  exports:read
GET    /api/v1/export/jobs/{job_id}         exports:read
DELETE /api/v1/export/jobs/{job_id}         exports:cancel
GET    /api/v1/export/jobs/{job_id}/manifest exports:read
GET    /api/v1/export/jobs/{job_id}/download exports:download
GET    /api/v1/export/schedules             exports:read
POST   /api/v1/export/schedules             exports:create
GET    /api/v1/export/schedules/{number}    exports:read
PATCH  /api/v1/export/schedules/{number}    exports:create
DELETE /api/v1/export/schedules/{number}    exports:cancel
POST   /api/v1/export/schedules/{number}/run exports:create
GET    /account                             account
POST   /account/organization                account
GET    /account/password                    account
POST   /account/password                    account
"""
# What each route asks for: every one that is not open to the whole world.
NEEDS: dict[str, str] = {
    f"{method} {path}": permission
    for method, path, permission in (line.split() for line in _NEEDS.strip().splitlines())
}

# What a route asks for beside that: without it, the route refuses (1100, naming it).
ALSO: dict[str, str] = {
    "POST /api/v1/export/traces": "traces:read",
    "POST /api/v1/export/metrics": "metrics:read",
    "POST /api/v1/export/costs": "costs:read",
}
# Without it, what the route's path names does not exist for the caller: an export of costs, in the examples.
UNSEEN: dict[str, str] = {
    "GET /api/v1/export/jobs/{job_id}": "costs:read",
    "DELETE /api/v1/export/jobs/{job_id}": "costs:read",
    "GET /api/v1/export/jobs/{job_id}/manifest": "costs:read",
    "GET /api/v1/export/jobs/{job_id}/download": "costs:read",
    "GET /api/v1/export/schedules/{number}": "costs:read",
    "PATCH /api/v1/export/schedules/{number}": "costs:read",
    "DELETE /api/v1/export/schedules/{number}": "costs:read",
    "POST /api/v1/export/schedules/{number}/run": "costs:read",
}

# Open to the whole world on purpose: probes, documentation, signing in, following an invitation or a signed link.
OPEN = frozenset(
    """
    GET /health
    GET /ready
    GET /metrics
    GET /docs/errors
    GET /docs/errors/
    GET /docs/errors/{code}
    GET /api/schema
    GET /api/schema/
    GET /api/docs
    GET /api/docs/
    POST /api/v1/auth/token
    POST /api/v1/auth/token/refresh
    POST /api/v1/auth/token/revoke
    POST /api/v1/invitations/accept
    GET /api/v1/export/files/{token}/{file_name}
    GET /invitations/{token}
    POST /invitations/{token}
    GET /
    GET /admin
    GET /login
    POST /login
    POST /logout
    """.strip()
    .replace("    ", "")
    .splitlines()
)
