"""What the admin's pages share: every change is a service's, refusals are said in the form, nobody counts large tables.

A form is rehearsed before it is taken: the service runs in a savepoint that is rolled back, so that what it refuses is
said at the form's fields; then it runs in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminSplitDateTime, AutocompleteSelect, AutocompleteSelectMultiple
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.forms.utils import pretty_name
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.text import capfirst

from apps.common.errors import ApiError
from apps.orgs.admin.deeds import DeedAdmin
from apps.orgs.admin.sheets import SheetAdmin
from apps.orgs.audit import Actor, actor_of
from apps.orgs.models import Project
from apps.orgs.pages.common import add_refusal

if TYPE_CHECKING:  # generic for the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
    ModelForm = forms.ModelForm[Any]
    TabularInline = admin.TabularInline[Any, Any]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin, ModelForm, TabularInline, AnyPaginator = (
        admin.ModelAdmin,
        forms.ModelForm,
        admin.TabularInline,
        Paginator,
    )

MOST_COUNTED = 2_000


class _Chosen:
    """Draws what is chosen and leaves out what is no key at all, such as `?organization=acme`: Django would fail."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        key = self.choices.queryset.model._meta.pk  # type: ignore[attr-defined]
        return super().optgroups(name, [one for one in value if _is_key(key, one)], attr)  # type: ignore[misc]


class ChosenOne(_Chosen, AutocompleteSelect):
    """One of many rows, found by typing."""


class ChosenMany(_Chosen, AutocompleteSelectMultiple):
    """Several of many rows, found by typing."""


def _is_key(field: Any, value: Any) -> bool:
    try:
        return field.to_python(value) is not None
    except ValidationError:
        return False


class BoundedPaginator(AnyPaginator):
    """Counts to a bound: a table of millions is not walked to say how many pages there are."""

    most = MOST_COUNTED

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:MOST_COUNTED].count())


class SuperusersChange(ModelAdmin):
    """Who may what: superusers everything that the page offers, staff only look."""

    offers: ClassVar[frozenset[str]] = frozenset()  # of add, change, delete

    def has_add_permission(self, request: HttpRequest) -> bool:
        return "add" in self.offers and _superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return "change" in self.offers and _superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return "delete" in self.offers and _superuser(request)

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        """For actions: `@admin.action(permissions=["superuser"])`."""
        return _superuser(request)


def _superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


class ServiceForm(ModelForm):
    """A form whose data a service has rehearsed. `called` are fields that the service knows by another name."""

    rehearse: ClassVar[Callable[[ServiceForm], None]]
    called: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, field in self.fields.items():
            if isinstance(field.widget, AdminSplitDateTime):  # two fields, of which neither has a label of its own
                for part, what in zip(field.widget.widgets, ("date", "time"), strict=True):
                    part.attrs["aria-label"] = f"{field.label or pretty_name(name)}: {what}"

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            with transaction.atomic():
                type(self).rehearse(self)
                transaction.set_rollback(True)
        except ApiError as error:
            shown = {name: name for name, field in self.fields.items() if not field.widget.is_hidden}
            add_refusal(self, error, {**shown, **self.called})


