"""The doors: what is accepted, what each refusal says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.common.errors import ApiError
from apps.metrics.buckets import INTERVALS
from apps.metrics.parse import question_from_body, series_from_query, summary_from_query
from apps.metrics.spec import Filter, QuerySpec, Sort
from apps.orgs.scopes import Scope

NOW = datetime(2026, 11, 5, 12, 30, 15, tzinfo=UTC)
SCOPE = Scope(1, {"default": 7, "other": 8})


def series(**params: str) -> QuerySpec:
    return series_from_query({"metrics": "request_count", **params}, SCOPE, NOW)


def question(**body: Any) -> QuerySpec:
    return question_from_body({"metrics": [{"metric": "total_cost"}], **body}, SCOPE, NOW)


def test_defaults_are_the_contracts() -> None:
    spec = series()
    assert spec.end == datetime(2026, 11, 5, 12, 31, tzinfo=UTC)
    assert spec.end - spec.start == timedelta(days=7)
    assert (spec.interval, spec.fill, spec.limit, spec.tz) == ("1hour", "none", None, "UTC")
    assert spec.project_ids == (7, 8)
    assert question().interval is None
    assert question().metrics[0].alias == "sum_total_cost"
    summary, compare = summary_from_query({}, SCOPE, NOW)
    assert (summary.end - summary.start, compare) == (timedelta(hours=24), True)


def test_each_metric_has_its_natural_aggregation() -> None:
    names = "request_count,total_cost,total_tokens,duration,ttft,error_rate,unique_users"
    chosen = {ref.metric: ref.aggregation for ref in series(metrics=names).metrics}
    assert chosen == {
        "request_count": "sum",
        "total_cost": "sum",
        "total_tokens": "sum",
        "duration": "avg",
        "ttft": "avg",
        "error_rate": "avg",
        "unique_users": "count",
    }


def test_percentiles_are_added_under_the_metrics_name() -> None:
    aliases = [ref.alias for ref in series(metrics="duration,total_cost", include_percentiles="true").metrics]
    assert aliases == ["duration", "total_cost", "duration_p50", "duration_p90", "duration_p95", "duration_p99"]


def test_granularity_is_another_name_for_interval() -> None:
    assert series(granularity="1day").interval == "1day"
    assert series(granularity="1day", interval="1day").interval == "1day"
    with pytest.raises(ApiError, match="differ"):
        series(granularity="1day", interval="1hour")


def test_lists_of_values_become_in_filters() -> None:
    assert series(model="a,b", user_id="ann").filters == (
        Filter("model", "in", ("a", "b")),
        Filter("user_id", "in", ("ann",)),
    )
    spec = question(filters=[{"field": "model", "operator": "ne", "value": None}, {"field": "kind", "value": "llm"}])
    assert spec.filters == (Filter("model", "ne", (None,)), Filter("kind", "eq", ("llm",)))
    assert question(filters={"model": ["a", None]}).filters == (Filter("model", "in", ("a", None)),)


def test_a_filter_on_the_project_narrows_the_scope() -> None:
    spec = question(filters=[{"field": "project", "operator": "ne", "value": "default"}])
    assert (spec.project_ids, spec.filters) == ((8,), ())


def test_a_lost_plus_in_a_query_string_is_understood() -> None:
    spec = series(start_time="2026-11-04T01:00:00 01:00", end_time="2026-11-05T00:00:00Z")
    assert spec.start == datetime(2026, 11, 4, tzinfo=UTC)


def test_orders_and_comparisons() -> None:
    assert question(sort_by="-sum_total_cost").sort == (Sort("sum_total_cost", True),)
    assert question(sort_by="sum_total_cost", sort_order="desc").sort == (Sort("sum_total_cost", True),)
    assert question(sort_by=[{"field": "sum_total_cost", "order": "desc"}]).sort == (Sort("sum_total_cost", True),)
    assert question(compare_to="7d").compare_to == timedelta(days=7)
    spec = question(compare_to="previous_period", sort_by="sum_total_cost_change_pct")
    assert spec.compare_to == timedelta(days=7)
    assert spec.shifted().end == spec.start


def test_groups_may_be_a_comma_list() -> None:
    assert question(group_by="model,provider").group_by == ("model", "provider")
    assert question(group_by=None).group_by == ()


@pytest.mark.parametrize("name", ["previous_x", "x_change_pct"])
def test_columns_of_a_comparison_keep_their_names(name: str) -> None:
    metrics = [{"metric": "request_count", "alias": "x"}, {"metric": "error_count", "alias": name}]
    assert len(question(metrics=metrics).metrics) == 2
    with pytest.raises(ApiError, match=f"Two columns of the answer would be named {name}"):
        question(metrics=metrics, compare_to="7d")


@pytest.mark.parametrize("edge", ["1970-01-01T00:00:00Z", "2999-12-30T00:00:00Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Adak"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_the_ends_of_the_calendar_have_buckets_and_an_earlier_range(edge: str, zone: str, interval: str) -> None:
    end = (datetime.fromisoformat(edge) + timedelta(days=1)).isoformat()
    spec = question(start_time=edge, end_time=end, interval=interval, timezone=zone, compare_to="1098d")
    for asked in (spec, spec.shifted()):
        assert asked.buckets is not None
        assert asked.buckets.edges[0] <= asked.start < asked.end <= asked.buckets.edges[-1]


REFUSED_SERIES: list[tuple[dict[str, str], int, str, str]] = [
    ({"metrics": ""}, 1201, "metrics", "at least one"),
    ({"metrics": "request_cuont"}, 1202, "metrics", "request_count"),
    ({"aggregation": "p95"}, 1202, "aggregation", "means nothing for request_count"),
    ({"aggregation": "median"}, 1202, "aggregation", "Unknown aggregation"),
    ({"interval": "1hours"}, 1202, "interval", "1hour"),
    ({"group_by": "modle"}, 1202, "group_by", "model"),
    ({"group_by": "provider,model,environment,status,kind,name"}, 1205, "group_by", "At most 5"),
    ({"start_time": "yesterday"}, 1203, "start_time", "ISO 8601"),
    ({"start_time": "2026-11-05T00:00:00"}, 1203, "start_time", "zone"),
    ({"start_time": "0001-01-01T00:00:00+14:00"}, 1203, "start_time", "ISO 8601"),
    ({"start_time": "0001-01-01T00:00:00Z"}, 1204, "start_time", "1970 to 2999"),
    ({"start_time": "1969-12-31T23:59:59Z"}, 1204, "start_time", "1970 to 2999"),
    ({"end_time": "9999-12-31T23:59:59Z"}, 1204, "end_time", "1970 to 2999"),
    ({"start_time": "2026-11-06T00:00:00Z"}, 1204, "start_time", "before end_time"),
    ({"start_time": "2020-11-06T00:00:00Z", "interval": "1day"}, 1204, "start_time", "3 years"),
    ({"start_time": "2026-10-25T00:00:00Z", "interval": "1min"}, 1204, "interval", "interval 5min would fit"),
    ({"start_time": "2026-09-25T00:00:00Z", "interval": "5min"}, 1204, "interval", "interval 15min would fit"),
    ({"start_time": "2025-09-25T00:00:00Z"}, 1204, "interval", "interval 1day would fit"),
    ({"limit": "0"}, 1202, "limit", "at least 1"),
    ({"limit": "10001"}, 1205, "limit", "10000"),
    ({"limit": "ten"}, 1203, "limit", "whole number"),
    ({"fill": "linear"}, 1202, "fill", "Unknown fill"),
    ({"timezone": "Mars/Olympus"}, 1202, "timezone", "IANA"),
    ({"timezone": "../../etc/passwd"}, 1202, "timezone", "IANA"),
    ({"compare_to": "last week"}, 1203, "compare_to", "previous_period"),
    ({"include_percentiles": "perhaps"}, 1203, "include_percentiles", "true or false"),
    ({"model": ","}, 1202, "model", "empty"),
    ({"sort_by": "total_cost"}, 1202, "sort_by", "Unknown sort_by"),
    ({"metrics": ",".join(["duration"] * 3)}, 0, "", ""),
]


@pytest.mark.parametrize(("params", "code", "field", "words"), REFUSED_SERIES)
def test_refusals_of_the_query_string(params: dict[str, str], code: int, field: str, words: str) -> None:
    if not code:
        assert len(series(**params).metrics) == 1
        return
    with pytest.raises(ApiError) as caught:
        series(**params)
    assert (caught.value.entry.code, caught.value.field) == (code, field)
    assert words in caught.value.message


REFUSED_BODY: list[tuple[dict[str, Any], int, str]] = [
    ({"metrics": None}, 1201, "metrics"),
    ({"metrics": "total_cost"}, 1203, "metrics"),
    ({"metrics": [{"aggregation": "sum"}]}, 1201, "metrics[0].metric"),
    ({"metrics": [{"metric": 5}]}, 1203, "metrics[0]"),
    ({"metrics": [{"metric": "total_cost", "as": "x"}]}, 1202, "metrics[0].as"),
    ({"metrics": [{"metric": "total_cost", "alias": 'x"; DROP TABLE span'}]}, 1203, "metrics[0].alias"),
    ({"metrics": [{"metric": "total_cost"}, {"metric": "total_cost"}]}, 1202, "metrics"),
    ({"metrics": [{"metric": "total_cost", "alias": "model"}], "group_by": ["model"]}, 1202, "metrics"),
    ({"metrics": [{"metric": "total_cost", "alias": "timestamp"}]}, 1202, "metrics"),
    ({"metrics": ["request_count", {"metric": "total_cost", "aggregation": "p95"}]}, 1202, "metrics[1].aggregation"),
    ({"metrics": [{"metric": "total_cost"}] * 21}, 1205, "metrics"),
    ({"metric": []}, 1202, "metric"),
    ({"filters": "model=a"}, 1203, "filters"),
    ({"filters": [{"field": "model", "operator": "like", "value": "a"}]}, 1202, "filters[0].operator"),
    ({"filters": [{"field": "price", "value": "a"}]}, 1202, "filters[0].field"),
    ({"filters": [{"field": "model", "operator": "in", "value": "a"}]}, 1203, "filters[0].value"),
    ({"filters": [{"field": "model", "value": 5}]}, 1203, "filters[0].value"),
    ({"filters": [{"field": "model", "value": "a\x00b"}]}, 1203, "filters[0].value"),
    ({"filters": [{"field": "model", "operator": "in", "value": []}]}, 1205, "filters[0].value"),
    ({"filters": [{"field": "model", "operator": "eq"}]}, 1201, "filters[0].value"),
    ({"filters": [{"field": "model", "value": "a", "values": ["b"]}]}, 1201, "filters[0].value"),
    ({"filters": [{"field": "project", "value": "theirs"}]}, 1300, "project"),
    ({"filters": [{"field": "project", "value": None}]}, 1202, "project"),
    ({"having": [{"metric": "total_cost", "operator": "gt", "value": 1}]}, 1202, "having[0].metric"),
    ({"having": [{"metric": "sum_total_cost", "operator": "gt", "value": "much"}]}, 1203, "having[0].value"),
    ({"having": [{"metric": "sum_total_cost", "operator": "gt", "value": 1e999}]}, 1203, "having[0].value"),
    ({"limit": 1.5}, 1203, "limit"),
    ({"limit": True}, 1203, "limit"),
    ({"group_by": [["model"]]}, 1203, "group_by"),
    ({"group_by": [None]}, 1203, "group_by"),
    ({"group_by": False}, 1203, "group_by"),
    ({"group_by": {}}, 1203, "group_by"),
    ({"group_by": "model,modle"}, 1202, "group_by"),
    ({"timezone": 5}, 1202, "timezone"),
    ({"timezone": "x\x00"}, 1202, "timezone"),
    ({"start_time": 5}, 1203, "start_time"),
    ({"sort_by": 5}, 1203, "sort_by"),
    ({"compare_to": "99999w"}, 1205, "compare_to"),
]


@pytest.mark.parametrize(("body", "code", "field"), REFUSED_BODY)
def test_refusals_of_the_body(body: dict[str, Any], code: int, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        question(**body)
    assert (caught.value.entry.code, caught.value.field) == (code, field)


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_that_is_no_object(body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        question_from_body(body, SCOPE, NOW)
    assert caught.value.entry.code == 1200


def test_several_bad_fields_are_all_listed() -> None:
    with pytest.raises(ApiError) as caught:
        series(interval="2hour", limit="x", fill="linear")
    assert [problem["field"] for problem in caught.value.details] == ["interval", "limit", "fill"]
