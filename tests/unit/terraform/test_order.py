"""The documented steps of a deployment, and what a step lacks; `make terraform-check` plans them with terraform."""

from __future__ import annotations

import json

from tests.unit.terraform.provider.order import (
    DEPLOY,
    TASK,
    Step,
    documented_steps,
    order_problems,
    plan_file,
)


def plan(number: int, made: set[str], outputs: set[str]) -> str:
    """A line of `terraform test -json -verbose`."""
    changes = [{"address": address, "mode": "managed"} for address in made]
    return json.dumps(
        {
            "@testrun": f"step_{number}",
            "test_plan": {"resource_changes": changes, "output_changes": dict.fromkeys(outputs)},
        }
    )


def test_steps_of_the_page_target_the_images_first_and_then_what_a_task_needs() -> None:
    images, foundation = documented_steps(DEPLOY.read_text())
    assert images == Step(4, ("module.github_oidc",))
    assert foundation.number == 5
    assert {"module.network", "module.telemetry", "module.operations"} <= set(foundation.targets)


def test_step_that_lacks_the_cluster_or_an_output_is_a_problem() -> None:
    step = Step(5, ("module.operations",))
    whole = plan(5, TASK, {"operations"})
    assert list(order_problems(whole, [step], set())) == []
    cluster = "module.telemetry.aws_ecs_cluster.this"
    assert list(order_problems(plan(5, TASK - {cluster}, {"operations"}), [step], set())) == [
        f"step 5 does not make {cluster}"
    ]
    assert list(order_problems(plan(5, TASK, set()), [step], set())) == ["after step 5 there is no output operations"]


def test_file_plans_each_step_with_its_targets_only() -> None:
    text = plan_file("mocks", [Step(4, ("module.a", "module.b"))])
    assert text.startswith("mocks\n")
    assert "target = [module.a, module.b]" in text
