"""What a Prometheus scrape is told: the counts of all processes, and figures that are asked for at this moment.

Such a figure is read once, by the process that answers the scrape, beside the others and under a time limit. One whose
source does not answer is left out: an alert on its absence says more than a zero or a failed scrape would.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connections
from django.http import HttpRequest
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector

from analytics_hub.launch.process import exists

LIMIT_SECONDS = 1.0
Read = Callable[[], float | Mapping[tuple[str, ...], float] | None]


@dataclass(slots=True)
class Figure:
    """A gauge that is read when it is asked for.

    Args:
        read: its value, values by label values, or None where there is nothing to tell.
    """

    name: str
    text: str
    read: Read
    labels: tuple[str, ...] = ()
    busy: threading.Lock = field(default_factory=threading.Lock)


_figures: dict[str, Figure] = {}


def register(name: str, text: str, read: Read, labels: tuple[str, ...] = ()) -> None:
    """Add a figure, or replace the one of that name. Called from `AppConfig.ready`."""
    _figures[name] = Figure(name, text, read, labels)


def exposition(request: HttpRequest) -> bytes:
    """The answer to a scrape."""
    forget_dead_processes()
    readings = CollectorRegistry()
    readings.register(_Readings(_read_all()))
    counted: bytes = ExportToDjangoView(request).content
    return _without_idle_buckets(counted) + generate_latest(readings)


class _Readings(Collector):
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> list[GaugeMetricFamily]:
        return self._families


def _without_idle_buckets(text: bytes) -> bytes:
    """Buckets that nobody has used lately stand at infinity."""
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if not (line.startswith(b"rate_limit_remaining{") and b" +Inf" in line))


def _read_all() -> list[GaugeMetricFamily]:
    found: dict[str, GaugeMetricFamily] = {}
    threads: list[threading.Thread] = []
    for figure in _figures.values():
        if figure.busy.acquire(blocking=False):  # else an earlier scrape still waits for it
            threads.append(threading.Thread(target=_read, args=(figure, found), daemon=True))
            threads[-1].start()
    deadline = time.monotonic() + LIMIT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(found.copy().values())


def _read(figure: Figure, found: dict[str, GaugeMetricFamily]) -> None:
    try:
        value = figure.read()
    except Exception:  # noqa: BLE001  # the outermost loop of a thread: what cannot be read is left out
        return
    finally:
        connections.close_all()
        figure.busy.release()
    if value is None:
        return
    family = GaugeMetricFamily(figure.name, figure.text, labels=figure.labels)
    values = value if isinstance(value, Mapping) else {(): value}
    for labels, one in values.items():
        family.add_metric(labels, one)
    found[figure.name] = family


def forget_dead_processes() -> None:
    """Leave out the gauges of processes that are gone; what they have counted stays."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    for pid in {path.stem.rpartition("_")[2] for path in Path(folder).glob("gauge_live*_*.db")}:
        if pid.isdigit() and not exists(int(pid)):
            mark_process_dead(int(pid), folder)  # type: ignore[no-untyped-call]
