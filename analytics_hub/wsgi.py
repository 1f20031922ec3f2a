"""The WSGI entry point that granian serves."""

from __future__ import annotations

import gc
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from analytics_hub.launch.process import follow_parent
from apps.common.edge import readers
from apps.common.edge.uploads import Uploads, guarded
from apps.common.observe import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "analytics_hub.settings")
follow_parent()
_django = get_wsgi_application()
_uploads = Uploads(settings.HUB.web_threads)
_uploads.watch()
readers.watch()
application = guarded(_django, _uploads)
pulse.start()

# What is loaded by now (models, routes, the price list) lives as long as the process, so full collections need not walk
# it in the middle of somebody's request.
gc.collect()
gc.freeze()
