"""The docker compose stack from outside: the provisioner's variables, with this machine's addresses and folders.

Docker says which stack runs and where it publishes its ports. COMPOSE_PROJECT_NAME and COMPOSE_FILE count as they do
for `docker compose` itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from switchyard.devstack.errors import StackError
from switchyard.devstack.supervisor.ports import LOOPBACK

COMPOSE_FILE = Path("docker-compose.yml").absolute()
PROVISIONER = "provisioner"
"""The service whose environment is an operator's."""

COMPOSE_TIMEOUT_S = 30.0


class ComposeUnavailable(StackError):
    """The docker compose stack cannot be asked, or does not run."""


def compose_exports() -> dict[str, str]:
    """The variables to export to reach the running stack. Raises ComposeUnavailable when none runs."""
    addresses = published_addresses(_containers(_ask("ps", "--format", "json")))
    provisioner = json.loads(_ask("config", "--format", "json"))["services"][PROVISIONER]
    folders = {each["target"]: each["source"] for each in provisioner.get("volumes", ()) if each["type"] == "bind"}
    return {
        name: rewrite_for_host(str(value), addresses, folders) for name, value in provisioner["environment"].items()
    }


def published_addresses(containers: list[dict[str, Any]]) -> dict[str, str]:
    """Where each `service:port` answers on this machine.

    Raises ComposeUnavailable unless the provisioner is healthy.
    """
    health = next((each["Health"] for each in containers if each["Service"] == PROVISIONER), "absent")
    if health != "healthy":
        raise ComposeUnavailable(f"the docker compose stack is not up: its {PROVISIONER} is {health or 'unhealthy'}")
    return {
        f"{each['Service']}:{port['TargetPort']}": f"{LOOPBACK}:{port['PublishedPort']}"
        for each in containers
        for port in each["Publishers"] or ()
        if port["PublishedPort"]
    }


def rewrite_for_host(value: str, addresses: Mapping[str, str], folders: Mapping[str, str]) -> str:
    """A variable's value with every `service:port` of a URL and the beginning of a path replaced."""
    for folder, source in folders.items():
        if value.startswith(f"{folder}/"):
            return source + value.removeprefix(folder)
    return re.sub(r"(?<=[/@])[a-z][a-z0-9-]*:\d+\b", lambda found: addresses.get(found[0], found[0]), value)


def _containers(text: str) -> list[dict[str, Any]]:
    """An object a line, as of Compose 2.21; a list before."""
    if text.startswith("["):
        listed: list[dict[str, Any]] = json.loads(text)
        return listed
    return [json.loads(line) for line in text.splitlines()]


def _ask(*arguments: str) -> str:
    named = [] if "COMPOSE_FILE" in os.environ else ["--file", str(COMPOSE_FILE)]
    command = ["docker", "compose", *named, *arguments]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=COMPOSE_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise ComposeUnavailable("there is no `docker` command on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise ComposeUnavailable(
            f"`docker compose {arguments[0]}` did not answer in {COMPOSE_TIMEOUT_S:g} s"
        ) from error
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ComposeUnavailable(f"`docker compose {arguments[0]}` failed: {last[0]}")
    return ran.stdout
