"""The forms of the pages. What a password or a name must be is said and checked by the services."""

from __future__ import annotations

from typing import Any

from django import forms

RULES = "At least 10 characters; no common password, not only digits, and not like your name or address."


def _password(label: str, autocomplete: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete, **options.pop("attrs", {})})
    return forms.CharField(label=label, strip=False, max_length=1024, widget=widget, **options)


class SignInForm(forms.Form):
    """E-mail address and password."""

    email = forms.EmailField(
        label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = _password("Password", "current-password")


class TwiceForm(forms.Form):
    """A new password is typed twice."""

    password = _password("New password", "new-password", help_text=RULES)
    again = _password("New password again", "new-password")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "password" in cleaned and "again" in cleaned and cleaned["password"] != cleaned["again"]:
            self.add_error("again", "The two passwords differ.")
        return cleaned


class PasswordForm(TwiceForm):
    """The present password and the next."""

    current = _password("Present password", "current-password", attrs={"autofocus": True})
    field_order = ["current", "password", "again"]


class NewPersonForm(TwiceForm):
    """Who accepts an invitation and has no account."""

    name = forms.CharField(
        label="Your name", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True})
    )
    field_order = ["name", "password", "again"]


class ProofForm(forms.Form):
    """Who accepts an invitation and has an account."""

    password = _password("Your password", "current-password", attrs={"autofocus": True})


class OneClickForm(forms.Form):
    """Who accepts an invitation and has signed in."""
