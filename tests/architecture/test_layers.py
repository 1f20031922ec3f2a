"""An arrow only ever points down, and siblings never import each other: imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (
    ("analytics_hub", "celery_worker"),
    ("apps.console",),
    ("apps.ingest", "apps.exports", "apps.insights", "apps.alerts", "apps.stream"),
    ("apps.costs",),
    ("apps.metrics",),
    ("apps.traces", "apps.events"),
    ("apps.orgs",),
    ("apps.common",),
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
# What the settings and the start of the hub offer to everybody below; they import nothing of the apps.
BASE = ("analytics_hub.env", "analytics_hub.runtime", "analytics_hub.launch")
# The top may use itself: the Celery application reads how its processes end.
TOP = {"analytics_hub", "celery_worker"}


def package_of(module: str) -> str | None:
    parts = module.split(".")
    name = ".".join(parts[:2]) if parts[0] == "apps" else parts[0]
    return name if name in LEVEL else None


def imported(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            base = node.module or ""
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            named = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield from ((str(name), node.lineno) for name in named)


def modules() -> list[Path]:
    return sorted(path for top in ("apps", "analytics_hub", "celery_worker") for path in (ROOT / top).rglob("*.py"))


def forbidden(importer: str, target: str) -> bool:
    source, goal = package_of(importer), package_of(target)
    if source is None or goal is None or source == goal or {source, goal} <= TOP:
        return False
    if target.startswith(BASE):
        return False
    return LEVEL[goal] <= LEVEL[source]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    importer = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    wrong = [f"{path.name}:{line} imports {target}" for target, line in imported(path) if forbidden(importer, target)]
    assert not wrong


def test_the_start_of_the_hub_knows_no_app() -> None:
    for path in [*(ROOT / "analytics_hub" / "launch").glob("*.py"), ROOT / "analytics_hub" / "runtime.py"]:
        assert not [target for target, _ in imported(path) if target.startswith("apps.")], path


def test_every_app_has_its_level() -> None:
    apps = {f"apps.{folder.name}" for folder in (ROOT / "apps").iterdir() if (folder / "__init__.py").exists()}
    assert apps <= LEVEL.keys()


@pytest.mark.parametrize(
    ("importer", "target", "expected"),
    [
        ("apps.metrics.api", "apps.costs.pricing", True),
        ("apps.exports.jobs", "apps.ingest.otlp", True),
        ("apps.common.http", "apps.orgs.models", True),
        ("apps.ingest.otlp", "apps.orgs.models", False),
        ("apps.common.http", "analytics_hub.env.Env", False),
        ("apps.common.http", "analytics_hub.urls", True),
    ],
)
def test_the_rule_itself(importer: str, target: str, expected: bool) -> None:
    assert forbidden(importer, target) is expected
