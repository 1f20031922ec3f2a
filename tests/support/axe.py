"""axe-core in a page of Playwright: what a person with a screen reader, or without colours, would stumble over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SCRIPT = (Path(__file__).parent / "axe" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
# WCAG 2.2 A and AA, and axe's own best practices.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Any) -> list[str]:
    """What axe finds on the page as it stands now: rule, element, what to do. The content policy stays in force."""
    return _run(page, {"type": "tag", "values": TAGS})


def pale(page: Any) -> list[str]:
    """What has too little contrast: all that changes with the colours, found in a part of the time."""
    return _run(page, {"type": "rule", "values": ["color-contrast", "link-in-text-block"]})


def _run(page: Any, rules: dict[str, Any]) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT)  # by the debugger's protocol, which the content policy does not concern
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, preload: false})", rules)
    return [
        f"{page.url}: {rule['id']}: {node['target']}: {' '.join((node['failureSummary'] or '').split())}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
