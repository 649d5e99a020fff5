"""README and docs/start: every command is one that exists, with its options, and every make target does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from switchyard.cli.app.main import app
from tests.pages import blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs" / "start").glob("*.md")))
MAKE = re.compile(r"^make ([a-z][a-z -]*)", re.MULTILINE)
TARGETS = {
    name
    for makefile in (ROOT / "Makefile", ROOT / "switchyard/scaffold/files/Makefile")
    for name in re.findall(r"^([a-z-]+):", makefile.read_text(encoding="utf-8"), re.MULTILINE)
}
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?switchyard (.+)$", re.MULTILINE)


def commands() -> Iterator[Any]:
    for page in PAGES:
        for block in blocks(page):
            if not block.file:
                for line in COMMAND.findall(block.text):
                    yield pytest.param(line, id=f"{page.name}: {line[:50]}")


@pytest.mark.parametrize("line", [*commands()])
def test_command_of_a_page_exists_with_its_options(line: str) -> None:
    words = shlex.split(line.partition(" || ")[0], comments=True)
    group: Any = get_command(app)
    context = group.make_context("switchyard", [], resilient_parsing=True)
    while hasattr(group, "resolve_command"):
        _, group, words = group.resolve_command(context, words)
        assert group is not None
    # Parsing refuses an unknown option, a missing argument and a value of the wrong kind.
    assert group.make_context(line, words)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_make_targets_of_a_page_exist(page: Path) -> None:
    named = {target for block in blocks(page) for found in MAKE.findall(block.text) for target in found.split()}
    assert named <= TARGETS
