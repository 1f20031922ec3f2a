"""The span tables for reading through the ORM. Frozen SQL makes them, the writer fills them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

_PK = ("trace_id", "span_id", "start_time", "project_id")


class Span(models.Model):
    """One operation of an LLM application: numbers and dimensions. Money in picodollars, times in microseconds."""

    pk = models.CompositePrimaryKey(*_PK)
    project_id = models.IntegerField()
    trace_id = models.TextField()
    span_id = models.TextField()
    start_time = models.DateTimeField()
    duration_us = models.BigIntegerField()
    parent_span_id = models.TextField(null=True)
    name = models.TextField()
    kind = models.TextField()
    billable = models.BooleanField()
    status = models.TextField()
    provider = models.TextField(null=True)
    model = models.TextField(null=True)
    request_model = models.TextField(null=True)
    environment = models.TextField(null=True)
    team = models.TextField(null=True)
    user_id = models.TextField(null=True)
    session_id = models.TextField(null=True)
    error_type = models.TextField(null=True)
    error_message = models.TextField(null=True)
    ttft_us = models.BigIntegerField(null=True)
    prompt_tokens = models.BigIntegerField(null=True)
    completion_tokens = models.BigIntegerField(null=True)
    total_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    prompt_cost = models.BigIntegerField(null=True)
    completion_cost = models.BigIntegerField(null=True)
    total_cost = models.BigIntegerField(null=True)
    client_cost = models.BigIntegerField(null=True)
    computed_cost = models.BigIntegerField(null=True)
    cost_source = models.TextField()
    unpriced_reason = models.TextField(null=True)
    price_version_id = models.TextField(null=True)
    usage = models.JSONField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    labels = models.JSONField(null=True)
    flags = models.IntegerField()
    attribute_count = models.IntegerField()
    content_hash = models.BigIntegerField()
    ingested_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "span"


class SpanContent(models.Model):
    """Input, output and unmapped attributes of a span; kept for a shorter time than its numbers."""

    pk = models.CompositePrimaryKey(*_PK)
    project_id = models.IntegerField()
    trace_id = models.TextField()
    span_id = models.TextField()
    start_time = models.DateTimeField()
    input = models.TextField(null=True)
    output = models.TextField(null=True)
    attributes = models.JSONField(null=True)
    events = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "span_content"


class SpanMark(models.Model):
    """Minutes [lo, hi) of a project in which spans changed since the rollups were last refreshed."""

    id = models.BigAutoField(primary_key=True)
    project_id = models.IntegerField()
    lo = models.DateTimeField()
    hi = models.DateTimeField()
    created_at = models.DateTimeField()
    inherited = models.BooleanField(default=True)

    class Meta:
        managed = False
        db_table = "span_mark"


class Trace(models.Model):
    """The sums of a trace's billable spans and what its root says; a rollup, refreshed from raw spans."""

    pk = models.CompositePrimaryKey("project_id", "trace_id")
    project_id = models.IntegerField()
    trace_id = models.TextField()
    first_start = models.DateTimeField()
    last_start = models.DateTimeField()
    end_time = models.DateTimeField()
    root_span_id = models.TextField(null=True)
    root_name = models.TextField(null=True)
    root_status = models.TextField(null=True)
    user_id = models.TextField(null=True)
    session_id = models.TextField(null=True)
    environment = models.TextField(null=True)
    team = models.TextField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    span_count = models.IntegerField()
    request_count = models.IntegerField()
    error_count = models.IntegerField()
    duration_us = models.BigIntegerField()
    prompt_tokens = models.BigIntegerField(null=True)
    completion_tokens = models.BigIntegerField(null=True)
    total_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    total_cost = models.DecimalField(max_digits=40, decimal_places=0, null=True)
    prompt_cost = models.DecimalField(max_digits=40, decimal_places=0, null=True)
    completion_cost = models.DecimalField(max_digits=40, decimal_places=0, null=True)
    providers = ArrayField(models.TextField())
    kinds = ArrayField(models.TextField())
    models = ArrayField(models.TextField())  # last: from here on the name hides the module

    class Meta:
        managed = False
        db_table = "trace"
