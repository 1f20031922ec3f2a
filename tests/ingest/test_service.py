"""The one door: prices, redaction, the content switch, dead letters, replays."""

from __future__ import annotations

import random
import time
from typing import Any

import orjson
import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError

from apps.ingest import dead_letters, otlp_json, service
from apps.ingest.dead_letters import decode_payload, encode_payload
from apps.ingest.models import DeadLetter
from apps.ingest.redrive import redrive
from apps.ingest.service import ingest
from apps.orgs.projects import IngestProject, ingest_project
from apps.traces.columns import Flag
from apps.traces.writer import write
from tests.ingest.build import json_request, json_span, raw_span, rules
from tests.ingest.world import Sender, stored

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.output_tokens": 100,
}


def send(project: IngestProject, attributes: dict[str, Any], **fields: Any) -> Any:
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 10**9)}
    return ingest(project, otlp_json.spans_of(json_request([json_span(attributes, **{**times, **fields})])))


def project_of(acme: Sender, **settings: Any) -> IngestProject:
    acme.change(**settings)
    return ingest_project(acme.project.pk)


def test_a_call_is_priced(acme: Sender) -> None:
    send(project_of(acme), CALL)
    [row] = stored()
    assert row["cost_source"] == "computed"
    assert row["total_cost"] == row["computed_cost"] == row["prompt_cost"] + row["completion_cost"]
    assert row["prompt_cost"] == 1_000 * 2_500_000
    assert row["completion_cost"] == 100 * 10_000_000
    assert row["price_version_id"]
    assert row["client_cost"] is None


def test_the_clients_cost_wins_and_both_are_kept(acme: Sender) -> None:
    send(project_of(acme), {**CALL, "gen_ai.usage.cost": 0.5})
    [row] = stored()
    assert (row["cost_source"], row["total_cost"], row["client_cost"]) == ("client", 5 * 10**11, 5 * 10**11)
    assert row["computed_cost"] == 1_000 * 2_500_000 + 100 * 10_000_000
    assert (row["prompt_cost"], row["completion_cost"]) == (None, None)


def test_unpriced_is_null_with_a_reason(acme: Sender) -> None:
    receipt = send(project_of(acme), {**CALL, "gen_ai.request.model": "unheard-of"})
    [row] = stored()
    assert (row["total_cost"], row["cost_source"]) == (None, "none")
    assert row["unpriced_reason"]
    assert receipt.warnings == [f"1 span stored, but no price for model unheard-of ({row['unpriced_reason']})"]


def test_roll_ups_are_not_priced(acme: Sender) -> None:
    send(project_of(acme), {**CALL, "gen_ai.operation.name": "invoke_agent"})
    [row] = stored()
    assert (row["billable"], row["computed_cost"], row["prompt_tokens"]) == (False, None, 1_000)


SECRETS = {
    "input.value": '[{"content":"mail ada@example.com\\nor +1 415 555 0100"}]',
    "output.value": "card 4111 1111 1111 1111, key sk-abcdefghijklmnop1234",
    "note": ["4111-1111-1111-1111", {"bob@example.org": "x"}],
}
FOUND = ("ada@example.com", "415 555", "1111", "sk-abc", "bob@example.org")


def test_redaction_happens_before_anything_is_written(acme: Sender) -> None:
    project = project_of(acme, redact_patterns=["email", "phone", "card", "key"], redact_custom=["gpt-4[a-z]"])
    send(
        project,
        {**CALL, **SECRETS, "error.type": "E"},
        status={"code": 2, "message": "failed for ada@example.com"},
        events=[],
    )
    [row], [content] = stored(), stored("span_content")
    text = str(content) + str(row)
    assert not [secret for secret in FOUND if secret in text]
    assert orjson.loads(content["input"]) == [{"content": "mail [email]\nor [phone]"}]
    assert content["output"] == "card [card], key [key]"
    assert row["error_message"] == "failed for [email]"
    assert row["flags"] & Flag.REDACTED
    assert row["model"] == "gpt-4o"  # the patterns are for content; numbers and dimensions stay
    assert content["attributes"]["span"]["note"] == ["[card]", {"[email]": "x"}]


def test_redaction_off_leaves_content_alone(acme: Sender) -> None:
    send(project_of(acme), {**CALL, **SECRETS})
    [row], [content] = stored(), stored("span_content")
    assert content["input"] == SECRETS["input.value"]
    assert not row["flags"] & Flag.REDACTED


def test_content_off_stores_numbers_only(acme: Sender) -> None:
    send(project_of(acme, store_content=False), {**CALL, **SECRETS}, status={"code": 2, "message": "ada@example.com"})
    [row] = stored()
    assert stored("span_content") == []
    assert row["error_message"] is None
    assert row["prompt_tokens"] == 1_000
    assert row["flags"] & Flag.CONTENT_OFF


