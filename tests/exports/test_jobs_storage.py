"""Where files lie: a folder, a bucket of a real server that speaks S3, and either of them away."""

from __future__ import annotations

import errno
import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.workers import until

if TYPE_CHECKING:
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import Place

TEXT = bytes(range(256)) * 4_000


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is sent for, and every test begins with a storage of which nothing is known."""
    from apps.common import resilience
    from apps.exports import storage
    from apps.exports.jobs import enqueue, work
    from tests.exports.jobbing import say

    monkeypatch.setattr(enqueue, "run_export", lambda *_, **__: True)
    monkeypatch.setattr(work, "produce", say(TEXT))
    monkeypatch.setattr(resilience, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(storage, "_breaker", resilience.Breaker("a test's storage", storage._away, seconds=0.2))


class Moto:
    """A server that speaks S3."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        until(self.answers, 60, lambda: self.log.read_text())

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    from analytics_hub.launch.process import free_port

    server = Moto(free_port(), tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.kill()


@pytest.fixture
def bucket(moto: Moto, acme: Place, settings: Any) -> Moto:
    """Exports lie in a bucket, as the settings make it of the environment."""
    import boto3

    from analytics_hub.settings import _export_storage

    given = {"bucket": "exports", "endpoint": moto.url, "region": "eu-west-1", "access_key": "k", "secret_key": "s"}
    hub = settings.HUB.model_copy(update={f"export_s3_{name}": value for name, value in given.items()})
    settings.STORAGES = {**settings.STORAGES, "exports": _export_storage(hub)}
    client = boto3.client(
        "s3", endpoint_url=moto.url, region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    if "exports" not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for one in client.list_objects_v2(Bucket="exports").get("Contents", ()):
        client.delete_object(Bucket="exports", Key=one["Key"])
    return moto


def run(job: ExportJob) -> ExportJob:
    from apps.exports.jobs import work

    work.run(job.pk)
    job.refresh_from_db()
    return job


def end(place: Place) -> None:
    """As whoever runs the installation would delete an organization."""
    place.project.delete()
    place.organization.delete()


def check_reading(name: str) -> None:
    from apps.exports import storage

    whole = b"".join(storage.chunks(name))
    assert whole == TEXT
    assert storage.stored_size(name) == len(TEXT)
    for start, length in ((0, 1), (1, 300_000), (len(TEXT) - 1, None), (5, 0), (1_000_000, 50_000)):
        wanted = TEXT[start:] if length is None else TEXT[start : start + length]
        assert b"".join(storage.chunks(name, start, length)) == wanted, (start, length)
    assert set(storage.names()) == {name}
    for missing in (storage.stored_size, storage.chunks):
        with pytest.raises(FileNotFoundError):
            missing("1/none.csv")
    storage.remove("1/none.csv")


def test_a_folder_holds_files_that_nobody_else_reads(acme: Place, own_storage: Path) -> None:
    job = run(acme.job())
    assert job.status == "completed"
    check_reading(job.file)
    stored = own_storage / "exports" / "files" / job.file
    assert (stored.stat().st_mode & 0o777, stored.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_bucket_holds_them_too(acme: Place, bucket: Moto) -> None:
    from apps.exports.jobs import services
    from apps.orgs.audit import SYSTEM
    from tests.exports.jobbing import files

    job = run(acme.job(compression="gzip"))
    assert (job.status, job.error, job.sha256) == ("completed", "", hashlib.sha256(TEXT).hexdigest())
    check_reading(job.file)
    services.delete(SYSTEM, job)
    assert files() == set()


def test_a_bucket_that_is_away_is_waited_for_and_then_named(acme: Place, bucket: Moto) -> None:
    from django.db.models.functions import Now

    bucket.kill()
    waits, ends = acme.job(), acme.job()
    assert (run(waits).status, waits.failures, waits.error) == ("pending", 1, "The storage of export files is away.")
    for _ in range(3):
        type(ends).objects.filter(pk=ends.pk).update(not_before=Now())
        run(ends)
    assert (ends.status, ends.error) == ("failed", "It was tried 3 times. The storage of export files is away.")
    bucket.start()
    import boto3

    # moto keeps nothing over a restart.
    boto3.client(
        "s3", endpoint_url=bucket.url, region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
    ).create_bucket(Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def completes() -> bool:
        type(waits).objects.filter(pk=waits.pk).update(not_before=Now(), failures=1)
        return run(waits).status == "completed"

    until(completes, 20, lambda: waits.error)


def test_what_cannot_be_removed_is_removed_later(
    acme: Place, own_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.files.storage import FileSystemStorage
    from django.db.models.functions import Now

    from apps.exports.jobs.sweep import sweep
    from tests.exports.jobbing import files

    job = run(acme.job())
    type(job).objects.filter(pk=job.pk).update(expires_at=Now())

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "refused")

    with monkeypatch.context() as patched:
        patched.setattr(FileSystemStorage, "delete", refuse)
        sweep()
    job.refresh_from_db()
    assert (job.status, job.file, len(job.stored)) == ("expired", "", 1), "it is offered no longer, and known still"
    assert files() == set(job.stored)

    def gone() -> bool:
        sweep()
        return files() == set()

    until(gone, 20)
    job.refresh_from_db()
    assert job.stored == []


def test_files_of_nobody_are_found(acme: Place, own_storage: Path) -> None:
    """With an organization its files go at once; what a late process stored for a job that is gone, by the search."""
    from apps.exports import storage
    from apps.exports.jobs.sweep import sweep_files
    from tests.exports.jobbing import files, place

    kept = run(acme.job())
    other = place("zenith")
    run(other.job())
    assert len(files()) == 2
    end(other)
    assert files() == {kept.file}
    for name in (f"7/{kept.pk}-9.csv", f"8/{'0' * 8}-0000-0000-0000-{'0' * 12}-1.csv.gz", "notes.txt"):
        path = own_storage / "late"
        path.write_bytes(b"late")
        storage.keep(name, path)
    assert sweep_files() == 2
    assert files() == {kept.file, "notes.txt"}


def test_a_job_of_an_organization_that_is_deleted_meanwhile(
    acme: Place, own_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.exports.jobs import work
    from apps.exports.models import ExportJob
    from tests.exports.jobbing import files, on_another_connection, place, say

    for moment in ("before", "after"):
        other = place(f"zenith-{moment}")
        job = other.job()
        step: Callable[[], object] = on_another_connection(partial(end, other))
        monkeypatch.setattr(work, "produce", say(TEXT, **{moment: step}))
        work.run(job.pk)
        assert not ExportJob.objects.filter(pk=job.pk).exists()
        assert files() == set()
