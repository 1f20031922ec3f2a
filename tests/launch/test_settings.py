"""Settings of production: nothing to warn of, and bad ones stopped by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from analytics_hub import env as environment

ROOT = Path(__file__).resolve().parents[2]
SECRET = "aB3-" + "0123456789abcdefghij" * 3
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": SECRET,
    "ALLOWED_HOSTS": "hub.example.com",
    "TRUSTED_PROXIES": "10.0.0.0/8",
}


def manage(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DATABASE_URL") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, "HUB_DATA_DIR": str(tmp_path), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("further", [{}, {"CORS_ORIGINS": "https://app.example.com"}])
def test_the_production_settings_give_nothing_to_warn_of(tmp_path: Path, further: dict[str, str]) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "DEBUG", **PRODUCTION, **further)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr


def test_plain_http_in_production_is_a_choice_that_is_warned_of(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", **PRODUCTION, HTTPS_ONLY="false")
    assert "security.W008" in done.stderr


def load(monkeypatch: pytest.MonkeyPatch, **settings: str) -> environment.Env:
    for name in environment.Env.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return environment.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "proxy.secret.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("METRICS_ALLOWED", "everybody"),
        ("METRICS_TOKEN", "short-secret"),
        ("CORS_ORIGINS", "other.example.org"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://app.example.com/path"),
        ("CORS_ORIGINS", "https://user@app.example.com"),
        ("CORS_ORIGINS", "HTTPS://App.example.com"),
        ("CORS_ORIGINS", "https://app.example.com:0"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "*,https://app.example.com"),
        ("HSTS_SECONDS", "-1"),
        ("HTTPS_ONLY", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG", "some"),
        ("SLOW_REQUEST_MS", "0"),
        ("SLOW_QUERY_MS", "-5"),
    ],
)
def test_a_bad_setting_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        load(monkeypatch, **{name: value})
    assert f"{name}: " in str(caught.value)
    assert len(value) < 5 or value not in str(caught.value)


def test_good_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = "https://app.example.com, http://localhost:3000 ,https://[::1]:8443"
    env = load(monkeypatch, CORS_ORIGINS=origins, METRICS_ALLOWED="none", TRUSTED_PROXIES="10.0.0.0/8,::1")
    assert env.cors_origins == "https://app.example.com,http://localhost:3000,https://[::1]:8443"
    assert env.metrics_allowed == ""


@pytest.mark.parametrize(
    ("settings", "only_https", "json_logs", "oddities"),
    [
        ({}, False, False, 0),
        ({"HTTPS_ONLY": "true", "LOG_FORMAT": "json"}, True, True, 1),
        (PRODUCTION, True, True, 0),
        ({**PRODUCTION, "TRUSTED_PROXIES": "", "ALLOWED_HOSTS": "*"}, True, True, 2),
        ({**PRODUCTION, "HTTPS_ONLY": "false", "LOG_FORMAT": "plain"}, False, False, 0),
    ],
)
def test_what_production_changes(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], only_https: bool, json_logs: bool, oddities: int
) -> None:
    env = load(monkeypatch, **settings)
    assert (env.only_https, env.json_logs, len(env.oddities())) == (only_https, json_logs, oddities)
