"""A command in the deployment's own network: an ECS task of one role runs it and ends. The databases have no other
way in, and IAM decides whose tasks a person may start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from switchyard.cli.app.connections import open_aws_client
from switchyard.cli.app.errors import CommandFailed

if TYPE_CHECKING:
    from switchyard.cli.app.target import Target

CONTAINER = "cli"
POLL_S = 2.0
TASK_TIMEOUT_S = 3_600.0


class OperationsPlace(BaseModel):
    """Where tasks are started, as `terraform output -json operations` prints it."""

    model_config = ConfigDict(frozen=True)

    cluster: str
    subnets: tuple[str, ...]
    security_group: str
    log_group: str


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended: its exit code, and the lines that it printed."""

    exit_code: int
    lines: tuple[str, ...]


async def run_remotely(target: Target, role: str, command: Sequence[str], *, poll_s: float | None = None) -> TaskEnd:
    """Run a command as a role and wait for its end. Raises `CommandFailed` if its task does not start or end."""
    place = _place(target)
    async with open_aws_client(target, "ecs") as ecs, open_aws_client(target, "logs") as logs:
        started = await ecs.run_task(
            cluster=place.cluster,
            taskDefinition=f"switchyard-{role}",
            launchType="FARGATE",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": [*place.subnets],
                    "securityGroups": [place.security_group],
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={"containerOverrides": [{"name": CONTAINER, "command": ["switchyard", *command]}]},
        )
        if started["failures"]:
            raise CommandFailed(
                f"ECS did not start the task: {started['failures'][0].get('reason', 'unknown')}",
                remedy="check SWITCHYARD_OPERATIONS, and whether Fargate has room in those subnets",
            )
        arn = started["tasks"][0]["taskArn"]
        ended = await _wait(ecs, place.cluster, arn, POLL_S if poll_s is None else poll_s)
        lines = await _printed(logs, place.log_group, f"{role}/{CONTAINER}/{arn.rpartition('/')[2]}")
    exit_code = ended["containers"][0].get("exitCode")
    if exit_code is None:
        why = ended.get("stoppedReason", "unknown")
        raise CommandFailed(f"the task did not run: {why}", remedy=f"see the events of {arn} in ECS")
    return TaskEnd(exit_code, tuple(lines))


def _place(target: Target) -> OperationsPlace:
    try:
        return OperationsPlace.model_validate_json(target.settings.operations)
    except ValidationError as error:
        remedy = 'export SWITCHYARD_OPERATIONS="$(terraform -chdir=terraform output -json operations)"'
        raise CommandFailed("SWITCHYARD_OPERATIONS is invalid: expected terraform's output", remedy=remedy) from error


async def _wait(ecs: Any, cluster: str, arn: str, poll_s: float) -> Any:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TASK_TIMEOUT_S
    while loop.time() < deadline:
        tasks = (await ecs.describe_tasks(cluster=cluster, tasks=[arn]))["tasks"]
        if tasks and tasks[0]["lastStatus"] == "STOPPED":
            return tasks[0]
        await asyncio.sleep(poll_s)
    raise CommandFailed(
        f"the task {arn} has not ended within {TASK_TIMEOUT_S / 60:.0f} minutes", remedy="look at its log"
    )


async def _printed(logs: Any, group: str, stream: str) -> list[str]:
    lines: list[str] = []
    token: str | None = None
    while True:
        more = {} if token is None else {"nextToken": token}
        try:
            page = await logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
        except logs.exceptions.ResourceNotFoundException:
            return lines  # it printed nothing
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            return lines
        token = page["nextForwardToken"]
