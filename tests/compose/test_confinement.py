"""What a process of ours may do in its container, asked inside of it: as good as nothing."""

from __future__ import annotations

import json

import pytest

from contracts.cards import AGENT_CARDS
from tests.compose.conftest import ComposeStack
from tests.integration.infrastructure.compose import SERVICE

pytestmark = pytest.mark.compose

LOOK = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
def writes(folder):
    try:
        open(os.path.join(folder, "probe"), "w").close()
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
    os.unlink(os.path.join(folder, "probe"))
    return "yes"
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": [group for group in os.getgroups() if group != os.getgid()],
    "capabilities": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "root": writes("/"), "app": writes("/app"), "venv": writes("/opt/venv"), "tmp": writes("/tmp"),
}))
"""
READ_ONLY = "OSError 30"
"""EROFS: not a matter of rights, nobody may write there."""


def test_every_process_of_ours_runs(stack: ComposeStack) -> None:
    services = {container.labels[SERVICE] for container in stack.containers()}
    assert services >= {
        "router",
        "case-manager",
        "audit",
        "email-feedback",
        *(node.replace("_", "-") for node in AGENT_CARDS),
    }


def test_each_is_nobody_has_no_capability_and_writes_nowhere_but_tmp(stack: ComposeStack) -> None:
    ours = [each for each in stack.containers() if each.image.tags and each.image.tags[0].startswith("switchyard/")]
    assert len(ours) >= 10
    for container in ours:
        code, said = container.exec_run(["python", "-c", LOOK])
        assert code == 0, f"{container.name}: {said.decode()}"
        assert json.loads(said) == {
            "uid": 10001,
            "gid": 10001,
            "groups": [],
            "capabilities": ["0" * 16] * 5,
            "no_new_privileges": "1",
            "root": READ_ONLY,
            "app": READ_ONLY,
            "venv": READ_ONLY,
            "tmp": "yes",
        }, container.name
