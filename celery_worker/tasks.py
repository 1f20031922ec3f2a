"""The tasks: each calls one service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from apps.costs.repricing.services import expire_changes
from apps.costs.repricing.work import run_all
from apps.exports.jobs import work as exports
from apps.exports.jobs.sweep import sweep, sweep_files
from apps.exports.schedules import run_due
from apps.ingest import dead_letters, tally
from apps.metrics.refresh import refresh_live
from apps.metrics.retention import expire_cells
from apps.orgs import sessions, tokens
from apps.traces import deletion, retention, storage
from apps.traces.search.index import index_texts
from celery_worker.stopping import stopping


@shared_task
def refresh_rollups() -> None:
    refresh_live()


@shared_task
def read_texts() -> None:
    index_texts()


@shared_task
def carry_on_repricing() -> None:
    run_all()


@shared_task
def run_export(job_id: str) -> None:
    exports.run(job_id, stopping)


@shared_task
def sweep_exports() -> None:
    sweep()


@shared_task
def sweep_export_files() -> None:
    sweep_files()


@shared_task
def run_schedules() -> None:
    run_due()


@shared_task
def prepare_storage() -> None:
    storage.prepare(datetime.now(UTC))


@shared_task
def drop_expired() -> None:
    retention.drop_expired(datetime.now(UTC))
    retention.compress(datetime.now(UTC))
    expire_cells(datetime.now(UTC))
    expire_changes(datetime.now(UTC))
    dead_letters.expire(retention_days=settings.HUB.raw_retention_days)
    tally.expire(datetime.now(UTC) - timedelta(days=settings.HUB.raw_retention_days))


@shared_task
def sweep_deleted() -> None:
    deletion.sweep()


@shared_task
def remove_expired_sign_ins() -> None:
    tokens.remove_expired(datetime.now(UTC))
    sessions.remove_expired()
