"""Kill -9 whatever has a part in exports, again and again while exports run; then look at every job and every file.

    python -m bench.export_kills [--kills 20] [--spans 100000] [--freezes 1] [--silence 30]

The victims are the exports' worker (a process of its pool, or their parent), PostgreSQL and Valkey, at random moments;
a frozen process of the pool goes on after another one has its job. Afterwards every job must be completed, with a file
that has the size, the sha256 and the rows that the job says and that the database says, or failed with a reason. The
storage must have the offered files and nothing else, and no temporary file may be left.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from django.db.models.functions import Now

from bench import processes
from bench.hub import Hub, ready, running_hub, wait_for
from bench.traffic import request

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from apps.exports.spec import ExportSpec

TARGETS = ("worker child", "worker parent", "postgres", "valkey")
SHAPES = (
    *(("traces", "csv", "none"), ("traces", "csv", "gzip"), ("traces", "jsonl", "zstd"), ("traces", "json", "none")),
    *(
        ("traces", "parquet", "none"),
        ("traces", "xlsx", "none"),
        ("costs", "csv", "none"),
        ("metrics", "jsonl", "none"),
    ),
)
SETTINGS = {
    "ROLLUP_REFRESH_SECONDS": "5",
    "EXPORT_CONCURRENCY": "2",
    "EXPORT_RUNNING_JOBS": "2",
    "EXPORT_ACTIVE_JOBS": "1000",
}
FIELDS = ("trace_id", "span_id", "start_time", "name", "model", "total_cost_usd", "total_tokens", "tags")
SMALLER = 10  # of xlsx, which takes longest: a part of the range
FREEZE_SECONDS = 33


def fill(hub: Hub, spans: int) -> tuple[datetime, datetime]:
    """Send spans that began within the last two hours; the range that holds them all."""
    rng, now = random.Random(1), time.time_ns()
    headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {hub.api_key}"}
    for number in range(spans // 500):
        start = now - 7_200 * 10**9 + number * 7_000 * 10**9 // (spans // 500)
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        connection.request("POST", "/v1/traces", request(rng, spans=500, content=50, start_ns=start), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"spans were not taken: {answer.status}")
        connection.close()
    end = datetime.fromtimestamp(now // 10**9, UTC)
    return end - timedelta(hours=3), end + timedelta(minutes=10)


def set_up(hub: Hub) -> None:
    """Django in this process, on the hub's database and folder."""
    for name in ("DATABASE_URL", "REDIS_URL"):  # the hub's own are found in its folder
        os.environ.pop(name, None)
    os.environ.update(hub.environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "analytics_hub.settings"
    import django

    django.setup()


@dataclass
class Asking:
    """Keeps a number of exports under way, whatever is away just now."""

    organization_id: int
    project: tuple[int, str]
    bounds: tuple[datetime, datetime]
    silence: float
    lost: int = 0
    made: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def spec(self, number: int) -> ExportSpec:
        from apps.exports.spec import ExportSpec

        kind, format, compression = SHAPES[number % len(SHAPES)]
        start, end = self.bounds
        if format == "xlsx":
            end = start + (end - start) / SMALLER + timedelta(hours=1)
        shared: dict[str, Any] = {
            "kind": kind,
            "organization_id": self.organization_id,
            "projects": (self.project,),
            "start": start,
            "end": end,
            "format": format,
            "compression": compression,
        }
        return ExportSpec(**shared, **questions(kind, self.organization_id, self.project, (start, end)))

    def run(self, at_once: int = 6) -> None:
        from django.db import DatabaseError, InterfaceError, connection

        from apps.exports.jobs import services
        from apps.exports.models import ExportJob
        from apps.orgs.audit import SYSTEM

        while not self.stop.is_set():
            try:
                hasten(self.silence)
                active = ExportJob.objects.filter(status__in=ExportJob.ACTIVE).count()
                if active < at_once:
                    services.create(SYSTEM, None, self.spec(self.made))
                    self.made += 1
                    continue
            except (DatabaseError, InterfaceError, psycopg.Error):
                self.lost += 1
                connection.close()
            self.stop.wait(0.2)
        connection.close()


def questions(kind: str, organization_id: int, project: tuple[int, str], bounds: Any) -> dict[str, Any]:
    """Fields and question of a kind, as its own reader makes them of a body."""
    from apps.common.reads.reading import Problems
    from apps.exports.asking import READERS
    from apps.orgs.scopes import Scope

    bodies: dict[str, dict[str, Any]] = {
        "traces": {},
        "costs": {"interval": "1hour", "group_by": ["model"]},
        "metrics": {
            "metrics": [{"metric": "request_count"}, {"metric": "total_cost"}],
            "interval": "1min",
            "group_by": ["model"],
        },
    }
    problems = Problems()
    scope = Scope(organization_id, {project[1]: project[0]})
    asked = READERS[kind].read(bodies[kind], scope, bounds, problems)  # type: ignore[index]
    problems.check()
    return {"fields": FIELDS if kind == "traces" else asked.defaults, "question": asked.question}


def victim(hub: Hub, target: str) -> int | None:
    """A process to kill."""
    if target in ("postgres", "valkey"):
        return min(processes.matching(hub.process.pid, target), default=None)
    workers = [pid for pid in processes.matching(hub.process.pid, "celery") if _of_exports(pid)]
    parents = [pid for pid in workers if processes.parent(pid) not in workers]
    children = [pid for pid in workers if pid not in parents]
    chosen = parents if target == "worker parent" else children
    return random.choice(chosen) if chosen else None


def _of_exports(pid: int) -> bool:
    return "--queues exports" in processes.command_line(pid)


def freeze(hub: Hub) -> bool:
    """Stop a process of the pool for longer than a heartbeat may stay away, then let it go on."""
    pid = victim(hub, "worker child")
    if pid is None:
        return False
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FREEZE_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    return True


def read(path: Path, job: ExportJob) -> list[dict[str, Any]]:
    """A file's rows, by readers that share nothing with what wrote it."""
    if job.format == "parquet":
        import pyarrow.parquet

        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    if job.format == "xlsx":
        import openpyxl

        lines = openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(lines)]
        return [dict(zip(names, line, strict=False)) for line in lines]
    text = _unpacked(path.read_bytes(), job.compression).decode()
    if job.format == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    if job.format == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    found = json.loads(text)
    return found if isinstance(found, list) else list(found["data"])


