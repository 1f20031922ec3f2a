"""A bucket as a storage. Apart, since the package that it needs is an extra."""

from __future__ import annotations

from typing import Any

from botocore.config import Config
from storages.backends.s3 import S3Storage

CONNECT_SECONDS = 5
READ_SECONDS = 60


class Bucket(S3Storage):  # type: ignore[misc]  # the package carries no types
    """django-storages' own, with limits on how long a server may keep us waiting, and without tries of its own."""

    client_config: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        limits = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
        given: Config = self.client_config
        self.client_config = given.merge(limits)
