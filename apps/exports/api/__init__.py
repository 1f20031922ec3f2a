"""Exports: their routes."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.exports.api import download, jobs, schedules

_JOB = "api/v1/export/jobs/<str:job_id>"

urlpatterns: list[URLPattern] = [
    path("api/v1/export/traces", jobs.TracesView.as_view(), name="export-traces"),
    path("api/v1/export/metrics", jobs.MetricsView.as_view(), name="export-metrics"),
    path("api/v1/export/costs", jobs.CostsView.as_view(), name="export-costs"),
    path("api/v1/export/jobs", jobs.JobsView.as_view(), name="export-jobs"),
    path(_JOB, jobs.JobView.as_view(), name="export-job"),
    path(f"{_JOB}/manifest", jobs.ManifestView.as_view(), name="export-manifest"),
    path(f"{_JOB}/download", download.DownloadView.as_view(), name="export-download"),
    path("api/v1/export/files/<str:token>/<str:file_name>", download.FileView.as_view(), name="export-file"),
    *schedules.urlpatterns,
]
