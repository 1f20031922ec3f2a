"""Tests that run beside each other do not share a cache."""

from __future__ import annotations

import os

from django.conf import settings


def test_the_settings_name_this_processs_own_cache() -> None:
    # Hubs that tests start read the environment; both must mean the same server and database.
    assert os.environ["REDIS_URL"] == settings.REDIS_URL
