"""People who ask the API with an access token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apps.orgs.audit import SYSTEM
from apps.orgs.authentication import forget_keys
from apps.orgs.models import User
from tests.support.world import World


@dataclass
class People:
    """Requests of persons; each call signs in afresh, without the sign-in's own rate limit."""

    world: World

    def token(self, user: User) -> str:
        from apps.orgs import tokens

        return tokens.begin(user, SYSTEM).access

    def get(self, user: User, path: str, **parameters: Any) -> Any:
        return self.world.client.get(path, parameters, headers={"Authorization": f"Bearer {self.token(user)}"})

    def send(self, user: User, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.world.client.generic(
            method,
            path,
            b"" if body is None else json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token(user)}", **headers},
        )

    def forget(self) -> None:
        forget_keys()


def make_people(world: World) -> People:
    return People(world)
