"""What the supervisor prints of its processes' lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_hub.launch import output


@pytest.fixture
def json_lines() -> Iterator[None]:
    output.use_json(True)
    yield
    output.use_json(False)


def test_text_has_the_name_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    output.show("web", "hello")
    assert capsys.readouterr().out == "web      | hello\n"


def test_a_line_of_json_is_printed_as_it_is(json_lines: None, capsys: pytest.CaptureFixture[str]) -> None:
    line = '{"time": "t", "process": "web", "message": "a"}'
    output.show("web", line)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("[WARNING] Unexpected exit from worker-1", "WARNING"),
        ("FATAL:  the database system is shutting down", "CRITICAL"),
        ("LOG:  checkpoint", "INFO"),
        ("Traceback (most recent call last):", "INFO"),
        ('{"half": ', "INFO"),
        ("{} {}", "INFO"),
    ],
)
def test_any_other_line_is_put_into_an_object(
    json_lines: None, capsys: pytest.CaptureFixture[str], line: str, level: str
) -> None:
    output.show("postgres", line)
    told = json.loads(capsys.readouterr().out)
    assert (told["process"], told["logger"], told["level"], told["message"]) == ("postgres", "postgres", level, line)


@given(raw=st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_line_is_an_object(json_lines: None, capsys: pytest.CaptureFixture[str], raw: bytes) -> None:
    line = raw.replace(b"\n", b"").replace(b"\r", b"").decode("utf-8", errors="replace")
    output.show("web", line)
    printed = capsys.readouterr().out
    assert printed.endswith("\n") and printed.count("\n") == 1
    assert isinstance(json.loads(printed), dict)
