"""Scores that are past their retention go, their comments and metadata earlier, with the project's content.

In small batches, each in a transaction of its own, along indexes that hold only what may go. As with spans, nothing is
marked: what is left does not change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.traces import storage

BATCH = 5_000
# Along the primary key, a step a project.
_PROJECTS = """
WITH RECURSIVE p (project_id) AS (
    SELECT (SELECT min(c.project_id) FROM score c)
    UNION ALL
    SELECT (SELECT min(c.project_id) FROM score c WHERE c.project_id > p.project_id) FROM p
    WHERE p.project_id IS NOT NULL
)
SELECT project_id FROM p WHERE project_id IS NOT NULL
"""
_DELETE = """
DELETE FROM score WHERE project_id = %(project)s AND id = ANY(ARRAY(
    SELECT c.id FROM score c WHERE c.project_id = %(project)s AND c.timestamp < %(floor)s LIMIT %(batch)s
))
"""
_DELETE_CELLS = """
DELETE FROM score_cell WHERE project_id = %(project)s AND id = ANY(ARRAY(
    SELECT c.id FROM score_cell c WHERE c.project_id = %(project)s AND c.timestamp < %(floor)s LIMIT %(batch)s
))
"""
_EMPTY = """
UPDATE score SET comment = NULL, metadata = NULL WHERE project_id = %(project)s AND id = ANY(ARRAY(
    SELECT c.id FROM score c WHERE c.project_id = %(project)s AND c.timestamp < %(floor)s
        AND (c.comment IS NOT NULL OR c.metadata IS NOT NULL) LIMIT %(batch)s
))
"""


def expire_scores(database: BaseDatabaseWrapper, now: datetime) -> int:
    """Remove what is past its retention; how many scores went."""
    floor = storage.day_floor(now, settings.HUB.score_retention_days)
    own = storage.project_floors("span_content", now)
    everyones = storage.kept_from("span_content", now)
    with database.cursor() as cursor:
        cursor.execute(_PROJECTS)
        projects = [project for (project,) in cursor.fetchall()]
    gone = 0
    for project in projects:
        _in_batches(database, _DELETE_CELLS, {"project": project, "floor": floor})
        gone += _in_batches(database, _DELETE, {"project": project, "floor": floor})
        _in_batches(database, _EMPTY, {"project": project, "floor": own.get(project, everyones)})
    return gone


def _in_batches(database: BaseDatabaseWrapper, statement: str, parameters: dict[str, Any]) -> int:
    changed = 0
    while True:
        with database.cursor() as cursor:
            cursor.execute(statement, {**parameters, "batch": BATCH})
            rows: int = cursor.rowcount
        changed += rows
        if rows < BATCH:
            return changed
