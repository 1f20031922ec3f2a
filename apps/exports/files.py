"""A file that appears under its name when it is whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO


class Beside:
    """A folder of its own beside the file to be, in which everything lies until it is kept.

    Used as a context manager: what is not kept is gone at its end, and a file that was there before is untouched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.manifest = path.with_name(f"{path.name}.manifest.json")

    def __enter__(self) -> Beside:
        if self._path.is_dir():
            raise IsADirectoryError(21, "is a folder")
        # Beside it, so that the renaming at the end is one step on one file system.
        self.folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", suffix=".part", dir=self._path.parent))
        self.out: BinaryIO = (self.folder / "file").open("wb")
        return self

    def keep(self, manifest: str) -> None:
        """Give the file its name, and its manifest one beside it. A manifest never stands beside another's file."""
        self.out.flush()
        os.fsync(self.out.fileno())
        described = self.folder / "manifest"
        described.write_text(manifest, encoding="utf-8")
        self.manifest.unlink(missing_ok=True)
        (self.folder / "file").replace(self._path)
        described.replace(self.manifest)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.out.close()
        shutil.rmtree(self.folder, ignore_errors=True)