def _unpacked(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(data).read()
    return data


def astray(hub: Hub, jobs: list[ExportJob]) -> Iterator[str]:
    """Files that are missing, or there without being offered."""
    stored = hub.data_dir / "exports" / "files"
    there = {str(path.relative_to(stored)) for path in stored.rglob("*") if path.is_file()}
    offered = {job.file for job in jobs if job.status == "completed"}
    yield from (f"no file {name}" for name in offered - there)
    yield from (f"a file of nobody: {name}" for name in there - offered)
    yield from (f"left behind: {path.name}" for path in (hub.data_dir / "exports" / "tmp").glob("*"))


def wrong(hub: Hub, jobs: list[ExportJob]) -> Iterator[str]:
    """What is not as it must be."""
    stored = hub.data_dir / "exports" / "files"
    yield from astray(hub, jobs)
    expected: dict[Any, Any] = {}
    checked: dict[str, str] = {}
    for job in jobs:
        if job.status == "failed" and not job.error:
            yield f"{job.pk} failed without a reason"
        elif job.status not in ("completed", "failed"):
            yield f"{job.pk} is {job.status}"
        if job.status != "completed" or not (stored / job.file).is_file():
            continue
        data = (stored / job.file).read_bytes()
        if (len(data), hashlib.sha256(data).hexdigest()) != (job.file_size_bytes, job.sha256):
            yield f"{job.pk}: size or sha256 differs"
        if job.sha256 not in checked:
            checked[job.sha256] = differs(hub, job, read(stored / job.file, job), expected)
        if checked[job.sha256]:
            yield f"{job.pk}: {checked[job.sha256]}"


def differs(hub: Hub, job: ExportJob, rows: list[dict[str, Any]], expected: dict[Any, Any]) -> str:
    """What differs between a file's rows and the database, asked by statements of this bench's own."""
    if len(rows) != job.row_count:
        return f"{len(rows)} rows where the job says {job.row_count}"
    key = (job.kind, job.start_time, job.end_time)
    if key not in expected:
        expected[key] = in_database(hub, job)
    if job.kind == "traces":
        found: Any = Counter((row["trace_id"], row["span_id"]) for row in rows)
    else:
        name = next(name for name in rows[0] if "request_count" in name)
        found = sum(int(float(row[name] or 0)) for row in rows)
    return "" if found == expected[key] else "its rows are not the database's"


def in_database(hub: Hub, job: ExportJob) -> Any:
    where = "FROM span WHERE project_id = ANY(%s) AND start_time >= %s AND start_time < %s"
    asked = (job.project_ids, job.start_time, job.end_time)
    with psycopg.connect(hub.database_url) as connection:
        if job.kind == "traces":
            return Counter(connection.execute(f"SELECT trace_id, span_id {where}", asked).fetchall())
        row = connection.execute(f"SELECT count(*) {where} AND billable", asked).fetchone()
    return row[0] if row else 0


def steady(question: Callable[[], Any]) -> Any:
    """An answer, also while the database starts again; None where there is none yet."""
    from django.db import DatabaseError, InterfaceError, connection

    try:
        return question()
    except (DatabaseError, InterfaceError, psycopg.Error):
        connection.close()
        return None


def hasten(silence: float) -> None:
    """Let a job whose worker says nothing be given up after so many seconds, if these are fewer than the hub waits."""
    from apps.exports.jobs.statements import SILENCE_SECONDS
    from apps.exports.models import ExportJob

    if silence < SILENCE_SECONDS:
        silent = ExportJob.objects.filter(status="processing", heartbeat_at__lt=Now() - timedelta(seconds=silence))
        silent.update(heartbeat_at=Now() - timedelta(seconds=SILENCE_SECONDS + 1))


def at_work(seconds: float) -> None:
    """Wait until somebody works on an export again, after what was killed has come back."""
    from apps.exports.models import ExportJob

    working = ExportJob.objects.filter(status="processing", heartbeat_at__gt=Now() - timedelta(seconds=5))
    wait_for(lambda: bool(steady(working.exists)), "an export at work", seconds)


def wreck(hub: Hub, *, kills: int, pause: float, spans: int, freezes: int, silence: float) -> dict[str, Any]:
    """Kill while exports run; what was counted afterwards."""
    bounds = fill(hub, spans)
    set_up(hub)
    from apps.exports.models import ExportJob
    from apps.orgs.models import Project

    project = Project.objects.get(pk=hub.project_id)
    asking = Asking(project.organization_id, (project.pk, project.slug), bounds, silence)
    thread = threading.Thread(target=asking.run)
    thread.start()
    done = dict.fromkeys(TARGETS, 0)
    hit = 0
    try:
        for number in range(kills):
            at_work(180)
            time.sleep(random.uniform(0.0, 1.0) * pause)
            target = TARGETS[number % len(TARGETS)]
            working = steady(ExportJob.objects.filter(status="processing").exists)
            if pid := victim(hub, target):
                os.kill(pid, signal.SIGKILL)
                done[target] += 1
                hit += bool(working)
        frozen = 0
        for _ in range(freezes):
            at_work(180)
            frozen += freeze(hub)
    finally:
        asking.stop.set()
        thread.join()
    ready(hub.port)
    active = ExportJob.objects.filter(status__in=ExportJob.ACTIVE)

    def ended() -> bool:
        hasten(silence)
        return not active.exists()

    wait_for(lambda: bool(steady(ended)), "the last export", 300)
    jobs = list(ExportJob.objects.order_by("created_at"))
    deadline = time.monotonic() + 40  # the sweeps clean up every ten seconds
    while list(astray(hub, jobs)) and time.monotonic() < deadline:
        time.sleep(1)
    return {
        "kills": done,
        "while exports ran": hit,
        "frozen": frozen,
        "jobs": len(jobs),
        "askings that met a dead server": asking.lost,
        "ends": dict(Counter(job.status for job in jobs)),
        "completed by format": dict(
            Counter(f"{job.kind} {job.format} {job.compression}" for job in jobs if job.status == "completed")
        ),
        "reasons": dict(Counter(job.error for job in jobs if job.status == "failed")),
        "taken up more than once": sum(job.attempt > 1 for job in jobs),
        "takings-up": sum(job.attempt for job in jobs),
        "rows in files": sum(job.row_count or 0 for job in jobs),
        "wrong": list(wrong(hub, jobs)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pause", type=float, default=4)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--freezes", type=int, default=1)
    parser.add_argument("--silence", type=float, default=30, help="seconds without a word until a job is given up")
    options = parser.parse_args()
    with running_hub(**SETTINGS) as hub:
        counted = wreck(hub, **vars(options))
    for name, value in counted.items():
        if isinstance(value, dict):
            print(f"  {name}")
            for inner, number in value.items():
                print(f"    {inner:<60} {number:>8}")
        else:
            print(f"  {name:<32} {value}")
    if counted["wrong"]:
        sys.exit("FAILED: see above")


if __name__ == "__main__":
    main()
