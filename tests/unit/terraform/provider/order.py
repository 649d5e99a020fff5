"""The steps of docs/operate/deploy.md that apply a part: what terraform makes in each, and what the next step needs.

A part that lacks the cluster, an endpoint or a route makes the next step fail on AWS only: terraform itself is content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[4] / "docs" / "operate" / "deploy.md"
TASK = {
    "module.telemetry.aws_ecs_cluster.this",
    "module.network.aws_vpc_endpoint.s3",
    "module.network.aws_vpc_security_group_ingress_rule.endpoints",
    "module.operations.aws_cloudwatch_log_group.this",
    'module.operations.aws_ecs_task_definition.this["migrate"]',
    'module.operations.aws_iam_role_policy.task["migrate"]',
    "module.operations.aws_iam_role_policy.execution",
    "module.operations.aws_vpc_security_group_egress_rule.endpoints",
    "module.operations.aws_vpc_security_group_egress_rule.s3",
    *(
        f'module.network.aws_vpc_endpoint.interface["{name}"]'
        for name in ("ecr.api", "ecr.dkr", "logs", "kms", "secretsmanager", "sts")
    ),
    *(f'module.network.aws_route_table_association.this["private/{zone}"]' for zone in (0, 1)),
    *(f"module.{name}_db.aws_db_instance.this" for name in ("work", "audit")),
    *(f'module.operations.aws_vpc_security_group_ingress_rule.databases["{name}"]' for name in ("work", "audit")),
}
"""What a task of `switchyard migrate` needs to start, to write its log and to log in."""

NEEDS = {"module.github_oidc": {"module.github_oidc.aws_iam_role.push"}, "module.operations": TASK}
"""What must exist after the step that targets a module; for the images, also a repository for each."""

OUTPUTS = {"module.github_oidc": "push_role", "module.operations": "operations"}
"""The output that the next step reads: terraform keeps it only if all that it names is in the part."""


@dataclass(frozen=True)
class Step:
    """A step that applies a part."""

    number: int
    targets: tuple[str, ...]


def documented_steps(text: str) -> list[Step]:
    """The steps of the page with `-target` options."""
    found = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    steps = [Step(int(number), tuple(re.findall(r"-target=([\w.]+)", body))) for number, body in found]
    return [step for step in steps if step.targets]


def plan_file(mocks: str, steps: list[Step]) -> str:
    """A file for `terraform test` that plans each step on its own."""
    runs = (
        f'run "step_{step.number}" {{\n  command = plan\n  plan_options {{\n'
        f"    target = [{', '.join(step.targets)}]\n  }}\n}}\n"
        for step in steps
    )
    return mocks + "\n" + "\n".join(runs)


def order_problems(output: str, steps: list[Step], images: set[str]) -> Iterator[str]:
    """What each step lacks, from the JSON lines of `terraform test -json -verbose`."""
    plans = {
        line["@testrun"]: line["test_plan"] for line in map(json.loads, output.splitlines()) if "test_plan" in line
    }
    for step in steps:
        plan: dict[str, Any] = plans[f"step_{step.number}"]
        made = {change["address"] for change in plan.get("resource_changes", ()) if change["mode"] == "managed"}
        for target in step.targets:
            needed = set(NEEDS.get(target, ()))
            if target == "module.github_oidc":
                needed |= {f'module.github_oidc.aws_ecr_repository.this["{image}"]' for image in images}
            yield from (f"step {step.number} does not make {each}" for each in sorted(needed - made))
            if (name := OUTPUTS.get(target)) and name not in plan.get("output_changes", {}):
                yield f"after step {step.number} there is no output {name}"
