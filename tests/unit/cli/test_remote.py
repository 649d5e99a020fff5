"""Commands in a deployment's own network: the task that is started, its output, its exit code."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from services.specialists.email_sender.commands import resolve
from services.specialists.email_sender.unresolved_sends import Resolution
from switchyard.cli.app import remote_task
from switchyard.cli.app.case_retry import Failure, RetryRequest, retry_case
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.main import app as command_line
from switchyard.cli.app.operator_commands import submit_command
from switchyard.cli.app.remote_task import run_remotely
from switchyard.cli.app.target import Env, Target
from switchyard.cli.commands.approval import SignedDecision, submit_decision
from switchyard.protocol.operator_commands import OperatorCommand
from switchyard.protocol.statements import ApprovalAnswer, approval_statement, retry_statement
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
    printed_by: dict[str, list[str]] = field(default_factory=dict)
    """What tasks print, by the first words of their commands; those of other commands print `printed`."""
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
        lines = self.printed_by.get(" ".join(self.commands()[-1][1][1:3]), self.printed)
        events = [{"message": line, "timestamp": 0} for line in lines]
        return JSONResponse({"events": events, "nextForwardToken": "end"})

    def bodies(self, action: str) -> list[dict[str, Any]]:
        """What one action was asked with."""
        return [body for name, body in self.asked if name == action]

    def commands(self) -> list[tuple[str, list[str]]]:
        """The role and the command of every task."""
        return [
            (started["taskDefinition"], started["overrides"]["containerOverrides"][0]["command"])
            for started in self.bodies("RunTask")
        ]

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


PENDING = {
    "approval_id": "7c9d3c1e-5a5f-4f0e-9b5e-0f6c1d2e3a4b",
    "case_id": "3f0c9a64-1111-4111-8111-111111111111",
    "content_sha256": "ab" * 32,
    "pack": "2026-01-01",
}


@pytest.mark.parametrize(("answer", "role"), [("granted", "switchyard-reviewer"), ("denied", "switchyard-operator")])
async def test_decision_is_read_and_handed_in_by_tasks_and_signed_here(
    ecs: Ecs, answer: ApprovalAnswer, role: str
) -> None:
    listed = json.dumps([PENDING, PENDING | {"approval_id": "8" * 36}], indent=2).splitlines()
    ecs.printed_by = {"approval list": listed, "approval hand-in": [f"result: {answer}"]}
    assert await submit_decision(ecs.target, "7c9d", answer, approver=OPERATOR, reason="as agreed") == answer
    (reads, read), (hands_in, handed) = ecs.commands()
    assert (reads, read) == ("switchyard-operator", ["switchyard", "approval", "list", "--json"])
    assert (hands_in, handed[:3]) == (role, ["switchyard", "approval", "hand-in"])
    decision = TypeAdapter(SignedDecision).validate_json(handed[3])
    statement = approval_statement(
        **PENDING, verdict=answer, approver=OPERATOR, reason="as agreed", signed_at=decision.signed_at
    )
    OPERATORS.verify(OPERATOR, statement, decision.signature)
    assert OPERATOR_KEY.hex() not in json.dumps(ecs.asked)


async def test_decision_about_no_pending_approval_signs_nothing(ecs: Ecs) -> None:
    ecs.printed_by = {"approval list": ["[]"]}
    with pytest.raises(CommandFailed, match="no pending approval has an id that begins with 7c9d"):
        await submit_decision(ecs.target, "7c9d", "granted", approver=OPERATOR, reason="")
    assert len(ecs.commands()) == 1


async def test_retry_signs_here_the_failure_that_a_task_read(ecs: Ecs, capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(PENDING["case_id"], "11" * 32, "22" * 32, "33" * 32)
    shown = json.dumps(asdict(failure), indent=2).splitlines()
    ecs.printed_by = {"case failure": shown, "case hand-in": ["ended: answered"]}
    await retry_case(ecs.target, "3f0c", operator=OPERATOR, reason="fixed", key_file=None, wait_s=5)
    assert "ended: answered" in capsys.readouterr().out
    (_, read), (role, handed) = ecs.commands()
    assert read == ["switchyard", "case", "failure", "3f0c"]
    assert (role, handed[:3], handed[4:]) == (
        "switchyard-operator",
        ["switchyard", "case", "hand-in"],
        ["--wait", "5"],
    )
    request = TypeAdapter(RetryRequest).validate_json(handed[3])
    signed = {"operator": OPERATOR, "reason": "fixed", "requested_at": request.requested_at}
    OPERATORS.verify(OPERATOR, retry_statement(**asdict(failure), **signed), request.signature)


async def test_email_is_resolved_by_tasks_and_signed_here(ecs: Ecs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ecs.target.environment.items():
        monkeypatch.setenv(name, value)
    open_send = {"case_id": PENDING["case_id"], "content_sha256": "ab" * 32}
    ecs.printed_by = {"email list-unresolved": [json.dumps([open_send])], "email hand-in": ["result: recorded"]}
    await resolve(
        "3f0c", OPERATOR, evidence="the log of SES", sent="ses-1", not_sent=False, content="", wait=5, env=Env.AWS
    )
    _, (role, handed) = ecs.commands()
    assert (role, handed[:3]) == ("switchyard-operator", ["switchyard", "email", "hand-in"])
    found = TypeAdapter(Resolution).validate_json(handed[3])
    assert (found.case_id, found.provider_message_id) == (PENDING["case_id"], "ses-1")
    OPERATORS.verify(OPERATOR, found.statement(), found.signature)


@pytest.mark.parametrize("group", ["approval", "case", "email", "operator"])
def test_statement_that_nobody_signed_so_is_refused_with_the_field(group: str) -> None:
    refused = CliRunner().invoke(command_line, [group, "hand-in", "{}", "--env", "aws"])
    assert isinstance(refused.exception, InvalidArgument)
    assert re.match(r"the statement is invalid: \w+", str(refused.exception))
