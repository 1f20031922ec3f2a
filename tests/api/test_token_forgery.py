"""What is no token of ours: forged, garbled, of another kind."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings as django_settings
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from apps.common.errors import ApiError
from apps.orgs import tokens
from apps.orgs.audit import SYSTEM
from apps.orgs.authentication import forget_keys
from apps.orgs.models import SignIn
from tests.support.signing_in import code, me, refresh, sign_in
from tests.support.world import World

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def traveller(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    monkeypatch.setattr("apps.common.cells.monotonic", time.time)
    with time_machine.travel(NOW, tick=False) as traveller:
        forget_keys()
        yield traveller
    forget_keys()


def forged(kind: str = "access", *, key: str | None = None, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as ours but for what is given; None leaves a claim out."""
    made = {
        "token_type": kind,
        "exp": NOW + timedelta(minutes=5),
        "iat": NOW,
        "jti": uuid.uuid4().hex,
        "sub": "1",
        "sid": str(uuid.uuid4()),
        "iss": tokens.ISSUER,
        "aud": tokens.AUDIENCE,
        **claims,
    }
    own = str(tokens._backend(django_settings.SECRET_KEY).signing_key)
    payload = {name: value for name, value in made.items() if value is not None}
    return jwt.encode(payload, own if key is None else key, algorithm=algorithm)


def test_the_forgery_of_these_tests_would_be_taken(world: World) -> None:
    sign_in()
    family = SignIn.objects.get()
    assert me(forged(sid=str(family.pk), sub=str(world.ada.pk))).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "another"},
        {"iss": None},
        {"token_type": "refresh"},
        {"token_type": None},
        {"exp": None},
        {"jti": None},
        {"sid": None},
        {"sid": "x"},
        {"sub": None},
        {"sub": "x"},
        {"sub": "999999"},
        {"key": "0" * 64},
        {"key": "", "algorithm": "none"},
        {"algorithm": "HS512"},
        {"nbf": NOW + timedelta(hours=1)},
    ],
    ids=str,
)
def test_a_forged_token_is_refused(world: World, claims: dict[str, Any]) -> None:
    sign_in()
    family = SignIn.objects.get()
    answer = me(forged(**{"sid": str(family.pk), "sub": str(world.ada.pk), **claims}))
    assert (answer.status_code, code(answer)) == (401, 1001)
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_each_kind_of_token_is_good_for_its_own_use_alone(world: World) -> None:
    pair = sign_in()
    assert code(me(pair["refresh_token"])) == 1001
    assert code(refresh(pair["access_token"])) == 1001
    assert refresh(pair["refresh_token"]).status_code == 200


def segment(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


ALGORITHMS: st.SearchStrategy[Any] = st.sampled_from(["none", "None", "HS256", "HS512", "RS256", [], {}, None, 7])
HEADERS = st.fixed_dictionaries({"alg": ALGORITHMS}, optional={"typ": st.just("JWT"), "kid": st.text(max_size=9)})
SEGMENTS = st.binary(max_size=60).map(segment) | st.text(max_size=40) | HEADERS.map(segment)
GARBAGE = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join) | st.text(max_size=200)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=GARBAGE)
@example(text="\0")
@example(text="eyJ" + "A" * 1_000_000 + ".e30.x")
@example(text=f"{segment(b'[' * 3_000)}.e30.x")
@example(text=f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(b'[' * 900)}.{'A' * 43}")
@example(text="ah_" + "0" * 16)
@example(text="a.b.c\ud800")
def test_garbage_is_no_token(db: None, text: str) -> None:
    for kind in (tokens.AccessToken, tokens.RefreshToken):
        with pytest.raises(ApiError) as caught:
            tokens.read(kind, text)
        assert caught.value.entry.code == 1001
    assert tokens.revoke(text, SYSTEM) is False


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.integers(0, 10_000), letter=st.sampled_from("AQgwx0-_.=\0"))
def test_a_token_with_one_letter_changed_is_refused(world: World, place: int, letter: str) -> None:
    user = world.ada
    text = tokens.begin(user, SYSTEM).access
    place %= len(text) - 1  # the last letter of a signature carries bits that mean nothing
    changed = text[:place] + letter + text[place + 1 :]
    assume(changed != text)
    with pytest.raises(ApiError) as caught:
        tokens.read(tokens.AccessToken, changed)
    assert caught.value.entry.code == 1001


@pytest.mark.parametrize("text", ["eyJ.e30.x", "a.b.c", "x" * 70_000])
def test_what_is_sent_as_a_bearer_is_answered_by_its_looks(world: World, text: str) -> None:
    answer = me(text)
    assert (answer.status_code, code(answer)) == (401, 1003 if text.startswith("x") else 1001)
