"""`manage.py hub_export traces --organization acme --output FILE`: an export without the queue, by the same code."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from tqdm import tqdm

from apps.common.errors import ApiError
from apps.common.jsontext import dumps
from apps.exports.asking import READERS, spec_of
from apps.exports.failures import ExportFailed
from apps.exports.files import Beside
from apps.exports.produce import Produced, produce
from apps.exports.spec import COMPRESSIONS, CONTENT, FORMATS, KINDS, READS, ExportSpec
from apps.exports.totals import with_numbers
from apps.orgs.access import Principal
from apps.orgs.audit import SYSTEM, record
from apps.orgs.models import Organization, Project

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
TO_PIPE = "-"


class Command(BaseCommand):
    """Write one proven file, or none."""

    help = "Export traces, metrics or costs into a file, with its manifest beside it. Nothing is left of a failed one."
    epilog = "Exit codes: 0 done, 1 failed or not proven, 2 asked for what cannot be, 130 and 143 interrupted."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.epilog = self.epilog
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--project", metavar="SLUG[,SLUG]", help="default: all of the organization")
        parser.add_argument("--start", metavar="TIME", help="ISO 8601; default: seven days before the end")
        parser.add_argument("--end", metavar="TIME", help="ISO 8601, not included; default: now")
        parser.add_argument("--format", choices=FORMATS, help="default: what FILE ends in, else csv")
        parser.add_argument("--compression", choices=COMPRESSIONS, help="default: as FILE ends (.gz, .zst), else none")
        parser.add_argument("--fields", metavar="A,B", help="the columns; default: the kind's own")
        parser.add_argument("--filter", metavar="JSON", help="filters by name, or what `filter` or `filters` takes")
        parser.add_argument("--body", metavar="JSON", default="{}", help="more of what POST /api/v1/export/KIND takes")
        parser.add_argument("--limit", type=int, metavar="ROWS", help="the first so many rows")
        parser.add_argument("--content", action="store_true", help="allow what needs traces:content: texts of spans")
        parser.add_argument("--cut-long-cells", action="store_true", help="xlsx: cut what no cell holds")
        parser.add_argument("--output", required=True, metavar="FILE", help="- for standard output, without a manifest")
        parser.add_argument("--quiet", action="store_true", help="no progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, write, say. `sys.exit` where the end is not a plain success."""
        try:
            spec = self._spec(options)
            if options["output"] == TO_PIPE and sys.stdout.isatty() and spec.format in ("parquet", "xlsx"):
                raise CommandError("A terminal does not show this format; name a file, or pipe it.")
            record_command(spec)
            produced = self._write(spec, options["output"], quiet=options["quiet"])
        except ApiError as error:
            raise CommandError(in_words(error), returncode=USAGE) from None
        except CommandError as error:
            raise CommandError(str(error), returncode=USAGE) from None
        except ExportFailed as error:
            raise CommandError(str(error), returncode=FAILED) from None
        except DatabaseError as error:
            text = f"The database failed ({type(error).__name__}). Does the hub of HUB_DATA_DIR or DATABASE_URL run?"
            raise CommandError(text, returncode=FAILED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
            raise CommandError("Whoever read the output has stopped.", returncode=FAILED) from None
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror or error}", returncode=FAILED) from None
        except (KeyboardInterrupt, Terminated) as error:
            self.stderr.write("Interrupted; nothing is left of the file.")
            sys.exit(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)
        self.stderr.write(f"{produced.rows} rows, {produced.bytes} bytes, sha256 {produced.sha256}")

    def _spec(self, options: Mapping[str, Any]) -> ExportSpec:
        kind = options["kind"]
        if kind not in READERS:
            raise CommandError(f"{kind} cannot be exported.")
        body = named(options["output"]) | json_object(options["body"], "--body")
        given = {
            "format": options["format"],
            "compression": options["compression"],
            "start_time": options["start"],
            "end_time": options["end"],
            "project": options["project"],
            "fields": options["fields"],
            "limit": options["limit"],
            "cut_long_cells": options["cut_long_cells"] or None,
        }
        if options["filter"] is not None:
            given |= filtered(json_value(options["filter"], "--filter"), READERS[kind].keys)
        body |= {name: value for name, value in given.items() if value is not None}
        return spec_of(kind, body, principal_for(options["organization"], options["content"]), datetime.now(UTC))

    def _write(self, spec: ExportSpec, output: str, *, quiet: bool) -> Produced:
        with ends_in_order(), tqdm(unit=" rows", unit_scale=True, disable=quiet, file=sys.stderr) as bar:
            if output == TO_PIPE:
                return make(spec, sys.stdout.buffer, bar)
            with Beside(Path(output)) as beside:
                produced = make(spec, beside.out, bar, scratch=beside.folder)
                beside.keep(dumps(with_numbers(produced.manifest), indented=True).decode() + "\n")
            return produced


class Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Let SIGTERM end the work by an exception, as SIGINT does, so that nothing is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: whoever calls from there is in charge
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def make(spec: ExportSpec, out: BinaryIO, bar: tqdm[Any], scratch: Path | None = None) -> Produced:
    def progress(rows: int, total: int | None) -> None:
        bar.total = total
        bar.update(rows - bar.n)

    return produce(spec, out, job_id=str(uuid.uuid4()), progress=progress, scratch=scratch)


def principal_for(slug: str, content: bool) -> Principal:
    """Whoever runs commands may read everything but, unless said, texts."""
    organization = Organization.objects.filter(slug=slug).first()
    if organization is None:
        raise ApiError(1300, f"There is no organization '{slug}'.", field="organization")
    projects = dict(Project.objects.filter(organization=organization).values_list("slug", "pk"))
    if not projects:
        raise ApiError(1300, f"The organization '{slug}' has no projects.", field="organization")
    permissions = frozenset({*READS.values(), *((CONTENT,) if content else ())})
    return Principal(organization.pk, organization.slug, projects, permissions, SYSTEM.name, all_projects=True)


def record_command(spec: ExportSpec) -> None:
    """That data leaves is in the audit log, before the first byte does."""
    record(
        SYSTEM,
        "export.command",
        organization_id=spec.organization_id,
        object_type="export",
        object_name=f"{spec.kind} as {spec.format}",
        after={
            "kind": spec.kind,
            "format": spec.format,
            "projects": list(spec.project_ids),
            "start_time": spec.start,
            "end_time": spec.end,
            "content": spec.content,
        },
    )


def named(output: str) -> dict[str, str]:
    """The format and the compression that a file's name promises."""
    *_, before, end = ("", *output.lower().split("."))
    packed = {"gz": "gzip", "zst": "zstd"}.get(end)
    format = before if packed else end
    return ({"format": format} if format in FORMATS else {}) | ({"compression": packed} if packed else {})


def json_value(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} is no JSON: {error}") from None


def filtered(value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """A tree or a list of conditions under the name that the kind has for them; else filters by name."""
    if isinstance(value, Mapping) and "operator" not in value:
        return dict(value)
    return {"filter" if "filter" in keys else "filters": value}


def json_object(text: str, option: str) -> dict[str, Any]:
    value = json_value(text, option)
    if not isinstance(value, dict):
        raise CommandError(f"{option} must be a JSON object.")
    return value


def in_words(error: ApiError) -> str:
    """As the catalogue names it; several wrong fields each on a line."""
    lines = [f"{error.entry.code} {error.entry.name}: {error.message}"]
    if isinstance(error.details, list):
        lines += [f"  {one.get('field')}: {one.get('message')}" for one in error.details if isinstance(one, Mapping)]
    lacks = error.details.get("required_permission") if isinstance(error.details, Mapping) else None
    if lacks == CONTENT:
        lines.append("Give --content to export or to filter by texts.")
    return "\n".join(lines)
