"""`fields=`: what is kept of an answer, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from apps.common.errors import ApiError
from apps.common.reads import fields

KNOWN = ("id", "name", "limits.per_minute", "limits.burst", "members.email", "members.role", "labels.*")
ROW = {
    "id": 1,
    "name": "a",
    "limits": {"per_minute": 10, "burst": 12},
    "members": [{"email": "x@y.example", "role": "admin"}, {"email": "z@y.example", "role": "viewer"}],
    "labels": {"team.name": "a", "b": "c"},
}


def chosen(text: str) -> fields.Node | None:
    return fields.requested([text], KNOWN)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("id", {"id": 1}),
        ("name,id", {"id": 1, "name": "a"}),
        ("limits", {"limits": {"per_minute": 10, "burst": 12}}),
        ("limits.burst", {"limits": {"burst": 12}}),
        ("limits.burst,limits", {"limits": {"per_minute": 10, "burst": 12}}),
        ("members.role", {"members": [{"role": "admin"}, {"role": "viewer"}]}),
        ("labels.team.name", {"labels": {"team.name": "a"}}),
        ("labels.absent", {"labels": {}}),
        (" id , name ", {"id": 1, "name": "a"}),
    ],
)
def test_rows_and_single_objects_are_cut_alike(text: str, kept: dict[str, Any]) -> None:
    rest = {"pagination": {"limit": 50}, "meta": {"request_id": "r"}}
    assert fields.keep(chosen(text), {"data": [ROW, ROW], **rest}) == {"data": [kept, kept], **rest}
    assert fields.keep(chosen(text), {"data": ROW, **rest}) == {"data": kept, **rest}
    assert fields.keep(chosen(text), {**ROW, **rest}) == {**kept, **rest}


def test_without_the_parameter_the_answer_is_whole() -> None:
    assert fields.requested(RequestFactory().get("/x"), KNOWN) is None
    assert fields.keep(None, ROW) is ROW


def test_given_twice_it_is_one_list() -> None:
    asked = fields.requested(RequestFactory().get("/x?fields=id&fields=name"), KNOWN)
    assert fields.keep(asked, ROW) == {"id": 1, "name": "a"}


@pytest.mark.parametrize(
    "text", ["nmae", "limits.brust", "id.x", "labels.*", "labels.", "*", "limits.*", "members.email.x"]
)
def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        chosen(text)
    assert caught.value.entry.code == 1202
    assert caught.value.field == "fields"
    assert caught.value.details == {"known": sorted(KNOWN)}


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(ApiError, match=r"Did you mean limits\.burst\?"):
        chosen("limits.brust")


@pytest.mark.parametrize(("text", "code"), [("", 1202), ("id,,name", 1202), (",".join(["id"] * 101), 1205)])
def test_an_empty_name_and_too_many_are_refused(text: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        chosen(text)
    assert caught.value.entry.code == code


def test_null_stays_where_an_object_could_have_been() -> None:
    assert fields.keep(chosen("limits.burst"), {"data": [{"id": 1, "limits": None}]}) == {"data": [{"limits": None}]}


def test_what_stands_beside_data_can_be_named() -> None:
    document = {"data": [{"id": 1, "name": "a"}], "intervals": [1, 2], "meta": {}}
    known = (*KNOWN, "intervals")
    assert fields.keep(fields.requested(["id"], known), document) == {"data": [{"id": 1}], "meta": {}}
    both = fields.keep(fields.requested(["id,intervals"], known), document)
    assert both == {"data": [{"id": 1}], "intervals": [1, 2], "meta": {}}


class _Limits(serializers.Serializer[Any]):
    burst = serializers.IntegerField()


class _Row(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    limits = _Limits()
    history = _Limits(many=True)
    labels = serializers.DictField()
    permissions = serializers.ListField(child=serializers.CharField())


def test_names_come_from_a_serializer() -> None:
    names = ("id", "limits.burst", "history.burst", "labels.*", "permissions")
    assert fields.names_of(_Row) == names
    assert fields.names_of(_Row(many=True)) == names


PATHS = ["id", "name", "limits", "limits.per_minute", "limits.burst", "members", "members.email", "labels"]


def _leaves(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {leaf for name, inner in value.items() for leaf in _leaves(inner, f"{path}.{name}" if path else name)}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in _leaves(inner, path)}
    return {path}


@given(st.lists(st.sampled_from(PATHS), min_size=1))
def test_exactly_the_named_leaves_are_left(paths: list[str]) -> None:
    expected = {leaf for leaf in _leaves(ROW) if any(leaf == p or leaf.startswith(f"{p}.") for p in paths)}
    assert _leaves(fields.keep(chosen(",".join(paths)), ROW)) == expected
