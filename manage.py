#!/usr/bin/env python
"""Django's command line for Analytics Hub."""

from __future__ import annotations

import os
import sys


def data_dir_option(arguments: list[str]) -> str | None:
    """The value of --data-dir: settings are read from that folder, so it must be known before they load."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--data-dir="):
            return argument.partition("=")[2]
        if argument == "--data-dir" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "analytics_hub.settings")
    os.environ.setdefault("HUB_PROCESS", "command")
    if folder := data_dir_option(sys.argv[2:]):
        os.environ["HUB_DATA_DIR"] = os.path.abspath(folder)
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # Its message names the variable; where in Django it was noticed helps nobody.
        sys.exit(str(error))


if __name__ == "__main__":
    main()
