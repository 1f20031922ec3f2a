"""How a body of POST /export/traces is read, beside what all exports share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.common.reads.reading import Problems
from apps.exports.asking import READERS, Asked, Reader
from apps.exports.sources import SOURCES
from apps.exports.sources.spans.columns import COLUMNS, DEFAULTS
from apps.exports.sources.spans.question import KEYS, asks_content, question_of, trees_of
from apps.exports.sources.spans.source import SpanSource
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
    return Asked(COLUMNS, DEFAULTS, question, asks_content(question))


READERS["traces"] = Reader(KEYS, read)
SOURCES["traces"] = SpanSource
