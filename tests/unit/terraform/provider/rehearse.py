"""The root module with the values of each environment, checked by terraform itself without the AWS provider.

`python -m tests.unit.terraform.provider.rehearse` works on a copy, because `init` writes next to the files: init,
validate, then plan and apply with mock values (`rehearsal.tftest.hcl`) for dev and prod, and checks of the result
(`evaluated.py`). The exit status is 1 if a check fails. `--task-definitions FILE` writes what ECS would get in dev
instead, for tests/task_containers; `--root FOLDER` checks the root of another application.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.terraform.provider.evaluated import Resource, problems, resources
from tests.unit.terraform.provider.order import DEPLOY, documented_steps, order_problems, plan_file
from tests.unit.terraform.provider.plugin import attached

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[3] / "terraform"
EXAMPLE = HERE.parents[3] / "examples" / "upstream"


class TerraformFailed(Exception):
    """A terraform command failed."""


def main(arguments: list[str]) -> int:
    """Check dev and prod; returns the exit status."""
    option, value = arguments or ("", "")
    try:
        with _copy(Path(value) if option == "--root" else TERRAFORM) as (copy, environment):
            if option == "--task-definitions":
                Path(value).write_text(json.dumps(_task_definitions(copy, environment), indent=1))
                return 0
            if option == "--root":
                return _rehearse(copy, environment, "dev")
            example = copy.parent / "example"
            shutil.copytree(EXAMPLE, example)
            _terraform(example, environment, "init", "-backend=false", "-input=false")
            _terraform(example, environment, "validate")
            names = sorted(path.stem for path in copy.glob("*.tfvars"))
            codes = [_rehearse(copy, environment, name) for name in names]
            return max(*codes, *(_rehearse_order(copy, environment, name) for name in names))
    except TerraformFailed as error:
        sys.stdout.write(f"{error}\n")
        return 1


@contextmanager
def _copy(root: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """A copy of a root module that is initialised and valid, and the variables that attach the provider."""
    with tempfile.TemporaryDirectory() as folder, attached() as environment:
        copy = Path(folder) / "terraform"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".terraform*", "__pycache__"))
        for file in copy.glob("modules/*/*.tf"):
            # `terraform test` destroys what it applied.
            file.write_text(re.sub(r"prevent_destroy += true", "prevent_destroy = false", file.read_text()))
        shutil.copy(HERE / "rehearsal.tftest.hcl", copy)
        package = copy.parent / "dist" / "ingress.zip"
        package.parent.mkdir()
        package.write_bytes(b"terraform only computes the hash of the package")
        _terraform(copy, environment, "init", "-backend=false", "-input=false")
        _terraform(copy, environment, "validate")
        yield copy, environment


def _task_definitions(root: Path, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every task definition of dev: its address, size and container."""
    found = []
    for resource in _applied(root, environment, "dev"):
        if resource["type"] == "aws_ecs_task_definition":
            [container] = json.loads(resource["values"]["container_definitions"])
            size = {name: int(resource["values"][name]) for name in ("cpu", "memory")}
            found.append({"address": resource["address"], "container": container} | size)
    return found


def _applied(root: Path, environment: Mapping[str, str], name: str) -> list[Resource]:
    output = _terraform(
        root, environment, "test", "-json", "-verbose", "-filter=rehearsal.tftest.hcl", f"-var-file={name}.tfvars"
    )
    return list(resources(output))


def _rehearse(root: Path, environment: Mapping[str, str], name: str) -> int:
    found = _applied(root, environment, name)
    wrong = list(problems(found))
    sys.stdout.write("".join(f"{name}: {each}\n" for each in wrong))
    sys.stdout.write(f"{name}: {len(found)} resources planned and applied with mock values\n")
    return 1 if wrong else 0


def _rehearse_order(root: Path, environment: Mapping[str, str], name: str) -> int:
    """Plan the documented steps one by one."""
    mocks = (HERE / "rehearsal.tftest.hcl").read_text().partition("\nrun ")[0]
    steps = documented_steps(DEPLOY.read_text())
    (root / "order.tftest.hcl").write_text(plan_file(mocks, steps))
    output = _terraform(
        root, environment, "test", "-json", "-verbose", "-filter=order.tftest.hcl", f"-var-file={name}.tfvars"
    )
    images = set(json.loads((root / "generated" / "images.json").read_text())) - {"ingress", "simulators"}
    wrong = list(order_problems(output, steps, images))
    sys.stdout.write("".join(f"{name}: {each}\n" for each in wrong))
    sys.stdout.write(f"{name}: {len(steps)} documented steps planned one by one\n")
    return 1 if wrong else 0


def _terraform(root: Path, environment: Mapping[str, str], command: str, *options: str) -> str:
    done = subprocess.run(
        ["terraform", f"-chdir={root}", command, "-no-color", *options],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TerraformFailed(f"terraform {' '.join([command, *options])} failed\n{_errors(done.stdout)}{done.stderr}")
    sys.stdout.write(f"terraform {' '.join([command, *options])} passed\n")
    return done.stdout


def _errors(output: str) -> str:
    """Terraform's diagnostics, without the plans and states of its JSON output."""
    if not output.startswith("{"):
        return output
    lines = [json.loads(line) for line in output.splitlines()]
    return "".join(
        f"{line['@message']} {line['diagnostic'].get('detail', '')}\n" for line in lines if "diagnostic" in line
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
