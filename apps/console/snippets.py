"""Programs that send a first span, ready to be pasted: templates/console/snippets has one file for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.template.loader import render_to_string

NO_KEY: Final = "YOUR_API_KEY"
KINDS: Final[dict[str, str]] = {
    "python-otel": "Python with OpenTelemetry",
    "python-plain": "Python without a package",
    "python-requests": "Python with requests",
    "js-fetch": "JavaScript with fetch",
    "js-otel": "JavaScript with OpenTelemetry",
    "curl": "curl",
    "environment": "OpenTelemetry by environment variables",
}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program and what it is called."""

    name: str
    label: str
    text: str


def snippets(hub: str, key: str = NO_KEY) -> list[Snippet]:
    """All of them, for this hub's address and a key's text, which is kept nowhere."""
    given = {"hub": hub.rstrip("/"), "key": key}
    return [
        Snippet(name, label, render_to_string(f"console/snippets/{name}.txt", given)) for name, label in KINDS.items()
    ]
