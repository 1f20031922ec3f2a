"""Where finished files lie: a local folder, or a bucket of S3 or of what speaks like it (STORAGES["exports"]).

Every call is tried again by the hub's policy and goes through a circuit breaker. What stays away is `StorageDown`, and
what has no room left `NoRoom`: whoever calls need not know which storage it is.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from apps.common.resilience import Breaker, Down, patiently

logger = logging.getLogger(__name__)

ALIAS: Final = "exports"
CHUNK: Final = 256 * 1024
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What S3 says of a bucket that takes no more; everything else it refuses is as good as away.
_S3_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "EntityTooLarge"})
_S3_GONE = frozenset({"404", "NoSuchKey", "NotFound"})

T = TypeVar("T")


class StorageDown(Exception):
    """The storage does not answer, or refuses."""


class NoRoom(Exception):
    """The storage has no room left."""


class _Moved(File):  # type: ignore[type-arg]
    """A finished file on disk. A local storage takes it over by renaming it, where it lies on the same disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)

    @property
    def size(self) -> int:
        return self._path.stat().st_size


def the_storage() -> Storage:
    return storages[ALIAS]


def _s3_errors() -> tuple[type[Exception], ...]:
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:  # the extra is not installed
        return ()
    return (Boto3Error, BotoCoreError, ClientError)


_BROKEN: tuple[type[Exception], ...] = (OSError, StorageDown, *_s3_errors())


def _code(error: BaseException) -> str:
    """S3's word for what went wrong."""
    answer = getattr(error, "response", None)
    found = answer.get("Error", {}).get("Code", "") if isinstance(answer, dict) else ""
    return str(found)


def _full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in FULL or _code(error) in _S3_FULL


def _missing(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError) or _code(error) in _S3_GONE


def _away(error: Exception) -> bool:
    return isinstance(error, _BROKEN) and not _full(error) and not _missing(error)


_breaker = Breaker("the storage of exports", _away)


def _call(function: Callable[[], T]) -> T:
    """
    Raises:
        StorageDown, NoRoom, FileNotFoundError: what is the matter, whichever storage it is.
    """
    try:
        return patiently(lambda: _breaker.run(function), _away)
    except Down as error:
        raise StorageDown(str(error)) from error
    except _BROKEN as error:
        if _full(error):
            raise NoRoom("the storage has no room left") from error
        if _missing(error):
            raise FileNotFoundError("the storage has no such file") from error
        logger.warning("the storage of exports failed: %s", error)
        raise StorageDown(type(error).__name__) from error


def keep(name: str, path: Path) -> None:
    """Store a finished file under this name. A local storage takes the file away from its path.

    Raises:
        StorageDown, NoRoom: it may be stored in part; `remove` it.
    """
    size = path.stat().st_size

    def save() -> None:
        if not path.exists():
            return  # an earlier try moved it before it failed
        storage = the_storage()
        storage.delete(name)
        with _Moved(path) as content:
            saved = storage.save(name, content)
        if saved != name:
            storage.delete(saved)
            raise StorageDown(f"it was stored as {saved}")

    _call(save)
    found = stored_size(name)
    if found != size:
        raise StorageDown(f"{found} bytes of {size} were stored")


def remove(name: str) -> None:
    """Remove a file; one that is not there is fine.

    Raises:
        StorageDown: it may be there still.
    """
    _call(lambda: the_storage().delete(name))


def stored_size(name: str) -> int:
    """
    Raises:
        FileNotFoundError: there is none of that name.
        StorageDown: nobody knows.
    """
    return _call(lambda: the_storage().size(name))


def chunks(name: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """A stored file, or the part of it that begins at `start`, a piece at a time.

    Raises:
        FileNotFoundError, StorageDown: before the first piece, or while it is read.
    """
    storage = the_storage()
    if isinstance(storage, FileSystemStorage):
        opened = _call(lambda: _open_local(storage, name, start))
    else:
        opened = _call(lambda: _open_s3(storage, name, start, length))
    return _pieces(opened, length)


def _open_local(storage: FileSystemStorage, name: str, start: int) -> Any:
    opened = Path(storage.path(name)).open("rb")  # noqa: SIM115 - whoever reads the pieces closes it
    opened.seek(start)
    return opened


def _open_s3(storage: Any, name: str, start: int, length: int | None) -> Any:
    """The part that is asked for and no more: the storage's own files fetch the whole first."""
    if length == 0:
        return (Path("/dev/null")).open("rb")
    last = "" if length is None else start + length - 1
    asked = {} if start == 0 and length is None else {"Range": f"bytes={start}-{last}"}
    key = storage._normalize_name(name)
    return storage.bucket.Object(key).get(**asked)["Body"]


def _pieces(opened: Any, length: int | None) -> Iterator[bytes]:
    left = length
    try:
        while left is None or left > 0:
            try:
                piece = cast("bytes", opened.read(CHUNK if left is None else min(CHUNK, left)))
            except _BROKEN as error:
                raise StorageDown(type(error).__name__) from error
            if not piece:
                return
            if left is not None:
                left -= len(piece)
            yield piece
    finally:
        opened.close()


def names() -> Iterator[str]:
    """All files that the storage has, folder by folder.

    Raises:
        StorageDown: nobody knows.
    """
    try:
        folders, files = _call(lambda: the_storage().listdir(""))
    except FileNotFoundError:
        return
    yield from files
    for folder in folders:
        try:
            _, files = _call(lambda folder=folder: the_storage().listdir(folder))  # type: ignore[misc]
        except FileNotFoundError:
            continue
        yield from (f"{folder}/{name}" for name in files)
