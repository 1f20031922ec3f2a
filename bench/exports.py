"""How fast each format is exported, beside COPY of the same rows, and how much memory that takes.

    python -m bench.exports [--rows 1000000] [--rounds 3] [--only csv]

Loads spans by COPY unless BENCH_KEEP names a folder that has some, and takes a range of as many rows as asked for. Each
measurement is a process of its own, which writes a file: `COPY (SELECT ... ) TO STDOUT (FORMAT csv)` of the same spans'
columns as the database finds them, the same sorted as a file is, then every format. Ratios are taken within a round;
memory is the process's highest (VmHWM), at a fifth of the rows and at all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from apps.exports.spec import ExportSpec
from bench import processes
from bench.exporting import exported, set_up, spec_of
from bench.hub import ROOT, Hub, running_hub
from bench.load import load
from bench.queries import fold

FILES = (
    *(("csv", "none"), ("csv", "gzip"), ("csv", "zstd"), ("jsonl", "none"), ("jsonl", "zstd"), ("json", "none")),
    *(("parquet", "none"), ("parquet", "zstd"), ("xlsx", "none")),
)
# The default columns, as they are stored.
COPY = """
COPY (
    SELECT p.slug, s.trace_id, s.span_id, s.parent_span_id, s.name, s.kind, s.billable, s.status, s.start_time,
        s.start_time + s.duration_us * interval '1 microsecond', s.duration_us, s.ttft_us, s.provider, s.model,
        s.request_model, s.environment, s.team, s.user_id, s.session_id, s.tags, s.error_type, s.prompt_tokens,
        s.completion_tokens, s.total_tokens, s.cached_tokens, s.cache_write_tokens, s.reasoning_tokens, s.prompt_cost,
        s.completion_cost, s.total_cost, s.cost_source, s.unpriced_reason, s.price_version_id, s.usage, s.labels,
        s.flags
    FROM span s JOIN orgs_project p ON p.id = s.project_id
    WHERE s.project_id = {project} AND s.start_time >= '{start}' AND s.start_time < '{end}' {order}
) TO STDOUT (FORMAT csv, HEADER)
"""
SORTED = "ORDER BY s.start_time, s.trace_id, s.span_id"
RANGE = """
SELECT min(start_time), max(start_time), count(*) FROM (
    SELECT start_time FROM span WHERE project_id = %s ORDER BY start_time LIMIT %s
) first
"""


@dataclass
class Taken:
    """What a process of its own says of one run."""

    seconds: float
    rows: int
    bytes: int
    peak: int

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


@dataclass
class Line:
    """One kind of file over the rounds."""

    rates: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    ordered: list[float] = field(default_factory=list)
    bytes: int = 0
    peak: int = 0
    small_peak: int = 0


def child() -> None:
    """Do one run as told on standard input and say how it went."""
    told = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="exports-", dir=os.environ.get("BENCH_DIR") or None) as folder:
        began = time.perf_counter()
        if "copy" in told:
            size, rows = copied(told["copy"], Path(folder) / "copied.csv")
        else:
            import django

            django.setup()
            began = time.perf_counter()
            _, produced, _ = exported(ExportSpec.from_json(told["spec"]), Path(folder))
            size, rows = produced.bytes, produced.rows
        seconds = time.perf_counter() - began
    print(json.dumps([seconds, rows, size, processes.peak_rss_bytes(os.getpid())]))


def copied(sql: str, path: Path) -> tuple[int, int]:
    """Bytes and rows of a plain COPY into a file."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection, path.open("wb") as out:
        cursor = connection.cursor()
        with cursor.copy(sql.encode()) as copy:
            for block in copy:
                out.write(block)
    return path.stat().st_size, cursor.rowcount


def run(told: dict[str, Any]) -> Taken:
    command = [sys.executable, "-m", "bench.exports", "--child"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(told).encode(), stdout=subprocess.PIPE, check=True)
    return Taken(*json.loads(done.stdout))


def range_of(hub: Hub, rows: int) -> tuple[datetime, datetime, int]:
    """A range that begins with the first span and has about so many."""
    with psycopg.connect(hub.database_url) as connection:
        first, last, count = connection.execute(RANGE, [hub.project_id, rows]).fetchone() or (None, None, 0)
    if first is None:
        raise SystemExit("there are no spans")
    return first, last + timedelta(microseconds=1), count


def prepare(hub: Hub, rows: int) -> None:
    """Load what a kept folder does not have yet."""
    with psycopg.connect(hub.database_url) as connection:
        if connection.execute("SELECT 1 FROM span LIMIT 1").fetchone():
            return
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    load(hub.database_url, project_id=hub.project_id, spans=rows, start=end - timedelta(days=7), days=7)
    fold(hub, rows)


def measure(hub: Hub, rows: int, rounds: int, only: str) -> None:
    """Run everything and print one line a kind of file."""
    start, end, found = range_of(hub, rows)
    small_start, small_end, small = range_of(hub, max(1, rows // 5))
    values = {"project": hub.project_id, "start": start.isoformat(), "end": end.isoformat()}
    files = [file for file in FILES if only in "/".join(file)]
    lines = {file: Line() for file in files}
    copies: dict[str, list[Taken]] = {"": [], SORTED: []}
    for _ in range(rounds):
        for order, before in copies.items():
            before.append(run({"copy": COPY.format(**values, order=order)}))
        for file in files:
            spec = spec_of(hub.project_id, start, end, content=False, format=file[0], compression=file[1])
            taken, line = run({"spec": spec.to_json()}), lines[file]
            line.rates.append(taken.rate)
            line.plain.append(taken.rate / copies[""][-1].rate)
            line.ordered.append(taken.rate / copies[SORTED][-1].rate)
            line.bytes, line.peak = taken.bytes, max(line.peak, taken.peak)
    for file in files:
        spec = spec_of(hub.project_id, small_start, small_end, content=False, format=file[0], compression=file[1])
        lines[file].small_peak = run({"spec": spec.to_json()}).peak
    print(
        f"\n  {found:,} rows ({small:,} for the first figure of memory), {rounds} rounds; medians, ratios of all rounds"
    )
    for order, runs in copies.items():
        name = "COPY, sorted" if order else "COPY"
        rate = statistics.median(taken.rate for taken in runs)
        print(f"  {name:<14} {rate:>9,.0f} rows/s {runs[-1].bytes / 1e6:>9,.1f} MB")
    for file, line in lines.items():
        print(shown("/".join(file), line), flush=True)


def shown(name: str, line: Line) -> str:
    def ratios(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"

    return (
        f"  {name:<14} {statistics.median(line.rates):>9,.0f} rows/s {line.bytes / 1e6:>9,.1f} MB"
        f"  of COPY {ratios(line.plain)}, of COPY sorted {ratios(line.ordered)}"
        f"  memory {line.small_peak / 1e6:,.0f} -> {line.peak / 1e6:,.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="files whose format/compression contains this")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return
    with running_hub() as hub:
        prepare(hub, options.rows)
        set_up(hub)
        measure(hub, options.rows, options.rounds, options.only)


if __name__ == "__main__":
    main()
