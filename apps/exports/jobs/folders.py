"""Where files are made before they are stored: a folder for each attempt, which goes with it."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.exports.jobs.claim import Claimed
from apps.exports.models import ExportJob

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"([0-9a-f-]{36})\.([0-9]+)")


def root() -> Path:
    found: Path = settings.HUB.hub_data_dir.absolute() / "exports" / "tmp"
    return found


@contextmanager
def folder_of(claimed: Claimed) -> Iterator[Path]:
    """An attempt's own folder, where libraries put their own temporary files as well, so that a kill leaves none."""
    folder = root() / f"{claimed.id}.{claimed.attempt}"
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def clean() -> int:
    """Remove the folders of attempts that are over, on this machine; how many."""
    found: dict[Path, tuple[UUID, int]] = {}
    for folder in root().glob("*") if root().is_dir() else ():
        match = _NAME.fullmatch(folder.name)
        if match:
            found[folder] = (UUID(match[1]), int(match[2]))
    if not found:
        return 0
    rows = ExportJob.objects.filter(pk__in={pk for pk, _ in found.values()}, status=ExportJob.Status.PROCESSING)
    living = set(rows.values_list("pk", "attempt"))
    over = [folder for folder, owner in found.items() if owner not in living]
    for folder in over:
        logger.info("removing what an interrupted export left: %s", folder.name)
        shutil.rmtree(folder, ignore_errors=True)
    return len(over)
