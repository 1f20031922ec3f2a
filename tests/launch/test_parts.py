"""The parts of a start that need no running hub."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from analytics_hub.env import Env
from analytics_hub.launch import folders
from analytics_hub.launch.account import Account, LaunchError, can_traverse, server_account
from analytics_hub.launch.hub import Hub, kept_passwords
from analytics_hub.launch.lock import FolderLock
from manage import data_dir_option

STRANGER = Account(uid=54_321, gid=54_321, name="stranger", switch=True)


@pytest.mark.parametrize(("mode", "open_to_all"), [(0o755, True), (0o711, True), (0o744, False), (0o700, False)])
def test_a_folder_is_reachable_if_it_and_its_parents_are(tmp_path: Path, mode: int, open_to_all: bool) -> None:
    middle = tmp_path / "middle"
    inner = middle / "inner"
    inner.mkdir(parents=True)
    middle.chmod(mode)
    reachable_so_far = can_traverse(tmp_path, STRANGER)
    assert can_traverse(inner, STRANGER) is (open_to_all and reachable_so_far)
    assert can_traverse(inner, server_account()) or os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the servers as somebody else")
def test_no_parent_is_opened_for_the_service_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SYSTEM_DIR", tmp_path.parent / f"{tmp_path.name}-system")
    monkeypatch.setattr(folders, "can_traverse", lambda path, account: "closed" not in path.parts)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    account = server_account()
    first = folders.servers_folder(closed / "data", account)
    assert first.is_relative_to(folders.SYSTEM_DIR)
    assert folders.servers_folder(closed / "data", account) == first
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert first.stat().st_uid == account.uid

    first.rmdir()
    with pytest.raises(LaunchError, match="is gone"):
        folders.servers_folder(closed / "data", account)


def test_a_folder_of_the_callers_own_keeps_its_mode(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "letters").touch()
    folders.data_folder(home, server_account())
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_passwords_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    made = kept_passwords(tmp_path)
    assert kept_passwords(tmp_path) == made
    assert len(set(made.values())) == 2
    assert min(map(len, made.values())) >= 24
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600


def test_the_lock_is_one_hubs_at_a_time_and_names_it(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take("http://127.0.0.1:8000")
    with pytest.raises(LaunchError, match=rf"process {os.getpid()} at http://127\.0\.0\.1:8000"):
        second.take("http://127.0.0.1:9000")
    first.release()
    second.take("http://127.0.0.1:9000")
    second.release()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "1"], None),
        (["--data-dir", "/x"], "/x"),
        (["--data-dir=/x", "--json"], "/x"),
        (["--json", "--data-dir"], None),
    ],
)
def test_the_data_folder_is_read_before_the_settings(arguments: list[str], expected: str | None) -> None:
    assert data_dir_option(arguments) == expected


def test_the_counts_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    hub = Hub(Env(hub_data_dir=tmp_path), 8000, demo=False)
    counts = tmp_path / "metrics"
    for _ in range(2):
        hub._clear_counts()
        assert not list(counts.iterdir())
        assert stat.S_IMODE(counts.stat().st_mode) == 0o700
        (counts / "counter_1.db").touch()
