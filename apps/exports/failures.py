"""How an export ends without a file."""

from __future__ import annotations


class ExportFailed(Exception):
    """It cannot be done, and trying again would not help. The message is for whoever asked for it."""


class NotProven(ExportFailed):
    """What was written is not what the database says it must be."""


class Cancelled(Exception):
    """Somebody does not want it any more."""


class Stopping(Exception):
    """The process is asked to end: another one takes the job up again."""
