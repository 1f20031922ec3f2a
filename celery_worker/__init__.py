"""Background work: the Celery application, its tasks, and the tables of both."""

from __future__ import annotations

import os

from django.conf import settings

# For `celery --app celery_worker.app`. Where Django runs already the variable is left alone, since children inherit it.
if not settings.configured:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "analytics_hub.settings")
