"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from pytest_django import DjangoDbBlocker

if TYPE_CHECKING:  # this module may be read before Django's settings are
    from tests.support.callers import Stage
    from tests.support.world import World


@pytest.fixture
def world(db: None) -> World:
    from tests.support.world import make_world

    return make_world()


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """One world with everybody in it for a whole file, whose tests are marked `django_db` and leave nothing behind."""
    from django.conf import settings
    from django.db import transaction

    from apps.costs.pricebook.overrides import forget_books
    from apps.orgs.authentication import forget_keys
    from apps.orgs.projects import forget_projects
    from tests.support.callers import set_the_stage
    from tests.support.world import make_world

    # Spans are acknowledged once they are committed; here they are taken back at the end like everything else.
    inside = mock.patch("apps.traces.writer._refuse_outer_transaction")
    with django_db_blocker.unblock(), inside, transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        # Tests keep no answers; here what is kept has to pass the door as well.
        for name in [name for name in type(settings.HUB).model_fields if name.startswith("cache_ttl_")]:
            patch.setattr(settings.HUB, name, 60)
        yield set_the_stage(make_world())
        transaction.set_rollback(True)
    forget_keys()
    forget_projects()
    forget_books()
