"""The WSGI entry point that granian serves."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application

from analytics_hub.launch.process import follow_parent
from apps.common import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "analytics_hub.settings")
follow_parent()
application = get_wsgi_application()
pulse.start()

# What is loaded by now (models, routes, the price list) lives as long as the process, so full collections need not walk
# it in the middle of somebody's request.
gc.collect()
gc.freeze()
