"""A real hub with two workers while its Valkey is killed, started again, or hangs."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

if TYPE_CHECKING:
    from apps.orgs.models import Organization
    from tests.support.valkey import OwnValkey

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]
CLIENTS = 50
ANALYST_BURST = 6_000


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: Any

    @property
    def remaining(self) -> int:
        return int(self.headers["X-RateLimit-Remaining"])


@dataclass
class Place:
    """The hub, its Valkey, and keys of an organization in which a developer has 50 requests and one more a minute."""

    netloc: str
    valkey: OwnValkey
    organization: Organization
    sender: str
    analyst: str
    asked: str = field(default_factory=lambda: "")

    def __post_init__(self) -> None:
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        times = {"start_time": (end - timedelta(hours=2)).isoformat(), "end_time": end.isoformat()}
        self.asked = "/api/v1/metrics?" + urlencode({"metrics": "request_count", **times})

    def new_key(self, role: str) -> str:
        from apps.orgs.services import api_key_create

        return api_key_create(organization=self.organization, role=role)[1]

    def get(self, path: str, key: str) -> Answer:
        return ask(http.client.HTTPConnection(self.netloc, timeout=20), path, key)


def ask(connection: http.client.HTTPConnection, path: str, key: str, body: bytes | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    return Answer(response.status, response.headers, json.loads(response.read()))


@pytest.fixture
def place(transactional_db: None, tmp_path: Path) -> Iterator[Place]:
    from django.db import connection

    from apps.orgs.models import Organization, RateLimit
    from apps.orgs.services import api_key_create, project_create
    from tests.clients.hub import running_hub
    from tests.support.spans import clear_spans
    from tests.support.valkey import own_valkey

    clear_spans()
    organization = Organization.objects.create(slug="acme", name="Acme")
    project_create(organization=organization, slug="default")
    RateLimit.objects.create(organization=organization, bucket="requests:developer", per_minute=1, burst=50)
    sender, analyst = (api_key_create(organization=organization, role=role)[1] for role in ("admin", "analyst"))
    with (
        own_valkey() as valkey,
        running_hub(
            connection.settings_dict,
            tmp_path / "web.log",
            workers=2,
            REDIS_URL=valkey.url,
            CACHE_TTL_METRICS="60",
        ) as address,
    ):
        yield Place(urlsplit(address).netloc, valkey, organization, sender, analyst)
    clear_spans()


def together(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def let_through(place: Place) -> Counter[int]:
    """What 200 requests of a new key at once are answered.

    Nothing that may come from the cache, and no bodies: a refusal does not wait for them, which breaks pipes.
    """
    key, counted = place.new_key("developer"), list[int]()

    def five() -> None:
        connection = http.client.HTTPConnection(place.netloc, timeout=20)
        counted.extend(ask(connection, "/v1/metrics", key, b"").status for _ in range(5))
        connection.close()

    together(40, five)
    return Counter(counted)


class Crowd:
    """Fifty clients that ask for metrics and send spans until they are told to stop."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.phase = "before"
        self.stop = threading.Event()
        self.answers: list[tuple[str, Answer]] = []
        self.troubles: list[str] = []
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _client(self, number: int) -> None:
        connection = http.client.HTTPConnection(self.place.netloc, timeout=20)
        turn = number
        while not self.stop.is_set():
            turn += 1
            try:
                self.answers.append((self.phase, self._ask(connection, number, turn)))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.troubles.append(f"{self.phase}: {error!r}")
                connection.close()
            self.stop.wait(0.15)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, number: int, turn: int) -> Answer:
        if turn % 5:
            return ask(connection, self.place.asked, self.place.analyst)
        span = {"trace_id": f"{number + 1:032x}", "span_id": f"{turn + 1:016x}", "name": "chat", "duration_ms": 1}
        spans = {"spans": [{**span, "start_time": datetime.now(UTC).isoformat()}]}
        return ask(connection, "/api/v1/traces", self.place.sender, json.dumps(spans).encode())

    def until(self, phase: str, enough: Callable[[list[Answer]], bool]) -> list[Answer]:
        """Enter a phase and stay in it until its answers are enough."""
        self.phase = phase
        deadline = time.monotonic() + 90  # cores that are busy elsewhere make a phase long, not wrong
        while time.monotonic() < deadline and not self.troubles:
            seen = [answer for during, answer in self.answers if during == phase]
            if enough(seen):
                return seen
            time.sleep(0.1)
        raise AssertionError(f"{phase}: {Counter(one.status for one in seen)}, {self.troubles[:3]}")


def readers(seen: list[Answer]) -> list[Answer]:
    """The analyst's answers: a local limiter gives it half its figures at most."""
    return [one for one in seen if one.headers["X-RateLimit-Limit"] == "5000"]


def from_cache(seen: list[Answer]) -> list[Answer]:
    return [one for one in readers(seen) if one.body["meta"].get("cached")]


def is_back(seen: list[Answer]) -> bool:
    """Whether the last hundred readers were all charged in Valkey, and most were answered from there."""
    last = readers(seen)[-100:]
    return len(last) == 100 and len(from_cache(last)) > 50 and min(one.remaining for one in last) > ANALYST_BURST // 2


def test_fifty_clients_do_not_notice_that_valkey_was_killed_and_started_again(place: Place) -> None:
    assert let_through(place) == {200: 50, 429: 150}
    with Crowd(place) as crowd:
        before = crowd.until("before", lambda seen: len(seen) > 300 and len(from_cache(seen)) > 50)
        assert min(one.remaining for one in readers(before)) > ANALYST_BURST // 2
        place.valkey.kill()
        away = crowd.until("away", lambda seen: len(seen) > 900)
        assert max(one.remaining for one in readers(away)[-100:]) < ANALYST_BURST // 2, "each worker has its share"
        place.valkey.start()
        crowd.until("back", is_back)
    assert crowd.troubles == []
    assert {one.status for _, one in crowd.answers} == {200}
    assert let_through(place) == {200: 50, 429: 150}, "one bucket for both workers again"


def test_a_hub_whose_valkey_hangs_answers_everybody(place: Place) -> None:
    """For some seconds, in which it is tried again: nobody resumes it before so many have been answered."""
    with Crowd(place) as crowd:
        crowd.until("before", lambda seen: len(seen) > 200)
        place.valkey.pause()
        hanging = crowd.until("hanging", lambda seen: len(seen) > 1_200)
        assert max(one.remaining for one in readers(hanging)[-100:]) < ANALYST_BURST // 2
        place.valkey.resume()
        crowd.until("back", is_back)
    assert crowd.troubles == []
    assert {one.status for _, one in crowd.answers} == {200}
