"""Prompts stay readable: each version that an agent can put into the log has its text in the repository, for good."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.app import APP
from switchyard.app.application import load_reference
from switchyard.app.prompts import PROMPTS_FOLDER, prompt_files, released_prompts
from switchyard.runtime.models.prompts import find_prompt, prompt_digest

ROOT = Path(__file__).parents[2]
_VERSION = re.compile(r"^(\w+_PROMPT)_VERSION = ", re.M)


def prompts_in_code() -> list[str]:
    """Every prompt of the services that has a version."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) + ":" + name
        for path in sorted((ROOT / "services").rglob("*.py"))
        for name in _VERSION.findall(path.read_text())
    ]


def test_prompt_of_a_service_is_named_by_the_app() -> None:
    assert sorted(APP.prompts) == prompts_in_code()


@pytest.mark.parametrize("reference", APP.prompts)
def test_version_in_force_finds_exactly_its_text(reference: str) -> None:
    version = load_reference(f"{reference}_VERSION")
    assert find_prompt(released_prompts(), version) == load_reference(reference)


def test_file_of_a_released_prompt_is_unchanged() -> None:
    files = sorted((ROOT / PROMPTS_FOLDER).glob("*.md"))
    assert {path.stem for path in files} >= {path.stem for path in prompt_files(APP)}
    assert [path.name for path in files if prompt_digest(path.read_text(encoding="utf-8")) != path.stem] == []


@pytest.mark.parametrize("version", ["", "answer/", "../../README", "answer/ABCDEF123456", "answer/0000000000000"])
def test_version_that_is_no_digest_finds_nothing(version: str) -> None:
    assert find_prompt({**released_prompts(), "": "x", "../../README": "x"}, version) is None
