"""The container images, and the package of the function behind the API: which code each one holds and which command
it runs. Pure. `generate` writes them to
`terraform/generated/images.json`, which `docker/assemble.py` and the Makefile read."""

from __future__ import annotations

from typing import Any

from switchyard.app.application import API, App
from switchyard.app.console_process import CONSOLE
from switchyard.infra.nodes import INGRESS, NodeNeeds, needs
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER

INGRESS_HANDLER = "switchyard.ingress.handler.handle"
"""What Lambda calls."""

_ENGINE = ("packages/faststream-sqs/faststream_sqs", "switchyard")
_CLIENT = ("packages/switchyard-client/switchyard_client",)
_FAILOVER = ("packages/latency-failover/latency_failover",)


def images(app: App) -> dict[str, dict[str, Any]]:
    """Every image by name: `code` (paths and patterns of this repository), `command` and, where the engine is not in
    this repository, `packages`: what of it is installed."""
    engine = _ENGINE if app.engine_in_repository else ()
    client = _CLIENT if app.engine_in_repository else ()
    tools: dict[str, dict[str, Any]] = {
        # With the modules of the demo, so that `switchyard demo` prints its remedy; without the demo's data.
        "cli": {
            "code": [*app.code, *engine, *client, *app.folders, *(f"{folder}/*.py" for folder in app.demo_folders)],
            "command": "switchyard --help",
        },
        "simulators": {
            "code": [*app.code, *engine, *client, *app.folders, *app.demo_folders],
            "command": "python -m switchyard.devstack.simulators.models --host 0.0.0.0 --port 8080",
        },
    }
    if app.has_api:
        # No image: Lambda runs it from a zip. It opens what the App names, as the API's process does.
        tools[INGRESS] = {"code": [*app.code, *engine[1:], *app.process(API).code], "command": INGRESS_HANDLER}
    made = {node.replace("_", "-"): _service_image(app, needed) for node, needed in needs(app).items()} | tools
    if not app.engine_in_repository:
        for name, image in made.items():
            image["packages"] = f"switchyard-engine[{_extras(app, name.replace('-', '_'))}]"
    return made


def _extras(app: App, name: str) -> str:
    """The extras of the engine's distribution that an image installs."""
    known = {AUDIT: "runtime", ROUTER: "principals,runtime", CASE_MANAGER: "principals,runtime"}
    if name in known:
        return known[name]
    if name in {"cli", "simulators", CONSOLE, API, INGRESS}:
        return name
    return "agent" if name in app.cards and app.cards[name].vendors else "runtime"


def _service_image(app: App, needed: NodeNeeds) -> dict[str, Any]:
    process = next((process for process in app.processes if process.node == needed.node), None)
    engine = _ENGINE if app.engine_in_repository else ()
    libraries = _FAILOVER if app.engine_in_repository and needed.bedrock else ()
    code = process.code if process else _code_of(app.programs[needed.node])
    program = f"switchyard.processes {process.run}" if process else f"{app.programs[needed.node]} {needed.node}"
    return {"code": [*app.code, *engine, *libraries, *code], "command": f"python -m {program}"}


def _code_of(package: str) -> tuple[str, ...]:
    """The code of a program outside the engine."""
    top, _, rest = package.partition(".")
    return () if top == "switchyard" else (f"{top}/__init__.py", f"{top}/{rest.replace('.', '/')}")
