"""Typed settings from the environment.

Every variable that the hub reads is a field of `Env`; a bad value stops the start with the variable's
name and never with its value, since values may be secrets. Any variable can be given as `NAME_FILE`, the path
of a file that holds the value (for container secrets).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from apps.common.edge.address import parse_networks

# Scheme, host and port in lower case, as browsers send them; no path, no user.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
BASE_DIR = Path(__file__).resolve().parent.parent


class Env(BaseSettings):
    """The hub's environment. Names are the upper-case field names."""

    model_config = SettingsConfigDict(hide_input_in_errors=True, extra="ignore", env_ignore_empty=True)

    environment: Literal["development", "test", "production"] = "development"
    secret_key: str = Field(default="", max_length=1024)
    allowed_hosts: str = "*"
    trusted_proxies: str = ""
    cors_origins: str = ""
    https_only: bool | None = None
    hsts_seconds: int = Field(default=31_536_000, ge=0)
    metrics_token: str = Field(default="", max_length=1024)
    metrics_allowed: str = "127.0.0.0/8, ::1"
    hub_data_dir: Path = BASE_DIR / ".hub"
    app_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=1, le=65535)
    web_workers: int = Field(default=2, ge=1, le=64)
    web_threads: int = Field(default=4, ge=1, le=64)
    worker_concurrency: int = Field(default=2, ge=1, le=64)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["", "json", "plain"] = ""
    access_log: Literal["all", "slow", "none"] = "slow"
    slow_request_ms: int = Field(default=1000, ge=1)
    slow_query_ms: int = Field(default=500, ge=0)

    database_url: str = ""
    database_min_connections: int = Field(default=1, ge=0, le=200)
    database_max_connections: int = Field(default=10, ge=1, le=200)
    redis_url: str = ""
    cache_enabled: bool = True
    cache_default_ttl: int = Field(default=60, ge=0, le=86400)
    cache_ttl_metrics: int = Field(default=60, ge=0, le=86400)
    cache_ttl_costs: int = Field(default=60, ge=0, le=86400)
    cache_ttl_traces: int = Field(default=30, ge=0, le=86400)
    cache_ttl_trace: int = Field(default=300, ge=0, le=86400)
    cache_ttl_quality: int = Field(default=60, ge=0, le=86400)
    cache_ttl_compare: int = Field(default=300, ge=0, le=86400)

    cache_ttl_export_status: int = Field(default=10, ge=0, le=86400)

    export_expiry_days: int = Field(default=7, ge=1, le=365)
    export_deadline_seconds: int = Field(default=7200, ge=10, le=18_000)
    export_active_jobs: int = Field(default=20, ge=1)
    export_running_jobs: int = Field(default=1, ge=1)
    export_stored_bytes: int = Field(default=50_000_000_000, ge=1)
    export_concurrency: int = Field(default=1, ge=1, le=64)
    export_downloads: int = Field(default=4, ge=1, le=64)
    export_s3_bucket: str = ""
    export_s3_prefix: str = "exports"
    export_s3_endpoint: str = ""
    export_s3_region: str = ""
    export_s3_access_key: str = Field(default="", max_length=1024)
    export_s3_secret_key: str = Field(default="", max_length=1024)

    raw_retention_days: int = Field(default=90, ge=1, le=3650)
    content_retention_days: int = Field(default=30, ge=1, le=3650)
    score_retention_days: int = Field(default=400, ge=1, le=3650)
    columnstore_after_days: int = Field(default=7, ge=0, le=3650)
    rollup_1m_retention_days: int = Field(default=37, ge=1, le=3650)
    rollup_1h_retention_days: int = Field(default=400, ge=1, le=3650)
    rollup_1d_retention_days: int = Field(default=1095, ge=1, le=36500)
    cells_1h_retention_days: int = Field(default=90, ge=1, le=3650)
    rollup_refresh_seconds: int = Field(default=10, ge=1, le=600)
    request_timeout_seconds: int = Field(default=30, ge=1, le=600)

    ingest_max_body_bytes: int = Field(default=20_000_000, ge=1000)
    ingest_max_spans: int = Field(default=10_000, ge=1)
    ingest_max_content_bytes: int = Field(default=1_000_000, ge=100)
    estimate_tokens: bool = False

    @field_validator("trusted_proxies", "metrics_allowed")
    @classmethod
    def _networks_only(cls, value: str) -> str:
        value = "" if value.strip().lower() == "none" else value
        parse_networks(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_only(cls, value: str) -> str:
        origins = [item.strip() for item in value.split(",") if item.strip()]
        if "*" in origins and len(origins) > 1:
            raise ValueError("has * beside other origins; * alone allows all, without cookies")
        for number, origin in enumerate(origins, start=1):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"item {number} is no origin such as https://app.example.com or http://localhost:3000")
        return ",".join(origins)

    @field_validator("metrics_token")
    @classmethod
    def _no_short_token(cls, value: str) -> str:
        if value and len(value) < 16:
            raise ValueError("needs at least 16 characters")
        return value

    @property
    def only_https(self) -> bool:
        return self.environment == "production" if self.https_only is None else self.https_only

    def oddities(self) -> list[str]:
        """What is allowed and yet hardly meant, for whoever starts the hub."""
        found = []
        if self.only_https and not self.trusted_proxies:
            found.append(
                "HTTPS_ONLY is on and TRUSTED_PROXIES names no proxy that could tell of TLS, so nothing but "
                "/health, /ready and /metrics can be used. Name the proxy, or set HTTPS_ONLY=false"
            )
        if self.environment == "production" and "*" in self.allowed_hosts.split(","):
            found.append("ALLOWED_HOSTS is * in production: name the hosts, since links are made from them")
        return found

    @property
    def json_logs(self) -> bool:
        return self.log_format == "json" or (not self.log_format and self.environment == "production")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: str) -> str:
        if value and not value.startswith(("postgres://", "postgresql://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_only(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value


def _file_values() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in Env.model_fields:
        path = os.environ.get(f"{name.upper()}_FILE")
        if not path:
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name.upper()}_FILE: cannot be read ({error.strerror})") from None
    return values


def load() -> Env:
    """Read the environment.

    Raises:
        ImproperlyConfigured: lists every variable that is missing or malformed, by name, without its value.
    """
    try:
        env = Env(**_file_values())
    except ValidationError as error:
        lines = [
            f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        ]
        raise ImproperlyConfigured("Bad settings in the environment:\n  " + "\n  ".join(lines)) from None
    if env.environment == "production" and len(env.secret_key) < 32:
        raise ImproperlyConfigured("SECRET_KEY: needs at least 32 characters when ENVIRONMENT=production")
    return env
