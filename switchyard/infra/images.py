"""The container images: which code each one holds and which command it runs. Pure.

`generate` writes them to `terraform/generated/images.json`, which `docker/assemble.py` and the Makefile read.
"""

from __future__ import annotations

from typing import Any

from contracts.cards import DRAFTER_CARD
from contracts.catalogue import AUDIT, CASE_MANAGER, ROUTER
from switchyard.infra.nodes import NodeNeeds, needs

_ENGINE = ["contracts", "packages/faststream-sqs/faststream_sqs", "switchyard"]
_FAILOVER = "packages/latency-failover/latency_failover"

_PROGRAMS = {
    ROUTER: f"orchestrator {ROUTER}",
    CASE_MANAGER: f"orchestrator {CASE_MANAGER}",
    DRAFTER_CARD.name: "drafter",
    AUDIT: "audit",
}
"""Packages of `services` with a program of their own; every other node is a specialist."""

_TOOLS: dict[str, dict[str, Any]] = {
    "cli": {"code": [*_ENGINE, "services"], "command": "switchyard --help"},
    "simulators": {
        "code": [*_ENGINE, "demo", "services"],
        "command": "python -m switchyard.devstack.simulators.models --host 0.0.0.0 --port 8080",
    },
}
"""Images without a node: the command line and, for docker compose, the simulators and the provisioner."""


def images() -> dict[str, dict[str, Any]]:
    """Every image by name: `code` (paths and patterns of this repository) and `command`."""
    return {node.replace("_", "-"): _service_image(needed) for node, needed in needs().items()} | _TOOLS


def _service_image(needed: NodeNeeds) -> dict[str, Any]:
    program = _PROGRAMS.get(needed.node, f"specialists {needed.node}")
    package = f"services/{program.split()[0]}"
    own = [package] if needed.node in _PROGRAMS else [f"{package}/*.py", f"{package}/{needed.node}"]
    libraries = [_FAILOVER] if needed.bedrock else []
    return {
        "code": [*_ENGINE, *libraries, "services/__init__.py", *own],
        "command": f"python -m services.{program}",
    }
