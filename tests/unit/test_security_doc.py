"""docs/operate/security.md names tests that exist, and shows every threat by one."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "operate" / "security.md").read_text(encoding="utf-8")
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
NAMED = NAMED_TEST.findall(TEXT)


def test_named_tests_exist() -> None:
    assert len(NAMED) >= 25
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if f"def {name}(" not in ((TESTS / path).read_text(encoding="utf-8") if (TESTS / path).exists() else "")
    ]
    assert missing == []


def test_listed_threats_are_each_shown_by_a_test() -> None:
    threats = re.findall(r"^- \*\*(?:.+\n)(?:  .+\n)*", TEXT, re.MULTILINE)
    assert len(threats) >= 20
    assert [threat for threat in threats if not NAMED_TEST.search(threat)] == []
