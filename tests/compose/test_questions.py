"""A question to the running stack, from outside and with the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose.conftest import QUESTION, ComposeStack

pytestmark = pytest.mark.compose
SWITCHYARD = Path(sys.executable).with_name("switchyard")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SWITCHYARD_ENV": "compose"}
    return subprocess.run(
        [SWITCHYARD, *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
    )


async def test_question_from_outside_is_answered_and_its_chain_verifies(stack: ComposeStack) -> None:
    (case,) = await stack.submit([stack.question(QUESTION)])
    closed = await stack.closed([case])
    assert closed[case]["outcome"] == "answered"
    assert "Permian" in (await stack.answer(case))["text"]
    assert await stack.findings([case]) == []


def test_commands_ask_list_show_and_verify_in_the_containers(stack: ComposeStack) -> None:
    asked = _run("ask", QUESTION)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "Permian" in asked.stdout
    listed = _run("case", "list")
    found = re.search(r"\b[0-9a-f]{8}\b", listed.stdout)
    assert found, listed.stdout + listed.stderr
    shown = _run("case", "show", found[0])
    assert "chain: ok" in shown.stdout, shown.stdout + shown.stderr
    verified = _run("audit", "verify", "--checkpoints")
    assert verified.returncode == 0, verified.stdout + verified.stderr
