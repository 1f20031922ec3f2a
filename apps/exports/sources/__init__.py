"""What can be exported: each kind's source registers here when its module is read (apps.exports.apps)."""

from __future__ import annotations

from collections.abc import Callable

from apps.exports.sources.base import Source
from apps.exports.spec import ExportSpec, Kind

SOURCES: dict[Kind, Callable[[ExportSpec], Source]] = {}


def source_of(spec: ExportSpec) -> Source:
    """A new source of this export's rows."""
    return SOURCES[spec.kind](spec)
