"""The task definitions that terraform made with mock values, with the addresses of what stands for AWS put in."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchyard.infra.generate import GENERATED_FOLDER
from switchyard.infra.operations import JOBS
from tests.unit.terraform.rendering import FACTS

VARIABLE = "SWITCHYARD_TEST_TASK_DEFINITIONS"
"""Names the file that `rehearse --task-definitions` wrote."""

_SERVICE = re.compile(r'module\.(?:agent|web|identity)\["(\w+)"\]\.')
_OPERATION = re.compile(r'module\.operations\..*\["([\w-]+)"\]$')


@dataclass(frozen=True)
class Task:
    """What ECS starts: the container's settings as terraform wrote them, and which generated file its variables come
    from."""

    name: str
    cpu_units: int
    """1024 are a processor."""

    memory_mib: int
    container: dict[str, Any]
    generated: str

    def environment(self, facts: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
        """The variables as ECS would set them: terraform's, with these facts, and the values of secrets by their ARN.

        Raises `KeyError` for a secret that does not exist.
        """
        template = json.loads((GENERATED_FOLDER / "containers" / self.generated).read_text())
        values = {
            each["name"]: re.sub(r"\$\{(\w+)\}", lambda found: facts[found[1]], each["value"])
            for each in template["environment"]
        }
        given = {each["name"]: values.get(each["name"], each["value"]) for each in self.container["environment"]}
        assert values.keys() <= given.keys(), "terraform leaves a generated variable out"
        named = {each["name"]: each["valueFrom"] for each in self.container.get("secrets", [])}
        wanted = {each["name"]: each["valueFrom"] for each in template.get("secrets", [])}
        assert named.keys() == wanted.keys()
        return given | {name: secrets[facts[fact.strip("${}")]] for name, fact in wanted.items()}


def tasks() -> dict[str, Task]:
    """Every task, by its name; without the collector, whose image is not ours. Raises `KeyError` without `VARIABLE`."""
    found = {}
    for each in json.loads(Path(os.environ[VARIABLE]).read_text()):
        if service := _SERVICE.match(each["address"]):
            name = service[1]
            generated = f"{name}.json"
        elif operation := _OPERATION.match(each["address"]):
            name = operation[1]
            generated = f"operations/{JOBS[name.removeprefix('job-')][0] if name.startswith('job-') else name}.json"
        else:
            assert each["container"]["name"] == "collector"
            continue
        found[name] = Task(name, each["cpu"], each["memory"], each["container"], generated)
    return found


def deployment_facts(**own: str) -> dict[str, str]:
    """The facts of a deployment, with those of this one."""
    assert own.keys() <= FACTS.keys()
    return FACTS | own
