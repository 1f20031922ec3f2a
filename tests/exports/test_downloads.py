"""Finished files taken away: whole and in parts, by token and by link, and by whom."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.exports import links
from apps.exports.api import sending
from apps.exports.models import ExportJob
from apps.exports.rights import principal_again
from apps.orgs.audit import SYSTEM
from apps.orgs.models import ApiKey, AuditEntry, Membership, User
from apps.orgs.services.authority import ANYTHING
from apps.orgs.services.keys import key_rotate
from tests.support.exports import FILE_NAME, export_job, export_spec, finished_export
from tests.support.world import World, make_world

pytestmark = pytest.mark.django_db
DATA = bytes(range(256)) * 4
JOBS = "/api/v1/export/jobs"


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def job(world: World) -> ExportJob:
    return finished_export(world.acme, [world.default], world.ada, data=DATA)


def take(world: World, job: ExportJob, key: str | None = None, method: str = "GET", **headers: str) -> Any:
    return world.send(method, f"{JOBS}/{job.pk}/download", key=key, **headers)


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else bytes(answer.content)


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["error"]["code"]


def status(answer: Any) -> int:
    """The status, once all has been read: what is left open keeps its place among the downloads."""
    body(answer)
    return int(answer.status_code)


def link_of(world: World, job: ExportJob, key: str | None = None) -> str:
    url = world.get(f"{JOBS}/{job.pk}", key=key).json()["download_url"]
    assert isinstance(url, str)
    return url


def test_the_whole_file(world: World, job: ExportJob) -> None:
    answer = take(world, job)
    assert (answer.status_code, body(answer)) == (200, DATA)
    headers = answer.headers
    assert headers["ETag"] == f'"{hashlib.sha256(DATA).hexdigest()}"' == f'"{job.sha256}"'
    assert headers["Content-Length"] == str(len(DATA))
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == f'attachment; filename="{FILE_NAME}"'
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in headers["Cache-Control"]
    assert "no-transform" in headers["Cache-Control"]
    assert "Content-Encoding" not in headers


def test_a_packed_file_is_sent_as_it_is(world: World) -> None:
    job = finished_export(world.acme, [world.default], data=DATA, content_type="application/gzip", file_name="a.csv.gz")
    answer = take(world, job, **{"Accept-Encoding": "gzip"})
    assert body(answer) == DATA
    assert answer.headers["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in answer.headers


def test_names_that_would_be_something_else(world: World) -> None:
    for name in ('../../x"\r\nSet-Cookie: a=b', "..", ""):
        job = finished_export(world.acme, [world.default], file_name=name)
        answer = take(world, job)
        shown = answer.headers["Content-Disposition"]
        body(answer)
        assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_-][A-Za-z0-9._-]*"', shown)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.one_of(st.none(), st.integers(0, 1_100)),
    st.one_of(st.none(), st.integers(0, 1_100)),
)
def test_one_range(world: World, job: ExportJob, first: int | None, last: int | None) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    answer = take(world, job, Range=header)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        assert (answer.status_code, body(answer)) == (200, DATA)
        return
    if first is None:
        wanted = DATA[-last:] if last else b""
    else:
        wanted = DATA[first:] if last is None else DATA[first : last + 1]
    if wanted:
        assert (answer.status_code, body(answer)) == (206, wanted)
        start = len(DATA) - len(wanted) if first is None else first
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(DATA)}"
        assert answer.headers["Content-Length"] == str(len(wanted))
        assert answer.headers["ETag"] == f'"{job.sha256}"'
    else:
        assert code(answer) == (416, 1202)
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_parts_put_together_are_the_file(world: World, job: ExportJob) -> None:
    parts = [body(take(world, job, Range=f"bytes={start}-{start + 99}")) for start in range(0, len(DATA), 100)]
    assert b"".join(parts) == DATA


def test_conditions(world: World, job: ExportJob) -> None:
    etag = f'"{job.sha256}"'
    known = take(world, job, **{"If-None-Match": f'"other", W/{etag}'})
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", etag)
    assert "Content-Length" not in known.headers
    assert status(take(world, job, **{"If-None-Match": '"other"'})) == 200
    assert status(take(world, job, Range="bytes=0-9", **{"If-Range": etag})) == 206
    for other in ('"other"', f"W/{etag}", "Sat, 21 Nov 2026 10:00:00 GMT"):
        answer = take(world, job, Range="bytes=0-9", **{"If-Range": other})
        assert (answer.status_code, body(answer)) == (200, DATA)
    assert code(take(world, job, **{"If-Match": '"other"'})) == (412, 1402)
    assert status(take(world, job, **{"If-Match": etag})) == 200


def test_several_ranges_are_answered_whole(world: World, job: ExportJob) -> None:
    answer = take(world, job, Range="bytes=0-1,5-6")
    assert (answer.status_code, body(answer)) == (200, DATA)


def test_head_tells_and_sends_nothing(world: World, job: ExportJob) -> None:
    before = AuditEntry.objects.filter(action="export.download").count()
    answer = take(world, job, method="HEAD", Range="bytes=0-9")
    assert (answer.status_code, body(answer)) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["ETag"] == f'"{job.sha256}"'
    assert AuditEntry.objects.filter(action="export.download").count() == before


@pytest.mark.parametrize("status", [name for name in ExportJob.Status.values if name != "completed"])
def test_without_a_file(world: World, status: str) -> None:
    job = export_job(export_spec(world.acme, [world.default]), status=status)
    expected = (409, 1402) if status in ("pending", "processing") else (404, 1303)
    for path in ("download", "manifest"):
        assert code(world.get(f"{JOBS}/{job.pk}/{path}")) == expected


def test_what_is_gone(world: World, job: ExportJob) -> None:
    storages["exports"].delete(job.file)
    assert code(take(world, job)) == (404, 1303)
    late = finished_export(world.acme, [world.default], expires_at=timezone.now() - timedelta(seconds=1))
    assert code(take(world, late)) == (404, 1303)
    shown = world.get(f"{JOBS}/{late.pk}").json()
    assert (shown["status"], shown["download_url"]) == ("expired", None)
    assert code(world.get(f"{JOBS}/{'0' * 32}/download")) == (404, 1302)
    assert code(world.get(f"{JOBS}/nonsense/download")) == (404, 1302)


def test_who_sees_which_export(world: World) -> None:
    """The kind's read permission and all of its projects; texts only with traces:content."""
    spans = finished_export(world.acme, [world.default], spec={"kind": "traces"})
    texts = finished_export(world.acme, [world.default], spec={"kind": "traces", "content": True})
    costs = finished_export(world.acme, [world.default])
    both = finished_export(world.acme, [world.default, world.web])
    foreign = finished_export(world.zenith, [world.zenith_project])
    reading = ["exports:read", "exports:download", "traces:read"]
    seen = {
        world.new_key(role="developer")[1]: {spans: 200, texts: 200, costs: 200, both: 200},
        world.new_key(role="developer", project=world.default)[1]: {spans: 200, texts: 200, costs: 200, both: 404},
        world.new_key(role="billing")[1]: {spans: 404, texts: 404, costs: 200, both: 200},
        world.new_key(role="viewer")[1]: dict.fromkeys((spans, texts, costs, both), 403),
        world.new_key(role="", permissions=reading)[1]: {spans: 200, texts: 403, costs: 404, both: 404},
        world.new_key(role="developer", project=world.web)[1]: dict.fromkeys((spans, texts, costs, both), 404),
    }
    for key, wanted in seen.items():
        got = {job: status(take(world, job, key)) for job in (*wanted, foreign)}
        assert got == {**wanted, foreign: 403 if 403 in wanted.values() and 200 not in wanted.values() else 404}
        listed = world.get(JOBS, key=key)
        if listed.status_code == 200:
            visible = {str(job.pk) for job, status in wanted.items() if status != 404}
            assert {row["job_id"] for row in listed.json()["data"]} == visible
    refused = take(world, texts, world.new_key(role="", permissions=reading)[1])
    assert refused.json()["error"]["details"]["required_permission"] == "traces:content"


