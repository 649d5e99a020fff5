"""Commands in a deployment's own network: the task that is started, its output, its exit code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from switchyard.cli.app import remote_task
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.operator_commands import submit_command
from switchyard.cli.app.remote_task import run_remotely
from switchyard.cli.app.target import Target
from switchyard.protocol.operator_commands import OperatorCommand
from switchyard.runtime.process.web import WebServer
from tests.operators import OPERATOR, OPERATOR_KEY, OPERATORS

ARN = "arn:aws:ecs:us-east-1:111122223333:task/switchyard/0a1b"
PLACE = {
    "cluster": "switchyard",
    "subnets": ["subnet-a"],
    "security_group": "sg-1",
    "log_group": "/switchyard/operations",
}


@dataclass
class Ecs:
    """ECS and CloudWatch Logs on the wire: what they were asked, and how the task ends."""

    exit_code: int | None = 0
    printed: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    async def answer(self, request: Request) -> JSONResponse:
        """One call."""
        action = request.headers["x-amz-target"].rpartition(".")[2]
        body = await request.json()
        self.asked.append((action, body))
        if action == "RunTask":
            return JSONResponse({"tasks": [] if self.failures else [{"taskArn": ARN}], "failures": self.failures})
        if action == "DescribeTasks":
            running = sum(name == "DescribeTasks" for name, _ in self.asked) == 1
            container = {} if self.exit_code is None else {"exitCode": self.exit_code}
            stopped = {"stoppedReason": "CannotPullContainerError", "containers": [container]}
            return JSONResponse({"tasks": [{"lastStatus": "RUNNING" if running else "STOPPED"} | stopped]})
        if body.get("nextToken"):
            return JSONResponse({"events": [], "nextForwardToken": "end"})
        events = [{"message": line, "timestamp": 0} for line in self.printed]
        return JSONResponse({"events": events, "nextForwardToken": "end"})

    def bodies(self, action: str) -> list[dict[str, Any]]:
        """What one action was asked with."""
        return [body for name, body in self.asked if name == action]

    @property
    def target(self) -> Target:
        """The deployment, as the shell of an operator names it."""
        return Target(
            {
                "SWITCHYARD_OPERATIONS": json.dumps(PLACE),
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "SWITCHYARD_OPERATOR_KEY": OPERATOR_KEY.hex(),
            }
        )


@pytest.fixture
async def ecs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ecs]:
    monkeypatch.setattr(remote_task, "POLL_S", 0.01)
    made = Ecs()
    server = WebServer(Starlette(routes=[Route("/", made.answer, methods=["POST"])]), "127.0.0.1", 0)
    made.port = server.port
    yield made
    await server.stop()


async def test_remote_command_runs_as_its_role_and_prints_what_the_task_printed(ecs: Ecs) -> None:
    ecs.printed, ecs.exit_code = ["2 cases", "BROKEN"], 1
    ended = await run_remotely(ecs.target, "auditor", ["audit", "verify", "--checkpoints"])
    assert (ended.exit_code, ended.lines) == (1, ("2 cases", "BROKEN"))
    [started] = ecs.bodies("RunTask")
    assert (started["cluster"], started["taskDefinition"]) == ("switchyard", "switchyard-auditor")
    network = started["networkConfiguration"]["awsvpcConfiguration"]
    assert network == {"subnets": ["subnet-a"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
    [container] = started["overrides"]["containerOverrides"]
    assert container == {"name": "cli", "command": ["switchyard", "audit", "verify", "--checkpoints"]}
    assert "taskRoleArn" not in started["overrides"]
    assert {body["logStreamName"] for body in ecs.bodies("GetLogEvents")} == {"auditor/cli/0a1b"}


async def test_halt_is_signed_here_and_its_key_stays_here(ecs: Ecs) -> None:
    ecs.printed = ["result: halted"]
    result = await submit_command(ecs.target, "halt", "outbound_email", operator=OPERATOR, reason="a drill", wait_s=5)
    assert result == "halted"
    [started] = ecs.bodies("RunTask")
    assert started["taskDefinition"] == "switchyard-operator"
    command = started["overrides"]["containerOverrides"][0]["command"]
    assert command[:3] == ["switchyard", "operator", "hand-in"]
    signed = TypeAdapter(OperatorCommand).validate_json(command[3])
    signed.verify(OPERATORS)
    assert (signed.action, signed.target, signed.reason) == ("halt", "outbound_email", "a drill")
    assert OPERATOR_KEY.hex() not in json.dumps(started)


async def test_halt_that_is_stored_and_not_confirmed_has_no_result(ecs: Ecs) -> None:
    ecs.printed = ["stored, not confirmed"]
    assert await submit_command(ecs.target, "halt", "assist", operator=OPERATOR, reason="r", wait_s=0) is None


async def test_refused_command_says_what_the_task_printed(ecs: Ecs) -> None:
    ecs.printed, ecs.exit_code = ["refused: it is not signed", "Remedy: name an operator"], 1
    with pytest.raises(CommandFailed, match="refused: it is not signed"):
        await submit_command(ecs.target, "halt", "assist", operator=OPERATOR, reason="r", wait_s=0)


async def test_task_that_does_not_start_is_an_error_with_its_reason(ecs: Ecs) -> None:
    ecs.failures = [{"reason": "RESOURCE:ENI"}]
    with pytest.raises(CommandFailed, match="RESOURCE:ENI"):
        await run_remotely(ecs.target, "auditor", ["audit", "verify"])
    ecs.failures, ecs.exit_code = [], None
    with pytest.raises(CommandFailed, match="CannotPullContainerError"):
        await run_remotely(ecs.target, "auditor", ["audit", "verify"])


async def test_invalid_place_is_an_error_that_names_its_command(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="SWITCHYARD_OPERATIONS is invalid") as refused:
        await run_remotely(Target({"SWITCHYARD_OPERATIONS": "{}"}), "auditor", ["audit", "verify"])
    assert "output -json operations" in str(refused.value.remedy)
