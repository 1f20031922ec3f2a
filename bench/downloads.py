"""What slow readers of a large file do to a hub: memory of its web processes, and how the others are answered.

    python -m bench.downloads [--megabytes 1024] [--seconds 20]

A hub as `make up` starts it (two web processes). A finished export of random bytes; it is read at full speed, then by
as many slow readers as the hub serves at once (some 100 kB a second each) and by more, while other requests are timed;
at last by readers that take nothing at all, until the hub gives them up.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass

from apps.common.edge.readers import PATIENCE_SECONDS
from bench import processes
from bench.client import build, fetch
from bench.hub import ROOT, Hub, running_hub

MADE = """
import hashlib, os, sys, uuid
from datetime import timedelta
from django.utils import timezone
from django.core.files.storage import storages
from apps.exports.models import ExportJob
from apps.orgs.models import Organization, Project
organization = Organization.objects.get(slug="bench")
project = Project.objects.get(organization=organization)
now, size, name = timezone.now(), {megabytes} << 20, "bench/big.csv"
path = storages["exports"].path(name)
os.makedirs(os.path.dirname(path), exist_ok=True)
digest = hashlib.sha256()
with open(path, "wb") as file:
    for _ in range(size >> 20):
        piece = os.urandom(1 << 20)
        digest.update(piece)
        file.write(piece)
asked = dict(kind="costs", organization_id=organization.pk, projects=[[project.pk, project.slug]], format="csv",
             start=now.isoformat(), end=now.isoformat(), compression="none", fields=["timestamp"])
job = ExportJob.objects.create(
    organization=organization, kind="costs", format="csv", compression="none", asked=asked, project_ids=[project.pk],
    start_time=now, end_time=now, status="completed", attempt=1, file=name, stored=[name], file_name="big.csv",
    content_type="text/csv", file_size_bytes=size, sha256=digest.hexdigest(), row_count=1, manifest=dict(),
    not_before=now, created_at=now, updated_at=now, completed_at=now, expires_at=now + timedelta(days=1))
print("JOB", job.pk, job.sha256)
"""


@dataclass
class Web:
    """The web processes of a hub."""

    pids: list[int]

    def resident(self) -> list[float]:
        """Megabytes of each worker."""
        return [processes.rss_bytes(pid) / 1e6 for pid in self.pids]


def make_job(hub: Hub, megabytes: int) -> tuple[str, str]:
    command = [sys.executable, "manage.py", "shell", "-c", MADE.format(megabytes=megabytes)]
    made = subprocess.run(command, cwd=ROOT, env=hub.environment, capture_output=True, check=True, text=True)
    _, job, sha256 = next(line for line in made.stdout.splitlines() if line.startswith("JOB")).split()
    return job, sha256


def full_speed(hub: Hub, job: str, sha256: str, web: Web) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{hub.port}/api/v1/export/jobs/{job}/download", headers={"X-API-Key": hub.api_key}
    )
    before, begun, digest, size = web.resident(), time.perf_counter(), hashlib.sha256(), 0
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own hub
        while piece := answer.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    seconds = time.perf_counter() - begun
    same = "same sha256" if digest.hexdigest() == sha256 else "ANOTHER SHA256"
    print(f"full speed: {size / 1e6 / seconds:,.0f} MB/s, {same}; web {_shown(before)} -> {_shown(web.resident())}")


def _shown(figures: list[float]) -> str:
    return "/".join(f"{figure:.0f}" for figure in figures) + " MB"


class Slow(threading.Thread):
    """A reader of about 100 kB a second, or of nothing; its status line is read all the same."""

    def __init__(self, hub: Hub, job: str, *, reads: bool) -> None:
        super().__init__(daemon=True)
        self.reads, self.status, self.taken, self.ended = reads, 0, 0, False
        self.socket = socket.create_connection(("127.0.0.1", hub.port))
        path = f"/api/v1/export/jobs/{job}/download"
        self.socket.sendall(build("GET", path, {"X-API-Key": hub.api_key}))
        self.stop = threading.Event()

    def run(self) -> None:
        try:
            self.status = int(self.socket.recv(12, socket.MSG_WAITALL).split()[1])
            while not self.stop.is_set():
                if self.reads or self.stop.wait(0.2):
                    piece = self.socket.recv(20_000)
                    self.taken += len(piece)
                    if not piece:
                        break
                    time.sleep(0.2)
        except OSError:
            pass
        self.ended = True


def timed(hub: Hub, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of other requests, and how many of each were made."""
    paths = ("/health", "/api/v1/export/jobs", "/api/v1/metrics?metrics=request_count&interval=1day")
    found: dict[str, list[float]] = {path: [] for path in paths}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in paths:
            begun = time.perf_counter()
            status, _, body = fetch(hub.port, build("GET", path, {"X-API-Key": hub.api_key}))
            found[path].append((time.perf_counter() - begun) * 1000)
            if status != 200:
                print(f"  {path}: {status} {body[:200]!r}")
        time.sleep(0.05)
    return found


def _report(name: str, found: dict[str, list[float]]) -> None:
    for path, figures in found.items():
        middle, worst = statistics.median(figures), max(figures)
        print(
            f"  {name}: {path.partition('?')[0]:24} {middle:6.1f} ms median, {worst:6.1f} ms longest of {len(figures)}"
        )


def slow_readers(hub: Hub, job: str, web: Web, places: int, seconds: float) -> None:
    _report("alone", timed(hub, seconds / 2))
    before = web.resident()
    readers = [Slow(hub, job, reads=True) for _ in range(2 * places)]
    for reader in readers:
        reader.start()
    time.sleep(2)
    served = sum(reader.status == 200 for reader in readers)
    refused = sum(reader.status == 503 for reader in readers)
    print(f"slow readers: {len(readers)} came, {served} are served, {refused} were answered 503")
    _report("with them", timed(hub, seconds))
    taken = sum(reader.taken for reader in readers)
    print(f"  they took {taken / 1e6:.0f} MB; web {_shown(before)} -> {_shown(web.resident())}")
    for reader in readers:
        reader.stop.set()
        reader.socket.close()
    time.sleep(1)


def stuck_readers(hub: Hub, job: str, places: int) -> None:
    readers = [Slow(hub, job, reads=False) for _ in range(2 * places)]
    for reader in readers:
        reader.start()
    time.sleep(2)
    served = [reader for reader in readers if reader.status == 200]
    begun = time.monotonic()
    while time.monotonic() < begun + 4 * PATIENCE_SECONDS:
        status, _, _ = fetch(
            hub.port,
            build("GET", f"/api/v1/export/jobs/{job}/download", {"X-API-Key": hub.api_key, "Range": "bytes=0-99"}),
        )
        if status == 206:
            break
        time.sleep(1)
    waited = time.monotonic() - begun
    print(f"readers that take nothing: {len(served)} were served; {waited:.0f} s later there was a place again")
    for reader in readers:
        reader.stop.set()
        reader.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with running_hub() as hub:
        job, sha256 = make_job(hub, options.megabytes)
        granian = processes.matching(hub.process.pid, "granian")
        web = Web([pid for pid in granian if processes.parent(pid) in granian])
        places = 4 * len(web.pids)
        print(json.dumps({"megabytes": options.megabytes, "web processes": len(web.pids), "places": places}))
        full_speed(hub, job, sha256, web)
        slow_readers(hub, job, web, places, options.seconds)
        stuck_readers(hub, job, places)


if __name__ == "__main__":
    main()
