"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from analytics_hub.env import Env

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES = 500, 80
UNTITLED = {"migrations", "apps.py", "conftest.py"}
TOPS = ("analytics_hub", "apps", "celery_worker", "bench", "tests")


def sources() -> list[Path]:
    found = [path for top in TOPS for path in (ROOT / top).rglob("*.py") if "node_modules" not in path.parts]
    return sorted([*found, ROOT / "manage.py"])


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources()}


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert not {str(path): lines for path, lines in lengths.items() if lines > FILE_LINES}


def test_functions_are_short(trees: dict[Path, ast.Module]) -> None:
    long = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines")
    assert not long


def test_every_module_says_what_it_is(trees: dict[Path, ast.Module]) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path, tree in trees.items()
        if tree.body
        and ast.get_docstring(tree) is None
        and not {"migrations", "apps.py", "conftest.py"} & {*path.parts}
    ]
    assert not silent


def test_annotations_are_postponed_everywhere(trees: dict[Path, ast.Module]) -> None:
    def postponed(tree: ast.Module) -> bool:
        return any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)

    code = (path for path, tree in trees.items() if len(tree.body) > 1 and "migrations" not in path.parts)
    assert not [str(path.relative_to(ROOT)) for path in code if not postponed(trees[path])]


def test_every_setting_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", readme))
    assert {name.upper() for name in Env.model_fields} <= documented


def test_every_command_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", readme)) <= targets
    commands = {path.stem for path in ROOT.glob("*/**/management/commands/*.py")} | {"migrate"}
    assert set(re.findall(r"manage\.py ([a-z_]+)", readme)) <= commands


def test_the_lock_names_versions_and_no_places() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    assert lines
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line)]


def test_shell_scripts_stop_at_the_first_error() -> None:
    script = ROOT / ".ci" / "run"
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o100
    subprocess.run(["bash", "-n", str(script)], check=True)