def test_a_download_is_written_down(world: World, job: ExportJob) -> None:
    body(take(world, job, Range="bytes=10-19"))
    body(world.client.get(link_of(world, job)))
    entries = list(AuditEntry.objects.filter(action="export.download").order_by("pk"))
    assert [entry.object_id for entry in entries] == [str(job.pk)] * 2
    assert [(entry.after or {})["by"] for entry in entries] == ["token", "link"]
    assert ((entries[0].after or {})["start"], (entries[0].after or {})["end"]) == (10, 20)
    assert entries[0].actor == entries[1].actor
    assert entries[0].actor.startswith("ah_")


# -- links ----------------------------------------------------------------------------------------------------------


def test_a_link_needs_no_token(world: World, job: ExportJob) -> None:
    url = link_of(world, job)
    answer = world.client.get(url)
    assert (answer.status_code, body(answer)) == (200, DATA)
    part = world.client.get(url, headers={"Range": "bytes=-4"})
    assert (part.status_code, body(part)) == (206, DATA[-4:])
    assert world.client.head(url).headers["Content-Length"] == str(len(DATA))
    assert int(answer.headers["X-RateLimit-Limit"]) == 100_000  # charged to the key that asked for it


def test_each_caller_has_a_link_of_its_own(world: World, job: ExportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings as django_settings

    monkeypatch.setattr(django_settings.HUB, "cache_ttl_export_status", 60)
    one, other = (world.new_key(role="admin")[1] for _ in range(2))
    first = link_of(world, job, one)
    assert link_of(world, job, other) != first
    again = world.get(f"{JOBS}/{job.pk}", key=one)
    assert (again.json()["meta"]["cached"], again.json()["download_url"]) == (True, first)


def changes_of_rights() -> Iterator[Any]:
    """What may happen to a key after it was given a link, and what the link then says."""
    now = timezone.now()
    yield pytest.param({"revoked_at": now}, (403, 1102), id="revoked")
    yield pytest.param({"expires_at": now - timedelta(seconds=1)}, (403, 1102), id="expired")
    yield pytest.param({"role": "viewer"}, (403, 1100), id="no exports:download")
    yield pytest.param({"role": "", "permissions": ["exports:download"]}, (404, 1303), id="no costs:read")
    yield pytest.param({"networks": ["10.0.0.0/8"]}, (403, 1102), id="another network")


@pytest.mark.parametrize(("change", "expected"), list(changes_of_rights()))
def test_a_link_is_as_good_as_its_keys_rights_now(
    world: World, job: ExportJob, change: dict[str, Any], expected: tuple[int, int]
) -> None:
    key, text = world.new_key(role="admin")
    url = link_of(world, job, text)
    ApiKey.objects.filter(pk=key.pk).update(**change)
    assert code(world.client.get(url)) == expected
    if expected[0] == 403:
        entry = AuditEntry.objects.filter(action="access.denied", organization_id=world.acme.pk).latest("pk")
        token = url.split("/")[-2]
        assert token not in f"{entry.object_name}{entry.after}"


def test_a_rotated_keys_link_ends_with_the_secret_that_it_was_asked_for_with(world: World, job: ExportJob) -> None:
    key, text = world.new_key(role="admin")
    url = link_of(world, job, text)
    key, second = key_rotate(actor=SYSTEM, by=ANYTHING, key=key, grace_seconds=600)
    assert status(world.client.get(url)) == 200
    assert link_of(world, job, text) == url  # the earlier secret makes no link that outlasts it
    assert link_of(world, job, second) != url
    ApiKey.objects.filter(pk=key.pk).update(previous_until=timezone.now())
    assert code(world.client.get(url)) == (403, 1102)
    current = link_of(world, job, second)
    assert status(world.client.get(current)) == 200
    key_rotate(actor=SYSTEM, by=ANYTHING, key=key, grace_seconds=0)
    for dead in (url, current):
        assert code(world.client.get(dead)) == (403, 1102)


def test_a_new_password_ends_a_persons_links(world: World) -> None:
    job = finished_export(world.acme, [world.web], spec={"kind": "traces"})
    owner = partial(principal_again, world.acme.pk, user_id=world.dora.pk, key_id=None)
    url = links.path_of(job, owner())
    assert status(world.client.get(url)) == 200
    world.dora.set_password("another one entirely 7")
    world.dora.save()
    assert code(world.client.get(url)) == (403, 1102)
    assert status(world.client.get(links.path_of(job, owner()))) == 200


def test_a_key_that_now_sees_another_project(world: World, job: ExportJob) -> None:
    key, text = world.new_key(role="admin")
    url = link_of(world, job, text)
    ApiKey.objects.filter(pk=key.pk).update(project=world.web)
    assert code(world.client.get(url)) == (404, 1303)
    ApiKey.objects.filter(pk=key.pk).update(project=world.default)
    assert status(world.client.get(url)) == 200
    ApiKey.objects.filter(pk=key.pk).delete()
    assert code(world.client.get(url)) == (403, 1102)


def test_a_persons_link(world: World) -> None:
    texts = finished_export(world.acme, [world.web], spec={"kind": "traces", "content": True}, data=DATA)
    dora = principal_again(world.acme.pk, user_id=world.dora.pk, key_id=None)
    url = links.path_of(texts, dora)
    assert body(world.client.get(url)) == DATA
    member = world.member_of(world.dora)
    member.role = "billing"  # who exports, but reads neither traces nor their texts
    member.save()
    assert code(world.client.get(url)) == (404, 1303)
    member.role = "viewer"
    member.save()
    assert code(world.client.get(url)) == (403, 1100)
    member.role = "analyst"
    member.save()
    member.projects.set([world.default])
    assert code(world.client.get(url)) == (404, 1303)
    member.projects.set([world.web])
    assert status(world.client.get(url)) == 200
    User.objects.filter(pk=world.dora.pk).update(is_active=False)
    assert code(world.client.get(url)) == (403, 1102)
    User.objects.filter(pk=world.dora.pk).update(is_active=True)
    Membership.objects.filter(pk=member.pk).delete()
    assert code(world.client.get(url)) == (403, 1102)


def test_a_link_to_texts_needs_the_right_to_read_them(world: World) -> None:
    texts = finished_export(world.acme, [world.default], spec={"kind": "traces", "content": True})
    key, text = world.new_key(role="developer")
    url = link_of(world, texts, text)
    permissions = ["exports:download", "exports:read", "traces:read"]
    ApiKey.objects.filter(pk=key.pk).update(role="", permissions=permissions)
    assert code(world.client.get(url)) == (403, 1100)
    assert (
        world.get(f"{JOBS}/{texts.pk}", key=world.new_key(role="", permissions=permissions)[1]).json()["download_url"]
        is None
    )


def test_changed_links_lead_nowhere(world: World, job: ExportJob) -> None:
    url = link_of(world, job)
    token, name = url.split("/")[-2:]
    other = link_of(world, finished_export(world.zenith, [world.zenith_project]), world.zenith_key).split("/")[-2]
    payload, signature = token.split(".")
    wrong = [
        f"{other.split('.')[0]}.{signature}",
        f"{payload}.{other.split('.')[1]}",
        payload,
        f"{payload}.",
        token[:-1],
        token.swapcase(),
        "x" * 2_000,
        "%00",
        *(f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}" for place in range(len(token))),
    ]
    for text in wrong:
        assert code(world.client.get(f"/api/v1/export/files/{text}/{name}")) == (404, 1303), text
    assert code(world.client.get(f"/api/v1/export/files/{token}/.bashrc")) == (404, 1303)


def test_a_link_ends_with_its_file(world: World, job: ExportJob) -> None:
    url = link_of(world, job)
    token = url.split("/")[-2]
    assert job.expires_at is not None
    assert links.read(token, job.expires_at - timedelta(seconds=2)) is not None
    assert links.read(token, job.expires_at) is None
    # The job made anew has another file: the link was for the first one.
    another = storages["exports"].save("another/costs.csv", io.BytesIO(DATA))
    ExportJob.objects.filter(pk=job.pk).update(file=another)
    assert code(world.client.get(url)) == (404, 1303)
    assert status(world.client.get(link_of(world, job))) == 200


def test_a_signature_of_something_else_is_none(world: World, job: ExportJob) -> None:
    from django.core import signing

    until = int((timezone.now() + timedelta(days=1)).timestamp())
    made: Any
    for made in ([], {}, "x", [1, 2, 3, 4], [job.pk.hex, "", "", until], [job.pk.hex, "", "uX", until], [None] * 4):
        token = links._signer().sign_object(made)
        assert links.read(token, timezone.now()) is None
    foreign = signing.Signer(salt="hub.cursor", sep=".").sign_object([job.pk.hex, "", "u1", until])
    assert links.read(foreign, timezone.now()) is None


# -- how many at once -----------------------------------------------------------------------------------------------


def test_only_so_many_files_are_sent_at_once(world: World, job: ExportJob) -> None:
    from django.conf import settings as django_settings

    most = django_settings.HUB.export_downloads
    busy = [take(world, job) for _ in range(most)]
    refused = take(world, job)
    assert code(refused) == (503, 1902)
    assert int(refused.headers["Retry-After"]) > 0
    assert status(take(world, job, method="HEAD")) == 200
    assert status(take(world, job, **{"If-None-Match": f'"{job.sha256}"'})) == 304
    assert AuditEntry.objects.filter(action="export.download").count() == most
    body(busy.pop())
    again = take(world, job)
    assert again.status_code == 200
    for answer in (again, *busy):
        answer.close()
    assert [sending._slots.acquire(blocking=False) for _ in range(most + 1)] == [True] * most + [False]
    for _ in range(most):
        sending._slots.release()


def test_a_place_is_given_back_whatever_happens(world: World, job: ExportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError

    storages["exports"].delete(job.file)
    for _ in range(10):
        assert status(take(world, job)) == 404
    kept = finished_export(world.acme, [world.default], data=DATA)
    with monkeypatch.context() as patch:
        patch.setattr("apps.exports.api.download._note", refuse)
        for _ in range(10):
            assert take(world, kept).status_code == 500
    assert body(take(world, kept)) == DATA
