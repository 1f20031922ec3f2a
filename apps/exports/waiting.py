"""How long exports wait, for Prometheus."""

from __future__ import annotations

from django.db.models import Min
from django.utils import timezone

from apps.exports.models import ExportJob


def oldest_waiting() -> float:
    """Seconds since the oldest export was asked for that nobody works on; 0 where none waits.

    One whose time has not come, after a failure that may pass, waits too: somebody is waiting for it.
    """
    pending = ExportJob.objects.filter(status=ExportJob.Status.PENDING)
    oldest = pending.aggregate(oldest=Min("created_at"))["oldest"]
    return 0.0 if oldest is None else max(0.0, (timezone.now() - oldest).total_seconds())
