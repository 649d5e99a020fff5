"""The container images, and the package of the function behind the API: which code each one holds and which command
it runs. Pure. `generate` writes them to
`terraform/generated/images.json`, which `docker/assemble.py` and the Makefile read."""

from __future__ import annotations

from typing import Any

from switchyard.app.application import App
from switchyard.infra.nodes import INGRESS, NodeNeeds, needs

_ENGINE = ["packages/faststream-sqs/faststream_sqs", "switchyard"]
_CLIENT = "packages/switchyard-client/switchyard_client"
_FAILOVER = "packages/latency-failover/latency_failover"


def images(app: App) -> dict[str, dict[str, Any]]:
    """Every image by name: `code` (paths and patterns of this repository) and `command`."""
    tools = {
        # With the modules of the demo, so that `switchyard demo` prints its remedy; without the demo's data.
        "cli": {
            "code": [*app.code, *_ENGINE, _CLIENT, *app.folders, *(f"{folder}/*.py" for folder in app.demo_folders)],
            "command": "switchyard --help",
        },
        "simulators": {
            "code": [*app.code, *_ENGINE, _CLIENT, *app.folders, *app.demo_folders],
            "command": "python -m switchyard.devstack.simulators.models --host 0.0.0.0 --port 8080",
        },
    }
    if settings := app.settings.get(INGRESS):
        # No image: Lambda runs it from a zip.
        package = settings.partition(":")[0].rpartition(".")[0]
        tools[INGRESS] = {"code": [*app.code, "switchyard", *_code_of(package)], "command": f"python -m {package}"}
    return {node.replace("_", "-"): _service_image(app, needed) for node, needed in needs(app).items()} | tools


def _service_image(app: App, needed: NodeNeeds) -> dict[str, Any]:
    process = next((process for process in app.processes if process.node == needed.node), None)
    libraries = [_FAILOVER] if needed.bedrock else []
    code = process.code if process else _code_of(app.programs[needed.node])
    program = f"switchyard.processes {process.run}" if process else f"{app.programs[needed.node]} {needed.node}"
    return {"code": [*app.code, *_ENGINE, *libraries, *code], "command": f"python -m {program}"}


def _code_of(package: str) -> tuple[str, ...]:
    """The code of a program outside the engine."""
    top, _, rest = package.partition(".")
    return () if top == "switchyard" else (f"{top}/__init__.py", f"{top}/{rest.replace('.', '/')}")