def test_replays_and_any_order_give_the_same_rows(acme: Sender) -> None:
    now = time.time_ns()
    project = project_of(acme)
    versions = [
        json_span(
            {**CALL, "version": version, **({"more": 1} if version == 2 else {})},
            spanId=f"{span:016x}",
            startTimeUnixNano=str(now),
            endTimeUnixNano=str(now + duration),
        )
        for span in (1, 2)
        for version, duration in ((0, 10**9), (1, 2 * 10**9), (2, 2 * 10**9), (3, 2 * 10**9))
    ]
    raws = [otlp_json.spans_of(json_request([version])) for version in versions]
    results = []
    for seed in range(4):
        shuffled = random.Random(seed).sample(raws, len(raws)) + raws
        for part in shuffled:
            ingest(project, part)
        found = [{k: v for k, v in row.items() if k != "ingested_at"} for row in stored()]
        results.append((found, stored("span_content")))
        from tests.support.spans import clear_spans

        clear_spans()
    assert len(results[0][0]) == 2
    assert all(result == results[0] for result in results)
    assert [row["attribute_count"] for row in results[0][0]] == [7, 7]


def test_a_dead_letter_is_driven_again_once_it_can_be_stored(acme: Sender) -> None:
    old = time.time_ns() - 100 * 86_400 * 10**9
    project = project_of(acme, raw_retention_days=90)
    receipt = send(project, {**CALL, "k": "v"}, startTimeUnixNano=str(old), endTimeUnixNano=str(old + 10**9))
    assert (receipt.accepted, [r.reason for r in receipt.rejected]) == (0, ["older_than_retention"])
    letter = DeadLetter.objects.get()
    assert (letter.source, letter.truncated) == ("otlp", False)
    assert redrive() == (0, {letter.pk: "older_than_retention"})
    assert DeadLetter.objects.count() == 1
    project_of(acme, raw_retention_days=365)
    assert redrive([letter.pk]) == (1, {})
    [row] = stored()
    assert (row["prompt_tokens"], row["duration_us"]) == (1_000, 1_000_000)
    assert redrive() == (0, {})


def test_dead_letters_survive_a_round_trip() -> None:
    raw = raw_span({"a": [1, {"b": None}], "n": "x\x00"}, resource={"r": 1}, scope="s", status_message="m")
    payload, cut = encode_payload(raw, rules())
    again = decode_payload(payload)
    assert not cut
    assert (again.trace_id, again.attributes["a"], again.origin.resource) == (
        raw.trace_id,
        raw.attributes["a"],
        {"r": 1},
    )
    assert encode_payload(again, rules()) == (payload, cut)


def test_dead_letters_are_redacted_cut_and_bounded(acme: Sender) -> None:
    project = project_of(acme, redact_patterns=["email"])
    raws = otlp_json.spans_of(json_request([json_span({"t": "ada@example.com " * 9_000}, traceId="x")] * 1_200))
    receipt = ingest(project, raws)
    assert len(receipt.rejected) == 1_200
    assert DeadLetter.objects.count() == dead_letters.MAX_PER_BATCH
    letter = DeadLetter.objects.first()
    assert letter is not None
    assert letter.truncated
    assert len(letter.payload.encode()) <= dead_letters.MAX_PAYLOAD
    assert "ada@" not in letter.payload


def test_dead_letters_hold_no_content_where_content_is_off(acme: Sender) -> None:
    send(project_of(acme, store_content=False), {**CALL, "input.value": "private"}, traceId="x", name="n")
    letter = DeadLetter.objects.get()
    assert "private" not in letter.payload
    assert "gpt-4o" in letter.payload


def test_refused_spans_are_counted_even_if_their_letters_cannot_be_kept(
    acme: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("no")

    monkeypatch.setattr(DeadLetter.objects, "bulk_create", fail)
    receipt = send(project_of(acme), CALL, traceId="x")
    assert (receipt.accepted, len(receipt.rejected)) == (0, 1)


def test_dead_letters_expire(acme: Sender) -> None:
    send(project_of(acme), CALL, traceId="x")
    assert dead_letters.expire(retention_days=1) == 0
    assert dead_letters.expire(retention_days=0) == 1


def test_a_row_that_the_database_refuses_does_not_keep_its_batch_out(
    acme: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(rows: Any) -> Any:
        if any(row.name == "poison" for row in rows):
            raise psycopg.DataError("invalid")
        return write(rows)

    monkeypatch.setattr(service, "write", picky)
    now = time.time_ns()
    spans = [
        json_span(
            CALL, spanId=f"{n:016x}", name="poison" if n == 5 else "n", startTimeUnixNano=now, endTimeUnixNano=now
        )
        for n in range(1, 12)
    ]
    receipt = ingest(project_of(acme), otlp_json.spans_of(json_request(spans)))
    assert (receipt.accepted, [(r.index, r.reason) for r in receipt.rejected]) == (10, [(4, "unstorable")])
    assert len(stored()) == 10
    assert DeadLetter.objects.get().reason == "unstorable"


@pytest.mark.parametrize("wanted", [True, False])
def test_tokens_are_estimated_only_where_wanted(acme: Sender, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setattr(settings, "HUB", settings.HUB.model_copy(update={"estimate_tokens": wanted}))
    call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "input.value": "x" * 10,
        "output.value": "y",
    }
    send(project_of(acme), call)
    [row] = stored()
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (
        (3, 1, 4) if wanted else (None,) * 3
    )
    assert bool(row["flags"] & Flag.TOKENS_ESTIMATED) == wanted
    assert (row["total_cost"] is not None) == wanted
