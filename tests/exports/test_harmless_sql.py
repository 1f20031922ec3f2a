"""The database makes texts harmless by the very rule that Python goes by."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.common.reads.spreadsheets import ALWAYS, SPACES, harmless, harmless_sql

pytestmark = pytest.mark.django_db

# What a text column can hold.
STORED = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@example(["", "'", "''", "=1", " =1", "\u3000＝1", "\t", "\ufeff+1", " a", "-", "a=1", "\u2066@x"])
@given(st.lists(st.text(st.sampled_from(ALWAYS + SPACES + "a1")) | st.text(STORED), min_size=1, max_size=50))
def test_sql_and_python_agree(texts: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {harmless_sql('t')} FROM unnest(%s::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n", [texts]
        )
        assert [row[0] for row in cursor.fetchall()] == [harmless(text) for text in texts]
