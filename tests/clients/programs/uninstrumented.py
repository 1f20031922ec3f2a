"""A program that knows nothing of telemetry: `opentelemetry-instrument` and the environment do it all."""

from __future__ import annotations

from calls import make_calls  # type: ignore[import-not-found]

make_calls()
