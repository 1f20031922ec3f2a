"""Signing in over the API, for tests: every request comes from an address of its own, since tries are limited by it."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.test import Client

from tests.support.world import PASSWORD

TOKEN = "/api/v1/auth/token"
ME = "/api/v1/me"


def post(path: str, body: Any, *, content_type: str = "application/json", **more: Any) -> Any:
    """A request from an address of its own: sign-ins are limited by address."""
    address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
    client = Client(raise_request_exception=False, REMOTE_ADDR=address)
    return client.post(path, json.dumps(body), content_type=content_type, **more)


def sign_in(email: str = "ada@acme.example", password: str = PASSWORD) -> dict[str, Any]:
    answer = post(TOKEN, {"email": email, "password": password})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def refresh(token: str) -> Any:
    return post(f"{TOKEN}/refresh", {"refresh_token": token})


def me(token: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().get(ME, headers={"Authorization": f"Bearer {token}", **named})


def code(answer: Any) -> int:
    return int(answer.json()["error"]["code"])
