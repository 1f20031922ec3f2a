"""docs/access.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from apps.orgs.access import PERMISSIONS
from apps.orgs.models import Role

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text(encoding="utf-8")


def test_the_permission_table_is_the_codes() -> None:
    header = re.search(r"^\| permission \|(.+)\|$", PAGE, re.MULTILINE)
    assert header is not None
    roles = [name.strip() for name in header[1].split("|")]
    assert roles == [role.value for role in Role]
    rows = re.findall(r"^\| ([a-z]+:[a-z_]+) \|(.*)\|$", PAGE, re.MULTILINE)
    shown = {
        role: frozenset(name for name, marks in rows if marks.split("|")[place].strip() == "x")
        for place, role in enumerate(roles)
    }
    assert shown == {str(role): held for role, held in PERMISSIONS.items()}
