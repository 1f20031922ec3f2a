"""What is done to an object beside changing it: a button on its page, and an action on the chosen ones of its list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from apps.common.errors import ApiError
from apps.orgs.audit import Actor, actor_of

if TYPE_CHECKING:  # generic for the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

MOST_AT_ONCE = 500


def _always(one: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a service does to one object.

    Args:
        label: of the button on the object's page; none: no button.
        many: of the action on the chosen ones; none: no action.
        done: what is said afterwards, for one and before the number of many.
        run: calls the service; an object that it returns is the page to go to.
        offered: whether the button makes sense for this object. The service decides for itself.
        danger: whether it takes something away that does not come back.
    """

    label: str
    many: str
    done: str
    run: Callable[[Actor, Any], Model | None]
    offered: Callable[[Any], bool] = _always
    danger: bool = False


class DeedAdmin(ModelAdmin):
    """Offers `deeds` to superusers, by the names that stand in the addresses."""

    deeds: ClassVar[dict[str, Deed]] = {}

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without deletion in bulk, which would go past the services; with the deeds for many."""
        own = {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}
        if self.actions is None or not self._may(request):
            return own
        many = {name: deed for name, deed in self.deeds.items() if deed.many}
        return {**own, **{name: (partial(_to_each, deed=deed), name, deed.many) for name, deed in many.items()}}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act)
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        own = [path("<path:object_id>/do/<slug:verb>/", view, name=name)] if self.deeds else []
        return [*own, *super().get_urls()]

    def offered(self, request: HttpRequest, one: Model) -> Iterator[dict[str, Any]]:
        """The buttons of an object's page."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_act"
        for verb, deed in self.deeds.items():
            if deed.label and self._may(request) and deed.offered(one):
                yield {"label": deed.label, "danger": deed.danger, "address": reverse(name, args=[one.pk, verb])}

    @method_decorator(require_POST)
    def act(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Do one thing to one object."""
        deed = self.deeds.get(verb)
        if deed is None:
            raise Http404
        if not self._may(request):
            raise PermissionDenied
        one = self.get_object(request, object_id)
        if one is None:
            raise Http404
        try:
            one = deed.run(actor_of(request), one) or one
        except ApiError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"{deed.done}.")
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", one.pk)


def _to_each(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], *, deed: Deed) -> None:
    actor = actor_of(request)
    each(request, queryset, lambda one: deed.run(actor, one), deed.done)


def each(request: HttpRequest, chosen: Iterable[Model], act: Callable[[Any], object], done: str) -> None:
    """Do something to each chosen object, each on its own, and say what became of it."""
    count = 0
    rows = chosen[: MOST_AT_ONCE + 1] if isinstance(chosen, QuerySet) else list(chosen)
    for place, one in enumerate(rows):
        if place == MOST_AT_ONCE:
            messages.warning(request, f"At most {MOST_AT_ONCE} at once: the others are as they were.")
            break
        try:
            act(one)
        except ApiError as error:
            messages.error(request, f"{one._meta.verbose_name} {one}: {error.message}")
        else:
            count += 1
    if count:
        messages.success(request, f"{done}: {count}.")
