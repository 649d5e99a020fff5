"""`switchyard approval`: a named person decides on exactly the content that would be sent."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from switchyard.cli.app.audit_log import artefact_text, open_artefact_reader, read_artefact
from switchyard.cli.app.connections import open_pool
from switchyard.cli.app.console import Field, console, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.handing_in import RESULT, hand_in_remotely, is_remote, read_remotely, read_signed
from switchyard.cli.app.keys import load_operator_key
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import EnvOption, JsonOption, OperatorOption, ReasonOption
from switchyard.cli.app.target import Env, Target, resolve_target

if TYPE_CHECKING:
    from switchyard.protocol.statements import ApprovalAnswer

app = CommandGroup()
DECISION_TIMEOUT_S = 15.0
"""How long the command waits for the case manager to act on a decision."""

_APPROVER = re.compile("[!-~]{1,150}")
MAX_REASON = 2_000

ApprovalArgument = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="The approval's id, or its first characters.")
]
_FIELDS = (
    Field("approval_id", "approval", short=8),
    Field("case_id", "case", short=8),
    Field("reason", wraps=True),
    Field("requested_by", wraps=True),
    Field("content_sha256", "content", wide=True),
    Field("pack", wide=True),
    Field("decide_by", "decide by (UTC)"),
)
_PENDING = """
select approval_id, case_id, playbook, content_sha256, pack, reason, requested_by, agreed_by, asked_at, decide_by,
  command
from approval_queue where state = 'asked'
order by decide_by
"""


@app.command("list")
async def list_approvals(as_json: JsonOption = False, env: EnvOption = Env.LOCAL) -> None:
    """List the approvals that wait for a decision, the most urgent first."""
    async with open_pool(resolve_target(env), "operator") as pool:
        rows = [_public_fields(row) for row in await pool.fetch(_PENDING)]
    print_rows(rows, _FIELDS, as_json=as_json, footer=f"{len(rows)} pending")


@app.command()
async def show(approval: ApprovalArgument, as_json: JsonOption = False, env: EnvOption = Env.LOCAL) -> None:
    """Show the content that would take effect, and the reason why it needs an approval."""
    target = resolve_target(env)
    async with open_pool(target, "reviewer") as pool:
        row = _choose(await pool.fetch(_PENDING), approval)
    content = await _read_content(target, row)
    if as_json:
        print_json(_public_fields(row) | {"content": content})
        return
    print_text(content)
    print_text(f"case {row['case_id']}\ncontent {row['content_sha256']}")
    print_text(f"rule pack {row['pack']}, needs approval because: {row['reason']}")
    if row["agreed_by"]:
        print_text(f"{', '.join(row['agreed_by'])} agreed; another person must agree, too")


@app.command()
async def grant(
    approval: ApprovalArgument, operator: OperatorOption, reason: ReasonOption = "", env: EnvOption = Env.LOCAL
) -> None:
    """Approve exactly this content, once."""
    await _decide(env, approval, "granted", operator, reason)


@app.command()
async def deny(
    approval: ApprovalArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Deny this content: the case ends as denied."""
    await _decide(env, approval, "denied", operator, reason)


@app.command("return")
async def send_back(
    approval: ApprovalArgument, operator: OperatorOption, reason: ReasonOption, env: EnvOption = Env.LOCAL
) -> None:
    """Return this content: --reason says what to change. The new content goes through every check again."""
    await _decide(env, approval, "returned", operator, reason)


@app.command("hand-in")
async def hand_in(
    decision: Annotated[str, typer.Argument(metavar="JSON", help="A decision, as `approval grant` signs it.")],
    env: EnvOption = Env.LOCAL,
) -> None:
    """Submit a decision that an approver signed elsewhere, and print the case manager's answer."""
    signed = read_signed(SignedDecision, decision, "`approval grant`")
    typer.echo(f"{RESULT}{await hand_in_decision(resolve_target(env), signed)}")


def _public_fields(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "command"}


async def _decide(env: Env, approval: str, answer: ApprovalAnswer, operator: str, reason: str) -> None:
    result = await submit_decision(resolve_target(env), approval, answer, approver=operator, reason=reason)
    if result.startswith("refused"):
        raise CommandFailed(result, remedy="ask an approver of SWITCHYARD_APPROVERS who did not request it")
    console.print(result)


