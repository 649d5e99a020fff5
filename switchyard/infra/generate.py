"""Write terraform/generated and docs/operate/settings.md: `python -m switchyard.infra.generate [--check]`.

`topology.json` lists the consumers and the servers; each has a file with its container's variables and two files with
its policies. `images.json` lists the container images. `--check` writes nothing: it lists the files that differ and
exits with status 1 if there are any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from switchyard.app.application import App, load_app
from switchyard.app.generate import api_requests
from switchyard.app.generated_files import run_generator
from switchyard.infra.iam import execution_policy, ingress_policy, task_policy
from switchyard.infra.images import images
from switchyard.infra.nodes import HEALTH_PORT, INGRESS, NodeNeeds, environment, ingress_permissions, needs, secrets
from switchyard.infra.operations import (
    operations,
    operations_container,
    operations_execution_policy,
    operations_policy,
    operations_topology,
)
from switchyard.infra.settings_page import COMPOSE_FILE, settings_page
from switchyard.protocol.topology import (
    BUS,
    DEAD_LETTER_RETENTION_SECONDS,
    MAX_RECEIVES,
    RETENTION_SECONDS,
    VISIBILITY_SECONDS,
)
from switchyard.runtime.core.variables import SETTINGS_PAGE

GENERATED_FOLDER = Path("terraform/generated")


def terraform_files(app: App) -> dict[str, str]:
    """Every generated file: its name and its text."""
    made: dict[str, Any] = {
        "images.json": images(app),
        "topology.json": topology(app),
        f"iam/{INGRESS}.task.json": ingress_policy(app),
    }
    for node, needed in needs(app).items():
        made[f"containers/{node}.json"] = container(needed)
        made[f"iam/{node}.task.json"] = task_policy(needed)
        made[f"iam/{node}.execution.json"] = execution_policy(needed)
    made["iam/operations.execution.json"] = operations_execution_policy()
    for name, role in operations(app).items():
        made[f"containers/operations/{name}.json"] = operations_container(role)
        made[f"iam/operations/{name}.task.json"] = operations_policy(role)
    return {name: json.dumps(made[name], indent=2) + "\n" for name in sorted(made)}


def topology(app: App) -> dict[str, Any]:
    """The consumers, the servers, and what all of them share: every value is known before terraform's first apply."""
    return {
        "bus": BUS,
        "health_port": HEALTH_PORT,
        "queues": {
            "visibility_seconds": VISIBILITY_SECONDS,
            "retention_seconds": RETENTION_SECONDS,
            "dead_letter_retention_seconds": DEAD_LETTER_RETENTION_SECONDS,
            "max_receives": MAX_RECEIVES,
        },
        "ingress_source": ingress_permissions(app)[0],
        "ingress_routes": [request.path for request in api_requests(app)] if app.has_api else [],
        "sources": {node: needed.source for node, needed in needs(app).items() if needed.emits}
        | {INGRESS: ingress_permissions(app)[0]},
        "operations": operations_topology(app),
        "outcomes": dict(sorted(app.all_outcomes.items())),
        "answer_readers": list(app.answer_readers),
        "secrets": secrets(app),
        "consumers": {
            node: {
                "name": node.replace("_", "-"),
                "queue": needed.consumer.queue,
                "lanes": list(needed.consumer.lanes),
                "dead_letter_queue": needed.consumer.dead_letter_queue,
                "rules": {
                    rule.name: {"bus": rule.bus, "pattern": rule.pattern_json, "queue": rule.queue}
                    for rule in needed.consumer.rules
                },
                "databases": needed.databases,
                "calls_models": needed.bedrock,
                "egress": list(needed.egress),
                "port": needed.port,
            }
            for node, needed in needs(app).items()
            if needed.consumer is not None
        },
        "servers": {
            server.node: {
                "name": server.node.replace("_", "-"),
                "databases": needs(app)[server.node].databases,
                "egress": list(server.egress),
                "callers": list(app.identity.agents) if app.identity and server.node == app.identity.process else [],
                "port": needs(app)[server.node].port,
            }
            for server in app.servers
        },
    }


def container(needed: NodeNeeds) -> dict[str, Any]:
    """A container's variables and secrets, in the format of an ECS container definition."""
    return {
        "environment": [{"name": name, "value": value} for name, value in sorted(environment(needed).items())],
        "secrets": [
            {"name": variable, "valueFrom": f"${{secret_{secret}}}"} for variable, secret in needed.secrets.items()
        ],
    }


def main(arguments: Sequence[str], folder: Path = GENERATED_FOLDER, page: Path = Path(SETTINGS_PAGE)) -> int:
    """The command line; returns the exit status."""
    app = load_app()
    pages = {page: settings_page(app, COMPOSE_FILE.read_text())}
    return run_generator("switchyard.infra.generate", terraform_files(app), folder, arguments, pages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
