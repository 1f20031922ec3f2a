"""The frame of every test: servers first, then Django."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.conf import settings

from tests.support.servers import WORKER, TestServers, provide_environment

_servers: TestServers | None = None

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile(
    "hub", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("hub")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers before pytest-django, whose hook comes last, loads the settings."""
    global _servers
    if config.getoption("help", False) or config.getoption("version", 0):
        return
    _servers = provide_environment()
    # pytest-django sets Django up only where the settings have been read.
    settings.DATABASES  # noqa: B018
    if WORKER not in os.environ:
        # A worker that inherited it would load the settings before it has chosen its own cache.
        del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.fixture(scope="session", autouse=True)
def _patience() -> Iterator[None]:
    """A machine busy with tests may let Valkey wait for longer than a request would."""
    from apps.common import valkey  # after Django's settings

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(valkey, "TIMEOUT_SECONDS", 2.0)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    from tests.support import emptying  # after Django's settings

    emptying.install()


def pytest_unconfigure(config: pytest.Config) -> None:
    global _servers
    if _servers is not None:
        _servers.stop()
        _servers = None
