"""A writer's memory does not grow with the rows: a process that writes four times as many needs no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apps.exports.spec import FORMATS

ROOT = Path(__file__).resolve().parents[2]
# Grows by what is kept of 60 MB more, were anything kept.
ALLOWED_BYTES = 20_000_000
WRITE = """
import os, sys
from pathlib import Path
from apps.exports.formats import writer_for
from apps.exports.spec import Column
from bench.processes import peak_rss_bytes

format, batches, scratch = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
columns = [Column("n", "integer"), Column("text", "text"), Column("tags", "texts")]
with (scratch / "file").open("wb") as out:
    writer = writer_for(format, "none", columns, out, scratch=scratch)
    for batch in range(batches):
        writer.write([(n, f"{n:08d}" * 100, [f"tag {n}", "b"]) for n in range(batch * 1000, batch * 1000 + 1000)])
    writer.close()
print(peak_rss_bytes(os.getpid()))
"""


def peak(format: str, batches: int, folder: Path) -> int:
    command = [sys.executable, "-c", WRITE, format, str(batches), str(folder)]
    return int(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_rows(format: str, tmp_path: Path) -> None:
    # Parquet holds a row group; the smaller file has some already.
    few, many = peak(format, 25, tmp_path), peak(format, 100, tmp_path)
    assert few > 10_000_000
    assert many - few < ALLOWED_BYTES, (few, many)
