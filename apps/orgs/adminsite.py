"""The admin site: what an administrator does, in that order; people sign in and out on the hub's own pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, URLResolver, path, reverse

from apps.orgs.pages.common import safe_next
from apps.orgs.pages.sign_in import sign_out


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is no model, for superusers: `admin:<slug>`, below `/admin/<slug>/`."""

    name: str
    slug: str
    view: Callable[[HttpRequest, AdminSite], HttpResponse]


class Entry(NamedTuple):
    """A line of the index: a model's class or a page's slug, and one sentence about it."""

    what: str
    about: str


# Everything there is, in the order of work. What is missing here comes last, without a sentence.
SECTIONS: dict[str, tuple[Entry, ...]] = {
    "People and access": (
        Entry("Organization", "The tenants; nothing crosses from one to another."),
        Entry("User", "Everybody with an account, and who runs the installation."),
        Entry("Membership", "Who belongs to which organization, in which role, for which projects."),
        Entry("Invitation", "Links by which people join; each is shown once."),
        Entry("ApiKey", "What programs sign in with: made, rotated, revoked."),
        Entry("SignIn", "Who holds tokens of the API, and from where."),
        Entry("RateLimit", "An organization's own figures in the place of the installation's."),
    ),
    "Data and storage": (
        Entry("Project", "Where spans land: retention, content, redaction, and how many a minute."),
        Entry("DeadLetter", "Spans that were refused, why, and the way to drive them in again."),
        Entry("storage", "Tier, sizes, partitions, retention, and how far the rollups are behind."),
    ),
    "Money": (
        Entry("PriceEntry", "Prices that an organization set for itself, before the bundled list."),
        Entry("RepriceJob", "Costs computed anew after a change of prices; applied and undone."),
        Entry("Budget", "What may be spent in a day, week, month or quarter."),
    ),
    "Exports": (
        Entry("ExportJob", "Files asked for: their progress, their proof, and the file itself."),
        Entry("ExportSchedule", "The same export again and again; paused or run at once."),
        Entry("ExportLimit", "How many exports an organization may have under way, and how much it may keep."),
    ),
    "Background work": (Entry("background", "Queues, workers, beat, and how each task ended last."),),
    "Audit": (Entry("AuditEntry", "Who did what, from where, and what was denied."),),
}


class HubAdminSite(AdminSite):
    """Analytics Hub's administration."""

    site_header = site_title = "Analytics Hub administration"
    index_title = "Administration"
    site_url = "/account"
    enable_nav_sidebar = False  # templates/admin/base_site.html has one of its own

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.pages: dict[str, Page] = {}

    def add_page(self, page: Page) -> None:
        """Take a page in. Called where an app's models are registered, before the addresses are read."""
        self.pages[page.slug] = page

    # -- who gets in

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """To our sign-in page; whoever has signed in and is no staff is refused."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied
        after = safe_next(request) if "next" in request.GET else request.get_full_path()
        return redirect(f"{settings.LOGIN_URL}?{urlencode({'next': after})}")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return redirect("change-password")

    # -- what there is

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = [path(f"{page.slug}/", self._guarded(page), name=page.slug) for page in self.pages.values()]
        return [path("search/", self.admin_view(self.search), name="search"), *own, *super().get_urls()]

    def _guarded(self, page: Page) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest) -> HttpResponse:
            if not request.user.is_superuser:
                raise PermissionDenied
            answer = page.view(request, self)
            answer["Cache-Control"] = "no-store"
            return answer

        return self.admin_view(view)

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> Any:
        """There are no pages by Django's applications: they are not what anybody looks for."""
        return redirect("admin:index")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The sections in the shape of Django's applications; without those that a person may see nothing of."""
        models = {model["object_name"]: model for app in super().get_app_list(request) for model in app["models"]}
        pages = {slug: _shown(page) for slug, page in self.pages.items()} if request.user.is_superuser else {}
        return [*_sections({**models, **pages})]

    def search(self, request: HttpRequest) -> HttpResponse:
        """One search over what has a name, each kind in its own way and as far as the person may see it."""
        from apps.orgs.admin.finding import found

        asked = request.GET.get("q", "").replace("\x00", "").strip()[:200]
        if asked.startswith("ah_"):  # of a key's whole text no more than its prefix goes into the page
            asked = "_".join(asked.split("_")[:2])
        groups = found(request, self, asked) if asked else []
        context = {**self.each_context(request), "title": "Search", "q": asked, "groups": groups}
        return render(request, "admin/search.html", context)


def add_page(page: Page) -> None:
    """Take a page into the administration."""
    site: Any = admin.site  # stands for the HubAdminSite, which it makes when it is first asked for something
    site.add_page(page)


def _sections(known: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, entries in SECTIONS.items():
        lines = [{**known.pop(entry.what), "about": entry.about} for entry in entries if entry.what in known]
        slug = name.lower().replace(" ", "-")
        if lines:
            yield {"name": name, "app_label": slug, "app_url": f"#{slug}", "has_module_perms": True, "models": lines}
    if known:
        yield {"name": "Further", "app_label": "further", "app_url": "#further", "has_module_perms": True,
               "models": list(known.values())}  # fmt: skip


def _shown(page: Page) -> dict[str, Any]:
    """A page in the shape of a model."""
    shown: dict[str, Any] = {"name": page.name, "object_name": page.slug, "model": None, "perms": {"view": True}}
    return {**shown, "admin_url": reverse(f"admin:{page.slug}"), "add_url": None, "view_only": True}
