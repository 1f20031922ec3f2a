"""Django reads these by name (FORMAT_MODULE_PATH)."""

from __future__ import annotations

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = r"Y-m-d H:i:s\Z"
