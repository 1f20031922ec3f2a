"""The administration of exports under /admin/: jobs, schedules, limits."""

from __future__ import annotations

from apps.exports.admin import jobs, limits, schedules  # noqa: F401 - they register themselves
