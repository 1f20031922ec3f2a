"""Django settings, all from the environment (see env.py for names, types and defaults)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from analytics_hub import env as environment
from analytics_hub.runtime import UNSET_DATABASE_URL, development_secret, read_runtime
from apps.common.edge.address import parse_networks

BASE_DIR = Path(__file__).resolve().parent.parent
HUB = environment.load()
_runtime = read_runtime(HUB.hub_data_dir)
DATABASE_URL = HUB.database_url or _runtime.get("database_url", "") or UNSET_DATABASE_URL
REDIS_URL = HUB.redis_url or _runtime.get("redis_url", "")

DEBUG = False
SECRET_KEY = HUB.secret_key or development_secret(HUB.hub_data_dir)
ALLOWED_HOSTS = [host.strip() for host in HUB.allowed_hosts.split(",") if host.strip()]
TRUSTED_PROXIES = parse_networks(HUB.trusted_proxies)
METRICS_ALLOWED = parse_networks(HUB.metrics_allowed)

INSTALLED_APPS = [
    "apps.orgs.adminapp.HubAdminConfig",
    "analytics_hub",  # before Django's own: its createsuperuser and changepassword also write the audit log
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.common",
    "apps.orgs",
    "apps.traces",
    "apps.metrics",
    "apps.costs",
    "apps.ingest",
    "apps.exports",
    "apps.console",
]
AUTH_USER_MODEL = "orgs.User"
if HUB.environment == "test":
    # A real hash takes a third of a second by design.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

# Short on purpose: a full Django chain costs an ingest request several times the work of its view. WhiteNoise answers
# only below STATIC_URL; what pages need steps aside for requests to the API that carry no session cookie.
MIDDLEWARE = [
    "apps.common.edge.middleware.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.common.reads.shortcut.Shortcut",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.common.edge.pages.PagePolicy",
    "apps.common.edge.pages.PageSession",
    "django.middleware.csrf.CsrfViewMiddleware",
    "apps.common.edge.pages.PageUser",
    "apps.common.edge.pages.PageMessages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
X_FRAME_OPTIONS = "DENY"

CORS_ORIGINS = [origin for origin in HUB.cors_origins.split(",") if origin]
if CORS_ORIGINS:
    MIDDLEWARE.insert(1, "corsheaders.middleware.CorsMiddleware")
CORS_ALLOW_ALL_ORIGINS = CORS_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ORIGINS
CORS_ALLOW_CREDENTIALS = not CORS_ALLOW_ALL_ORIGINS
CORS_URLS_REGEX = r"^/(v1|api/v1|api/public|api/schema)/"
CORS_PREFLIGHT_MAX_AGE = 3600
CORS_ALLOW_HEADERS = [
    *("accept", "authorization", "content-type", "content-encoding", "cache-control", "x-csrftoken", "traceparent"),
    *("x-api-key", "x-organization", "x-project", "x-project-name", "x-request-id"),
    *("if-none-match", "if-modified-since", "range", "if-range"),
]
CORS_EXPOSE_HEADERS = [
    *("X-Request-ID", "ETag", "Last-Modified", "Retry-After", "X-Served-From-Cache", "Content-Disposition"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Location", "Content-Range", "Accept-Ranges"),
]

# Probes and scrapers come from inside. EdgeMiddleware refuses what a redirect would lose or has laid open already.
SECURE_SSL_REDIRECT = HUB.only_https
SECURE_REDIRECT_EXEMPT = ["^health$", "^ready$", "^metrics$"]
SECURE_HSTS_SECONDS = HUB.hsts_seconds if HUB.only_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# To be in the browsers' preload list concerns a whole domain, and is for its owner to decide, not for a hub.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
# In the database alone: with a copy in the cache, a sign-out while the cache server is away would leave the copy good.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 7 * 86_400
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HUB.only_https
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "hub_session", "hub_csrf"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
LOGIN_URL, LOGIN_REDIRECT_URL = "/login", "/overview"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SECURE_REFERRER_POLICY = "same-origin"
CSRF_FAILURE_VIEW = "apps.common.edge.handlers.csrf_refused"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_000_000
ROOT_URLCONF = "analytics_hub.urls"
WSGI_APPLICATION = "analytics_hub.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True


PROCESS = os.environ.get("HUB_PROCESS", "")


def web_limits(seconds: int) -> list[str]:
    """How long a statement of a web process may take, and wait for a lock: well before, so that one is not the other.

    Questions about metrics set the time that remains of their request (apps.common.edge.deadline) on top.
    """
    if PROCESS != "web":
        return []
    return [f"-c statement_timeout={seconds * 1000}", f"-c lock_timeout={seconds * 1000 // 3}"]


# A server that has vanished without a word (its machine, or the network) sends no reset, and its own limits on
# statements end nothing: by Linux's defaults a request waits a quarter of an hour for it, one in an idle connection two
# hours. What libpq is told here ends both after 15 to 25 s.
SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}


def _database_options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {"application_name": f"analytics-hub{'-' if PROCESS else ''}{PROCESS}"}
    given = dict(parse_qsl(query))
    # The planner's estimates for many-way joins over partitions are far off: compiling such plans took seconds.
    session = ["-c jit=off", *web_limits(HUB.request_timeout_seconds), given.pop("options", "")]
    options.update({"connect_timeout": 5, **SILENCE, **given, "options": " ".join(filter(None, session))})
    if PROCESS == "web":
        # Only here: Celery closes the connection after each task, and a prefork child must not inherit a pool.
        low, high = HUB.database_min_connections, HUB.database_max_connections
        # The pool waits twice as long after each failed try to connect, up to minutes, also when the server is back:
        # given up after five seconds, it begins anew with the next request.
        options["pool"] = {"min_size": min(low, high), "max_size": high, "timeout": 3, "reconnect_timeout": 5}
    return options


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "analytics_hub.db",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,  # a pooled connection may have died with its server
        "OPTIONS": _database_options(parts.query),
    }


DATABASES = {"default": _database(DATABASE_URL)}


def _cache_location(url: str) -> str:
    """The database after the broker's: clearing the cache empties its database."""
    parts = urlsplit(url)
    number = parts.path.lstrip("/") or "0"
    return parts._replace(path=f"/{int(number) + 1}").geturl() if number.isdigit() else url


