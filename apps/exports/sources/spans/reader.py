"""How a body of POST /export/traces is read, beside what all exports share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.common.reads.reading import Problems, bad
from apps.common.reads.snapshot import snapshot
from apps.exports.asking import READERS, Asked, Reader
from apps.exports.failures import ExportFailed
from apps.exports.sources import SOURCES
from apps.exports.sources.spans.columns import COLUMNS, DEFAULTS
from apps.exports.sources.spans.question import KEYS, asks_content, question_of, trees_of
from apps.exports.sources.spans.source import SpanSource, check_kept
from apps.orgs.scopes import Scope
from apps.traces.search.answer import check_patterns


def read(body: Mapping[str, Any], scope: Scope, bounds: tuple[datetime, datetime], problems: Problems) -> Asked:
    """The filters of an export of spans.

    Raises:
        ApiError: where they cannot be read at all.
    """
    before = len(problems.found)
    question = question_of(body, problems)
    if len(problems.found) > before:
        return Asked(COLUMNS, DEFAULTS, {})
    for tree in trees_of(question):
        problems.take(lambda tree=tree: check_patterns(tree), None)  # type: ignore[misc]
    if not problems.found:
        problems.take(lambda: _check_kept(scope, bounds[1]), None)
    return Asked(COLUMNS, DEFAULTS, question, asks_content(question))


def _check_kept(scope: Scope, end: datetime) -> None:
    with snapshot() as cursor:
        try:
            check_kept(cursor, sorted(scope.projects.values()), end)
        except ExportFailed as failed:
            raise bad("end_time", str(failed), 1204) from None


READERS["traces"] = Reader(KEYS, read)
SOURCES["traces"] = SpanSource
