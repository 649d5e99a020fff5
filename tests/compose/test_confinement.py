"""The rights of our processes, read inside their containers."""

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
"""EROFS: the file system is read-only for every user."""


def test_processes_have_a_container_each(stack: ComposeStack) -> None:
    services = {container.labels[SERVICE] for container in stack.containers()}
    assert services >= {
        "router",
        "case-manager",
        "audit",
        "email-feedback",
        *(node.replace("_", "-") for node in AGENT_CARDS),
    }


def test_container_is_unprivileged_and_can_write_to_tmp_only(stack: ComposeStack) -> None:
    ours = [each for each in stack.containers() if each.image.tags and each.image.tags[0].startswith("switchyard/")]
    assert len(ours) >= 10
    for container in ours:
        code, output = container.exec_run(["python", "-c", LOOK])
        assert code == 0, f"{container.name}: {output.decode()}"
        assert json.loads(output) == {
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