VALKEY_URL = _cache_location(REDIS_URL) if REDIS_URL else ""  # what apps.common.valkey talks to


def _cache(url: str) -> dict[str, Any]:
    if not url or not HUB.cache_enabled:
        return {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": _cache_location(url),
        "KEY_PREFIX": "hub",
        "TIMEOUT": HUB.cache_default_ttl,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 0.5,
            "IGNORE_EXCEPTIONS": True,  # the hub answers without its cache
            "CONNECTION_POOL_KWARGS": {"max_connections": 64, "retry": None, "health_check_interval": 30},
        },
    }


CACHES = {"default": _cache(REDIS_URL)}


def _export_storage(hub: environment.Env) -> dict[str, Any]:
    """A bucket where one is named, else a folder below the hub's own."""
    if not hub.export_s3_bucket:
        options = {
            "location": hub.hub_data_dir.absolute() / "exports" / "files",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        }
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    # Version 4 signatures and paths are what other servers than Amazon's speak too. The hub tries again by itself.
    s3 = {
        "bucket_name": hub.export_s3_bucket,
        "location": hub.export_s3_prefix,
        "endpoint_url": hub.export_s3_endpoint or None,
        "region_name": hub.export_s3_region or None,
        "access_key": hub.export_s3_access_key or None,
        "secret_key": hub.export_s3_secret_key or None,
        "signature_version": "s3v4",
        "addressing_style": "path",
        "default_acl": None,
        "file_overwrite": True,
    }
    return {"BACKEND": "apps.exports.bucket.Bucket", "OPTIONS": s3}


STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "exports": _export_storage(HUB),
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "analytics_hub.formats"

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "apps.common.openapi.Schema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.orgs.door.DoorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.orgs.door.HasPermission"],
    "DEFAULT_RENDERER_CLASSES": ["apps.common.renderers.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.common.parsers.JsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.common.renderers.LenientNegotiation",
    "EXCEPTION_HANDLER": "apps.common.edge.exceptions.exception_handler",
    "DEFAULT_METADATA_CLASS": None,
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Analytics Hub API",
    "DESCRIPTION": "What LLM applications cost, how fast and how good they are, and what changed. "
    "Errors have one shape; their codes are explained under [/docs/errors/](/docs/errors/).",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.common.openapi.complete",
    ],
    "ENUM_NAME_OVERRIDES": {"ExportPeriodEnum": "apps.exports.times.PERIODS"},
    # Without validatorUrl the page would ask a server on the internet about the document. Keys that are typed in are
    # not kept in the browser: they would outlive the sign-out.
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "persistAuthorization": False,
        "validatorUrl": None,
        "filter": True,
        "syntaxHighlight": False,  # its colours are too weak to be read
    },
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "apps.common.observe.logs.JsonFormatter"},
        "plain": {"()": "apps.common.observe.logs.PlainFormatter"},
    },
    "filters": {"once_each": {"()": "apps.common.observe.logs.OnceEach"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json" if HUB.json_logs else "plain"},
    },
    "root": {"handlers": ["stderr"], "level": HUB.log_level},
    "loggers": {
        "django": {"handlers": [], "level": HUB.log_level, "propagate": True},
        # "Not Found" and "Bad Request" lines say nothing that the answer does not.
        "django.request": {"level": "ERROR", "filters": ["once_each"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Its lines hold the path, which may be an invitation's link. The audit log has the denial.
        "django.security.csrf": {"level": "CRITICAL"},
        # Whoever runs a command on a terminal sees how long it takes.
        "hub.sql": {"level": "ERROR" if PROCESS == "command" else "NOTSET"},
        # Each task that is received or done.
        "celery": {"level": "WARNING"},
    },
}