class Lines(forms.CharField):
    """A list of texts, one a line. With `strip=False` spaces at the ends of a line belong to it."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = (super().to_python(value) or "").splitlines()
        return [line.strip() if self.strip else line for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(self.prepare_value(list(initial or []))) != self.to_python(data))


class ServiceAdmin(DeedAdmin, SheetAdmin, SuperusersChange):
    """A page whose writing is done by services and recorded by them."""

    form = ServiceForm
    object_type: ClassVar[str] = ""  # as the audit log calls it
    findable: ClassVar[bool] = False  # whether the search over everything looks here; its search must be cheap
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    list_per_page = 50
    save_on_top = False
    view_on_site = False

    def described(self, one: Any) -> str:
        """A found object on one line."""
        return str(one)

    # What a page with `offers` writes.

    def make(self, actor: Actor, data: dict[str, Any]) -> Any:
        """Call the service that makes one."""
        raise PermissionDenied

    def alter(self, actor: Actor, present: Any, data: dict[str, Any]) -> Any:
        """Call the service that changes one."""
        raise PermissionDenied

    def end(self, actor: Actor, present: Any) -> None:
        """Call the service that removes one."""
        raise PermissionDenied

    def _write(self, request: HttpRequest, form: Any, change: bool) -> Any:
        actor = actor_of(request)
        if not change:
            return self.make(actor, form.cleaned_data)
        present = self.model._default_manager.get(pk=form.instance.pk)  # the form has written over its own
        return self.alter(actor, present, {name: form.cleaned_data[name] for name in form.changed_data})

    # How Django's admin comes to call them.

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made: Any = super().get_form(request, obj, change=change, **kwargs)
        made.rehearse = lambda form: self._write(request, form, change)
        return made

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.autocomplete_fields:
            kwargs.setdefault("widget", ChosenOne(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **_named(db_field), **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.autocomplete_fields:
            kwargs.setdefault("widget", ChosenMany(db_field, self.admin_site))
        return super().formfield_for_manytomany(db_field, request, **_named(db_field), **kwargs)

    def response_action(self, request: HttpRequest, queryset: Any, *where: Any, **more: Any) -> HttpResponse | None:
        """As Django's, which fails at a row whose key is none."""
        if not all(_is_key(self.opts.pk, one) for one in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise ApiError(1202, "What was chosen is not in this list.", field=ACTION_CHECKBOX_NAME)
        done: HttpResponse | None = super().response_action(request, queryset, *where, **more)
        return done

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = self._write(request, form, change)
        obj.pk = saved.pk
        obj._state.adding = False
        obj.refresh_from_db()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The services have saved what belongs to it."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.end(actor_of(request), obj)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """As Django's; a page that only shows it asks the database once."""
        if request.method != "GET":
            return super().get_object(request, object_id, from_field)
        kept: dict[Any, Any] = request.__dict__.setdefault("hub_objects", {})
        key = (self.model, object_id, from_field)
        if key not in kept:
            kept[key] = super().get_object(request, object_id, from_field)
        return kept[key]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        one = self.get_object(request, unquote(object_id))
        own = {} if one is None else {"heading": self.described(one), "deeds": [*self.offered(request, one)]}
        return super().change_view(request, object_id, form_url, {**own, **(extra_context or {})})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        return self._said(
            request, lambda: super(ServiceAdmin, self).changeform_view(request, object_id, form_url, extra_context)
        )

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return self._said(request, lambda: super(ServiceAdmin, self).delete_view(request, object_id, extra_context))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        titled = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        return self._said(request, lambda: super(ServiceAdmin, self).changelist_view(request, titled))

    def _said(self, request: HttpRequest, view: Callable[[], Any]) -> Any:
        """What a service refuses in spite of the rehearsal (somebody was quicker) is said on the page again."""
        try:
            return view()
        except ApiError as error:
            if request.method != "POST":
                raise
            messages.error(request, error.message)
            return HttpResponseRedirect(request.get_full_path())

    # The audit log is the history.

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> list[Any]:
        return []

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return redirect(f"{reverse('admin:orgs_auditentry_changelist')}?object={self.object_type}:{object_id}")

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any: ...

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any: ...

    def log_deletion(self, request: HttpRequest, obj: Any, object_repr: str) -> Any: ...

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any: ...


def _named(db_field: Any) -> dict[str, Any]:
    """Projects to choose from, with their organizations' names."""
    of_projects = db_field.remote_field.model is Project
    return {"queryset": Project.objects.select_related("organization")} if of_projects else {}


def shown_once(
    request: HttpRequest, admin_site: Any, title: str, secrets: list[tuple[str, str]], back: str
) -> HttpResponse:
    """A page with texts that are stored nowhere, not even in a message on its way to the next page."""
    context = {**admin_site.each_context(request), "title": title, "secrets": secrets, "back": back}
    response = render(request, "admin/shown_once.html", context)
    response["Cache-Control"] = "no-store"
    return response


class ReadOnlyInline(TabularInline):
    """What belongs to an object, with the way to its own page: name `opened` first, and in `shown_by` what it shows."""

    shown_by: ClassVar[str]
    template = "admin/inline.html"
    extra = 0
    can_delete = False

    @admin.display(description="open")
    def opened(self, one: Any) -> str:
        page = reverse(f"admin:{one._meta.app_label}_{one._meta.model_name}_change", args=[one.pk])
        return format_html('<a href="{}">{}</a>', page, getattr(one, self.shown_by))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
