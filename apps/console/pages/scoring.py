"""The form by which a person judges a trace or one of its spans."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from apps.console.asking import Answer
from apps.console.figures import typed_number

TYPES: Final = (("numeric", "A number"), ("boolean", "Yes or no"), ("categorical", "A word"))
_TRUTHS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class ScoreForm(forms.Form):
    """What is wrong with a value is said by the API, at the field."""

    name = forms.CharField(max_length=256, widget=forms.TextInput(attrs={"list": "score-names", "autocomplete": "off"}))
    data_type = forms.ChoiceField(choices=TYPES, label="Kind")
    value = forms.CharField(
        max_length=1_000, help_text="0.8, yes, or a word", widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    comment = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 2}))
    span_id = forms.CharField(required=False, max_length=256, widget=forms.HiddenInput)

    def body(self, *, trace_id: str, author: str) -> dict[str, Any]:
        """As the API takes it."""
        given = self.cleaned_data
        return {
            "name": given["name"],
            "data_type": given["data_type"],
            "value": _value(given["value"], given["data_type"]),
            "comment": given["comment"] or None,
            "trace_id": trace_id,
            "span_id": given["span_id"] or None,
            "source": "human",
            "author": author,
        }

    def refuse(self, answer: Answer) -> None:
        """What the API refused, at the form's fields."""
        for name, message in answer.fields.items():
            self.add_error(name if name in self.fields and name != "span_id" else None, message)


def _value(text: str, data_type: str) -> Any:
    """As its kind has it; what cannot be read goes as the text it is, and is refused."""
    if data_type == "boolean":
        return _TRUTHS.get(text.strip().lower(), text)
    if data_type == "numeric":
        return typed_number(text)
    return text
