"""The models of a comparison in an address: `models=gpt-4o,anthropic|claude-sonnet-4-5`.

An entry is a model, wherever it runs, or `provider|model` of one provider (nothing before the bar: of no provider).
A comma, a bar or a percent sign within a name is written `%2C`, `%7C`, `%25`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model of a comparison. `provider` is None for any, empty for none."""

    model: str
    provider: str | None = None

    @property
    def entry(self) -> str:
        """As it stands in the address."""
        return _quoted(self.model) if self.provider is None else f"{_quoted(self.provider)}|{_quoted(self.model)}"

    @property
    def asked(self) -> str | dict[str, Any]:
        """As the API takes it."""
        return self.model if self.provider is None else {"provider": self.provider or None, "model": self.model}

    @property
    def label(self) -> str:
        """As the API's answer calls it."""
        return self.model if self.provider is None else f"{self.provider or 'unknown'}/{self.model}"


def read(text: str) -> list[Chosen]:
    """The entries of an address, each once."""
    made = []
    for entry in text.split(","):
        head, bar, tail = entry.strip().partition("|")
        one = Chosen(unquote(tail), unquote(head)) if bar else Chosen(unquote(head))
        if one.model and one not in made:
            made.append(one)
    return made


def written(chosen: Iterable[Chosen]) -> str:
    """The other way round."""
    return ",".join(one.entry for one in chosen)


def _quoted(name: str) -> str:
    # Blanks at the ends would be lost with those around the commas.
    text = name.replace("%", "%25").replace(",", "%2C").replace("|", "%7C")
    inner = text.strip()
    return text if inner == text else "".join(_hidden(letter) if letter.isspace() else letter for letter in text)


def _hidden(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode())
