"""The tables of the cells and of their ledger, as DDL made from the declarations.

Migrations hold this text frozen (apps/metrics/migrations/sql); `manage.py makerollups --check` fails when the two part.
"""

from __future__ import annotations

from pathlib import Path

from apps.metrics import compile_timescale
from apps.metrics.rollups import PROJECT_ONLY, ROLLUPS, Kind, Rollup

FROZEN = Path(__file__).resolve().parent / "migrations" / "sql"

COLUMN_TYPES = {"bucket": "timestamptz", "project_id": "integer"}
NEVER_NULL = frozenset({"bucket", "project_id", "requests", "errors", "bins", "counts"})

LEDGER = """\
CREATE TABLE rollup_state (
    rollup text PRIMARY KEY,
    watermark timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'DONE',
    started_at timestamptz,
    finished_at timestamptz
);

CREATE TABLE rollup_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    status text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    marks bigint NOT NULL DEFAULT 0,
    minutes bigint NOT NULL DEFAULT 0,
    spans bigint NOT NULL DEFAULT 0,
    cells bigint NOT NULL DEFAULT 0
);

CREATE TABLE data_version (
    project_id integer NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (project_id, day)
);
"""

# Cells are deleted and inserted again, so tables shrink and grow in place: dead rows must go soon.
STORAGE_OPTIONS = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02"


def columns(rollup: Rollup) -> list[tuple[str, str, bool]]:
    """(name, type, may be NULL) of each column of a rollup's table."""
    named = [(name, COLUMN_TYPES.get(name, "text")) for name in rollup.key]
    if rollup.value is not None:
        named += [("bins", "integer[]"), ("counts", "bigint[]")]
    named += [(component.name, component.type) for component in rollup.components]
    return [(name, kind, name not in NEVER_NULL) for name, kind in named]


def create_table(rollup: Rollup) -> str:
    lines = ",\n".join(f"    {name} {kind}{'' if null else ' NOT NULL'}" for name, kind, null in columns(rollup))
    # Ids of a whole project are mostly counted: the index alone then answers.
    held = f" INCLUDE ({', '.join(rollup.ids)})" if rollup.ids and rollup.dimensions == PROJECT_ONLY else ""
    return (
        f"CREATE TABLE {rollup.name} (\n{lines}\n) WITH ({STORAGE_OPTIONS});\n"
        f"CREATE INDEX {rollup.name}_project_bucket ON {rollup.name} (project_id, bucket){held};\n"
    )


# Kinds of cells that came after the first migration, and the file that makes their tables.
LATER: dict[Kind, str] = {"tags": "tags.sql", "unpriced": "unpriced.sql"}


def create_sql() -> str:
    """What the first migration makes, on every tier before TimescaleDB's own."""
    return "\n".join([LEDGER, *(create_table(rollup) for rollup in ROLLUPS.values() if rollup.kind not in LATER)])


def create_later(file: str) -> str:
    """The tables of a later migration."""
    return "\n".join(create_table(rollup) for rollup in ROLLUPS.values() if LATER.get(rollup.kind) == file)


def create_user_indexes() -> str:
    """What finds one user's cells, few beside those of all others; on large data made CONCURRENTLY before."""
    users = [rollup.name for rollup in ROLLUPS.values() if rollup.kind == "users"]
    made = (f"CREATE INDEX IF NOT EXISTS {name}_user ON {name} (project_id, user_id, bucket);\n" for name in users)
    return "".join(made)


def tables() -> list[str]:
    """Every table of the subsystem."""
    return ["rollup_state", "rollup_run", "data_version", *ROLLUPS]


def drop_sql() -> str:
    later = {rollup.name for rollup in ROLLUPS.values() if rollup.kind in LATER}
    return f"DROP TABLE IF EXISTS {', '.join(name for name in tables() if name not in later)};\n"


def frozen_files() -> dict[str, str]:
    """The files beside the migrations, and what the declarations say they hold."""
    first = {"cells.sql": create_sql(), "drop.sql": drop_sql(), "timescale.sql": compile_timescale.install_sql()}
    later = {file: create_later(file) for file in LATER.values()}
    return first | later | {"users.sql": create_user_indexes()}
