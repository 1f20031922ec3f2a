"""Every statement is timed; a slow one is told without the values that it was given."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from prometheus_client import REGISTRY
from psycopg import sql

from apps.common.observe.statements import LONGEST, MeteredCursor, kind_of, operation_of, shown
from apps.orgs.models import Organization

pytestmark = pytest.mark.django_db
SECRET = "ada@acme.example"


def count(operation: str) -> float:
    return REGISTRY.get_sample_value("db_query_duration_seconds_count", {"operation": operation}) or 0.0


def failures(kind: str) -> float:
    return REGISTRY.get_sample_value("db_errors_total", {"kind": kind}) or 0.0


@pytest.fixture
def all_slow(settings: Any, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    settings.HUB = settings.HUB.model_copy(update={"slow_query_ms": 20})
    caplog.set_level(logging.WARNING, logger="hub.sql")
    return caplog


def told(log: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["hub"] for record in log.records if record.name == "hub.sql"]


def test_a_slow_statement_of_django_is_told_without_its_values(all_slow: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s, 'in ''quotes'' too', pg_sleep(0.05)", [SECRET])
        assert cursor.fetchone()[0] == SECRET
    (line,) = told(all_slow)
    assert line["statement"] == "SELECT %s, ?, pg_sleep(0.05)"
    assert line["operation"] == "select"
    assert line["ms"] >= 50
    assert SECRET not in all_slow.text and "quotes" not in all_slow.text


def test_a_slow_statement_of_the_orm(all_slow: pytest.LogCaptureFixture) -> None:
    list(Organization.objects.filter(name=SECRET).extra(where=["pg_sleep(0.05) IS NOT NULL OR true"]))
    list(Organization.objects.filter(name=SECRET))
    assert SECRET not in all_slow.text


def test_a_slow_statement_of_a_bare_cursor(all_slow: pytest.LogCaptureFixture) -> None:
    connection.ensure_connection()
    before = count("select")
    with MeteredCursor(connection.connection) as cursor:
        cursor.execute(b"SELECT 1")
        cursor.execute(sql.SQL("SELECT pg_sleep(0.05), {}").format(sql.Literal(SECRET)))
        found = cursor.execute("SELECT %(x)s::text", {"x": SECRET}, binary=True).fetchone()
    assert found == (SECRET,)
    assert count("select") - before == 3
    (line,) = told(all_slow)
    assert line["statement"] == "SELECT pg_sleep(0.05), ?"


def test_zero_tells_nothing(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.HUB = settings.HUB.model_copy(update={"slow_query_ms": 0})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05)")
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1 / 0", "other"),
        ("SET LOCAL statement_timeout = 30; SELECT pg_sleep(2)", "timeout"),
        ("INSERT INTO orgs_organization (id) VALUES (NULL)", "constraint"),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_failures_are_counted_once_by_kind(statement: str, kind: str, bare: bool) -> None:
    before = failures(kind)
    connection.ensure_connection()
    cursor: Any = MeteredCursor(connection.connection) if bare else connection.cursor()
    with pytest.raises((DatabaseError, psycopg.Error)), transaction.atomic(), cursor:
        cursor.execute(statement)
    assert failures(kind) - before == 1


def test_a_connection_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = failures("connection")
    with pytest.raises(psycopg.OperationalError):
        connection.get_new_connection({**connection.get_connection_params(), "port": "1", "connect_timeout": 1})
    assert failures("connection") - before == 1


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("  SELECT 1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("\nWITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("COPY span FROM STDIN", "copy"),
        ("insert into x values (1)", "insert"),
        ("SAVEPOINT s1", "other"),
        ("made up by somebody", "other"),
        ("", "other"),
    ],
)
def test_operations_are_of_a_fixed_list(text: str, operation: str) -> None:
    assert operation_of(text) == operation


def test_a_long_statement_is_cut() -> None:
    assert len(shown("SELECT " + "x, " * 10_000)) <= LONGEST
    # A quote that is opened and then cut off hides the rest.
    assert "secret" not in shown("SELECT '" + "secret" * 10_000)


def test_the_kind_is_that_of_the_cause() -> None:
    error = DatabaseError("x")
    error.__cause__ = psycopg.errors.LockNotAvailable("y")
    assert kind_of(error) == "lock"
