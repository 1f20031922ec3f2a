"""Lists as CSV: of the rows that are chosen, or of all that search and filters leave, up to a bound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from apps.common.jsontext import decimal_text, dumps, zulu
from apps.common.reads.spreadsheets import csv_lines
from apps.orgs.audit import actor_of, record

if TYPE_CHECKING:  # generic for the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

MOST_ROWS = 10_000
_AT_ONCE = 500


class SheetAdmin(ModelAdmin):
    """Offers its list as CSV to whoever may see it. What would run as a formula is neutralised."""

    sheet: ClassVar[tuple[str, ...]] = ()  # its columns, where they are not those of the list
    object_type: ClassVar[str] = ""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.sheet_view)
        return [path("csv/", view, name=f"{self.opts.app_label}_{self.opts.model_name}_csv"), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        own = super().get_actions(request)
        return own if self.actions is None else {**own, "csv": (_chosen, "csv", "Download the chosen ones as CSV")}

    def sheet_view(self, request: HttpRequest) -> HttpResponseBase:
        """All that search and filters leave, as far as the bound."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return self.sheet_of(request, rows)

    def sheet_of(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase:
        """The answer, row by row; that it was taken is in the audit log."""
        names = self.sheet or tuple(name for name in self.get_list_display(request) if isinstance(name, str))
        header = [str(label_for_field(name, self.model, self)) for name in names]
        asked = request.GET.urlencode() if request.method == "GET" else "chosen"
        record(actor_of(request), "list.download", object_type=self.object_type, object_name=asked)
        answer = StreamingHttpResponse(csv_lines(header, self._lines(names, rows)), content_type="text/csv")
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        answer["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}-{stamp}.csv"'
        answer["Cache-Control"] = "private, no-store"
        return answer

    def _lines(self, names: tuple[str, ...], rows: QuerySet[Any]) -> Iterator[list[object]]:
        for one in rows[:MOST_ROWS].iterator(chunk_size=_AT_ONCE):
            yield [_cell(lookup_field(name, one, self)[2]) for name in names]


def _chosen(model_admin: SheetAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
    return model_admin.sheet_of(request, queryset)


def _cell(value: Any) -> object:
    if isinstance(value, datetime):
        return zulu(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return dumps(value).decode()
    return value if value is None or isinstance(value, int | float) else str(value)
