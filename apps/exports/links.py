"""Links to a finished file that need no token: signed, for one file, in the name of whoever asked for it.

A link opens what its owner may have at the moment it is followed: it names the owner, and the owner's rights are looked
up anew. It is good as long as the file is kept, and as long as the password or secret opens that it was asked for with.
The same file asked for by the same caller has the same link.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.core import signing
from django.urls import reverse

from apps.exports.models import ExportJob
from apps.orgs.access import Principal

_SALT: Final = "hub.export.link"
LONGEST: Final = 500
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Link:
    """What a good link says."""

    job_id: UUID
    file: str
    user_id: int | None
    key_id: int | None
    credential: str

    def names(self, job: ExportJob) -> bool:
        """Whether the file that it was made for is still the job's."""
        return self.job_id == job.pk and self.file == _fingerprint(job)


def safe_name(name: str) -> str:
    """A file's name that no system, path or header takes for anything else."""
    return _UNSAFE.sub("_", name).lstrip(".") or "export"


def _signer() -> signing.Signer:
    return signing.Signer(salt=_SALT, sep=".")


def _fingerprint(job: ExportJob) -> str:
    """Of the name in the storage, which no two files share."""
    return hashlib.sha256(job.file.encode()).hexdigest()[:16]


def path_of(job: ExportJob, principal: Principal) -> str:
    """The path of a link to a finished job's file, in the name of a caller."""
    assert job.expires_at is not None
    owner = f"u{principal.user_id}" if principal.key_id is None else f"k{principal.key_id}"
    token = _signer().sign_object(
        [job.pk.hex, _fingerprint(job), owner, principal.credential, int(job.expires_at.timestamp())]
    )
    return reverse("export-file", args=[token, safe_name(job.file_name)])


def read(token: str, now: datetime) -> Link | None:
    """What a link says; None for one that is not ours, was changed, or has expired."""
    if len(token) > LONGEST:
        return None
    try:
        number, file, owner, credential, until = _signer().unsign_object(token)
        if now >= datetime.fromtimestamp(until, UTC):
            return None
        kind, caller = owner[0], int(owner[1:])
        user_id, key_id = (caller if kind == "u" else None), (caller if kind == "k" else None)
        return Link(UUID(number), file, user_id, key_id, str(credential))
    except (signing.BadSignature, ValueError, TypeError, IndexError):
        return None