def check_decision(approver: str, reason: str) -> None:
    """Raises `CommandFailed` for what `approval_decision` would refuse, before anything is signed."""
    if not _APPROVER.fullmatch(approver):
        remedy = "use visible ASCII without blanks, at most 150 characters, as in SWITCHYARD_APPROVERS"
        raise CommandFailed("--operator: this is not an approver's name", remedy=remedy)
    if len(reason) > MAX_REASON or "\x00" in reason:
        raise CommandFailed(f"--reason: {len(reason)} characters", remedy=f"write at most {MAX_REASON}, without NUL")


@dataclass(frozen=True)
class SignedDecision:
    """What an approver signed: `approval_statement` of these fields and of the approval's own."""

    approval_id: str
    answer: str
    """As `ApprovalAnswer` has it; the case manager refuses another one."""

    content_sha256: str
    approver: str
    reason: str
    signed_at: str
    signature: str


async def submit_decision(target: Target, prefix: str, answer: ApprovalAnswer, *, approver: str, reason: str) -> str:
    """Sign a decision and hand it to the case manager; return its result. Raises `CommandFailed`.

    In AWS tasks read what waits and hand in what is signed: the key stays here.
    """
    from switchyard.protocol.signing import sign_statement
    from switchyard.protocol.statements import approval_statement
    from switchyard.runtime.core.clock import timestamp

    check_decision(approver, reason)
    if is_remote(target):
        pending = json.loads("\n".join(await read_remotely(target, "operator", ["approval", "list", "--json"])))
    else:
        async with open_pool(target, "operator") as pool:
            pending = await pool.fetch(_PENDING)
    row, signed_at = _choose(pending, prefix), timestamp(target.clock.now())
    named = {"approval_id": str(row["approval_id"]), "content_sha256": row["content_sha256"]}
    by = {"approver": approver, "reason": reason, "signed_at": signed_at}
    statement = approval_statement(**named, **by, case_id=str(row["case_id"]), pack=row["pack"], verdict=answer)
    signature = sign_statement(load_operator_key(target), statement)
    decision = SignedDecision(**named, **by, answer=answer, signature=signature)
    if not is_remote(target):
        return await hand_in_decision(target, decision)
    # Only a reviewer's task opens what would be sent.
    role = "reviewer" if answer == "granted" else "operator"
    result = await hand_in_remotely(target, role, ["approval", "hand-in", json.dumps(asdict(decision))])
    return result or "stored, not confirmed"


async def hand_in_decision(target: Target, decision: SignedDecision) -> str:
    """Hand a signed decision to the case manager; return its result. Raises `CommandFailed`, also for a granted
    content that cannot be read or is not what the approval names."""
    from asyncio import sleep

    from switchyard.runtime.core.clock import moment

    async with open_pool(target, "operator") as pool:
        row = _choose(await pool.fetch(_PENDING), decision.approval_id)
        if decision.answer == "granted":
            await _read_content(target, row)
        number = await pool.fetchval(
            "select decide($1, $2, $3, $4, $5, $6, $7)",
            *(row["approval_id"], decision.answer, decision.content_sha256, decision.approver, decision.reason),
            *(moment(decision.signed_at), decision.signature),
        )
        deadline = time.monotonic() + DECISION_TIMEOUT_S
        while time.monotonic() < deadline:
            result: str | None = await pool.fetchval("select decided($1)", number)
            if result is not None:
                return result
            await sleep(0.1)
    raise CommandFailed(
        "the case manager has not read the decision yet; the decision is stored and will take effect",
        remedy="check that the case manager is running: `switchyard stack status`",
    )


async def _read_content(target: Target, row: Any) -> str:
    """The content that waits, as a person reads it. Raises `CommandFailed` unless the approval names its hash."""
    command = json.loads(row["command"])
    reference = command["payload"]["content"]
    async with open_artefact_reader(target) as artefacts:
        content = await read_artefact(artefacts, command, reference)
    if hashlib.sha256(content).hexdigest() != row["content_sha256"]:
        raise CommandFailed(
            "the content differs from the approval: its hash is not the one in the approval",
            remedy="treat it as an incident: the case manager's table and the command disagree",
        )
    return artefact_text(reference, content) or f"({len(content)} bytes that are not text)"


def _choose(pending: Sequence[Any], prefix: str) -> Any:
    found = [row for row in pending if str(row["approval_id"]).startswith(prefix)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} pending approvals have" if found else "no pending approval has"
    raise CommandFailed(f"{what} an id that begins with {prefix}", remedy="see `switchyard approval list`")
