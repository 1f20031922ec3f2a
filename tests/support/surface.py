"""What the hub offers to the outside, read from the URL resolver: every route with its methods and what it declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Django's admin has rules of its own (staff only) and a check of its own.
ADMIN_NAMESPACE = "admin"
# Errors of these paths have a shape of their own: google.rpc.Status, or Langfuse's.
NO_ENVELOPE = ("/v1/", "/api/public/", "/api/v1/private/")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One URL pattern: its path with parameters in braces, its name, its view."""

    path: str
    name: str
    callback: Any
    namespace: str = ""

    @property
    def view_class(self) -> Any:
        """The class behind `as_view()`; None for a plain view."""
        return getattr(self.callback, "cls", None) or getattr(self.callback, "view_class", None)

    @property
    def offered_by_class(self) -> frozenset[str]:
        """The methods that a class-based view has; empty for a plain view, which has to be asked."""
        given: Mapping[str, Any] = getattr(self.callback, "view_initkwargs", None) or {}
        known: list[str] = getattr(self.view_class, "http_method_names", [])
        names = given.get("http_method_names") or known
        upper = {name.upper() for name in names}
        return frozenset(one for one in METHODS if one in upper and hasattr(self.view_class, one.lower()))

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def declared(self) -> str | Mapping[str, str] | None:
        """What the route declares to need: one permission, or one for each method."""
        own: str | Mapping[str, str] | None = getattr(self.callback, "required_permission", None)
        return own if own is not None else getattr(self.view_class, "required_permission", None)

    def needs(self, method: str) -> str | None:
        """The permission that a method is declared to need, None for one that is not offered; HEAD goes with GET."""
        method = "GET" if method == "HEAD" else method
        if isinstance(self.declared, Mapping):
            return self.declared.get(method)
        return self.declared if method in self.offered_by_class else None

    def at(self, **values: object) -> str:
        """The path with its parameters filled in."""
        return self.path.format(**values)

    def __str__(self) -> str:
        return self.path


def all_routes(patterns: Any = None, before: str = "/", namespace: str = "") -> Iterator[Route]:
    """Every URL pattern, also Django admin's."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = before + _PARAMETER.sub(r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from all_routes(pattern.url_patterns, here, pattern.namespace or namespace)
        elif isinstance(pattern, URLPattern):
            yield Route(here, pattern.name or "", pattern.callback, namespace)


def api_routes() -> list[Route]:
    """Every route but Django admin's and the console's."""
    return [route for route in all_routes() if route.namespace != ADMIN_NAMESPACE and not _of_the_console(route)]


def console_routes() -> list[Route]:
    """The console's pages, which are for people who sign in: tests/console asks them."""
    return [route for route in all_routes() if _of_the_console(route)]


def _of_the_console(route: Route) -> bool:
    return str(getattr(route.callback, "__module__", "")).startswith("apps.console.")


def admin_routes() -> list[Route]:
    return [route for route in all_routes() if route.namespace == ADMIN_NAMESPACE]
