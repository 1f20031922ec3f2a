"""The user that the embedded servers run as.

PostgreSQL refuses to run as root, so root starts the servers as a service user. Everybody else starts them as
themselves.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

SERVICE_USER = "analytics-hub"
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class LaunchError(Exception):
    """The hub cannot be started; the message is for the person at the terminal."""


class PopenArguments(TypedDict, total=False):
    """The part of `subprocess.Popen`'s arguments that changes the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """A user to run as; `switch` is false where that is the caller already."""

    uid: int
    gid: int
    name: str
    switch: bool

    def popen_arguments(self) -> PopenArguments:
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        if self.switch:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The caller, or the service user (made if it is missing) where the caller is root.

    Raises:
        LaunchError: the caller has no user name, or root cannot make the service user.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise LaunchError(
                f"User id {uid} has no entry in the user database, which PostgreSQL's initdb needs. "
                "Add one, or set DATABASE_URL and REDIS_URL to servers of your own."
            ) from None
        return Account(uid, os.getegid(), entry.pw_name, switch=False)
    entry = _service_entry()
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, switch=True)


def _service_entry() -> pwd.struct_passwd:
    for attempt in range(2):
        try:
            return pwd.getpwnam(SERVICE_USER)
        except KeyError:
            if attempt == 0:
                _create_service_user()
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise LaunchError(
            f"Running as root needs a user for the database server: create one with 'useradd --system {SERVICE_USER}'."
        ) from None


def _create_service_user() -> None:
    """Best effort: another start may be making the same user, and the caller looks again afterwards."""
    commands = (
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER],
        ["adduser", "-S", "-D", "-H", SERVICE_USER],
    )
    for command in commands:
        program = shutil.which(command[0], path=_SYSTEM_PATH)
        if program is None:
            continue
        done = subprocess.run([program, *command[1:]], capture_output=True, check=False)  # noqa: S603 - useradd and the like
        if done.returncode == 0:
            return


def can_traverse(path: Path, account: Account) -> bool:
    """Whether the account may walk down to this folder (execute permission on it and on each parent)."""
    if not account.switch:
        return True
    resolved = path.resolve()
    return all(_searchable(folder.stat(), account) for folder in (resolved, *resolved.parents))


def _searchable(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
