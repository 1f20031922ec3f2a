"""The organization and its projects: names, retention, content, redaction with a box to try it in."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.common.parameters import check_parameters
from apps.console.asking import ask, may, send
from apps.console.page import page
from apps.console.pages.settings.common import listed, settings_page, the
from apps.console.pages.settings.forms import ApiForm, Flag, Line, Lines, Picks, Whole
from apps.ingest.redaction import BUILT_IN, redactor_for, validate_patterns
from apps.orgs.access import SIGNED_IN
from apps.orgs.door import principal_of

LIST: Final = "/settings/organization"
MANAGE: Final = "org:manage"
MOST_SAMPLE: Final = 2_000
PATTERNS: Final = {
    "email": "E-mail addresses",
    "phone": "Phone numbers",
    "card": "Card numbers (with a right check digit)",
    "key": "Keys and tokens of common services",
}
SAMPLE: Final = (
    "Write to eve@acme.example or call +49 30 1234567. My card is 4111 1111 1111 1111, my order is ORD-20817."
)


class NameForm(ApiForm):
    """The organization's name."""

    name = Line(label="Name of the organization", max_length=200)


class ProjectForm(ApiForm):
    """What can be set of a project."""

    name = Line(label="Name", max_length=200)
    raw_retention_days = Whole(label="Days that spans are kept", help_text="1 to 3650. Empty: the installation's.")
    content_retention_days = Whole(
        label="Days that content is kept", help_text="Input, output, attributes. Empty: the installation's."
    )
    spans_per_minute = Whole(label="Spans a minute that are taken", help_text="Empty: as many as come.")
    store_content = Flag(
        label="Store content", help_text="Off: of new spans only numbers and names are kept, no input and no output."
    )
    redact_patterns = Picks(
        label="Redact before it is written", choices=[(name, PATTERNS.get(name, name)) for name in BUILT_IN]
    )
    redact_custom = Lines(
        rows=4, label="Own patterns", help_text="Regular expressions, one a line; what fits becomes [redacted]."
    )


class NewProjectForm(ProjectForm):
    """A project to make."""

    slug = Line(label="Slug", max_length=64, help_text="1 to 64 of a-z, 0-9 and inner hyphens. It stays.")
    store_content = Flag(label="Store content", initial=True)
    field_order = ("slug", "name")

    def body(self, *, changed: bool = False) -> dict[str, Any]:
        found = super().body()
        return found if found["name"] else {name: value for name, value in found.items() if name != "name"}


class SampleForm(forms.Form):
    """A text to try redaction on; it is neither sent to the API nor kept."""

    sample = forms.CharField(
        label="A text to try it on",
        required=False,
        max_length=MOST_SAMPLE,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="It is kept nowhere.",
    )


@page(SIGNED_IN)
def settings(request: HttpRequest) -> HttpResponse:
    """The first tab."""
    return redirect(LIST)


@page(SIGNED_IN, POST=MANAGE)
def organization(request: HttpRequest) -> HttpResponse:
    """The organization's name, and its projects."""
    answer, further = listed(request, "projects", limit=100)
    slug = principal_of(request).organization_slug
    own = the(ask(request, f"organizations/{slug}")).document
    form = NameForm(request, initial=own)
    if request.method == "POST" and form.is_valid():
        said = send(request, "PATCH", f"organizations/{slug}", form.body())
        if said.ok:
            messages.success(request, "Saved.")
            return redirect(LIST)
        form.refuse(said)
    context = {"title": "Organization", "own": own, "answer": answer, "further": further, "form": form}
    manages = {"manages": may(request, MANAGE)}
    return settings_page(request, "organization", "organization.html", {**context, **manages}, form.status)


@page(MANAGE, POST=MANAGE)
def new_project(request: HttpRequest) -> HttpResponse:
    """Make a project."""
    check_parameters(request, ())
    form = NewProjectForm(request)
    if request.method == "POST" and form.is_valid():
        answer = send(request, "POST", "projects", form.body())
        if answer.ok:
            messages.success(request, f"The project {answer.document['slug']} is made. Keys can be made for it now.")
            return redirect(LIST)
        form.refuse(answer)
    context = {"title": "New project", "form": form, "button": "Make the project", "back": LIST}
    return settings_page(request, "organization", "one_form.html", context, form.status)


@page(SIGNED_IN, POST=MANAGE)
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """One project: its settings, and what its redaction does to a text."""
    check_parameters(request, ())
    row = the(ask(request, f"projects/{slug}")).document
    form = ProjectForm(request, initial=row)
    sample = SampleForm(request.POST if request.method == "POST" else None, initial={"sample": SAMPLE})
    tried = None
    if request.method == "POST" and request.POST.get("deed") == "try":
        tried = _tried(form, sample)
    elif request.method == "POST" and form.is_valid():
        answer = send(request, "PATCH", f"projects/{slug}", form.body(changed=True))
        if answer.ok:
            messages.success(request, "Saved. Ingest follows within ten seconds.")
            return redirect(request.path)
        form.refuse(answer)
    context = {"title": row["name"] or slug, "row": row, "form": form, "sample": sample, "tried": tried}
    more = {"manages": may(request, MANAGE), "back": LIST, "patterns": PATTERNS}
    return settings_page(request, "organization", "project.html", {**context, **more}, form.status)


def _tried(form: ProjectForm, sample: SampleForm) -> str | None:
    """What would be stored of the text with the form's patterns, saved or not; None where they are no good."""
    if not form.is_valid() or not sample.is_valid():
        return None
    found = form.body()
    for name, problems in (
        ("redact_patterns", validate_patterns(found["redact_patterns"], ())),
        ("redact_custom", validate_patterns((), found["redact_custom"])),
    ):
        for problem in problems:
            form.add_error(name, problem)
    if form.errors:
        return None
    redactor = redactor_for(found["redact_patterns"], found["redact_custom"])
    text: str = sample.cleaned_data["sample"]
    return text if redactor is None else redactor.text(text)
