"""`switchyard audit replay`: decide again what was decided, or have a failed task done again."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from switchyard.audit.records.stored_row import StoredRow
from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE, verify_case
from switchyard.cli.app import corpus
from switchyard.cli.app.audit_log import open_audit_reader, resolve_case_id
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.target import Env, EnvOption, Target, open_readable_target, resolve_target
from switchyard.cli.commands.case_retry import retry_case
from switchyard.protocol.signing import OperatorKeys
from switchyard.router.replay import Divergence, replay_case
from switchyard.router.state_seal import RecordedSeal, StateSeal

MAX_SHOWN_DIVERGENCES = 20
_KEYS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


@dataclass
class ReplayReport:
    """What a replay found. Lists are cut at `MAX_SHOWN_DIVERGENCES`; the counts are not."""

    cases: int = 0
    decisions: int = 0
    undecided: int = 0
    diverged: int = 0
    unverified: int = 0
    retired: int = 0
    divergences: list[Divergence] = field(default_factory=list)
    verification_failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every decision would be the same today, on a log that holds."""
        return not self.diverged and not self.unverified


@dataclass(frozen=True)
class ReplayKeys:
    """What decides whether a seal and an operator's signature are believed or checked."""

    seal: StateSeal
    operators: OperatorKeys | None


def replay_decisions(  # noqa: PLR0917 - options, each by its name
    case_id: Annotated[str | None, typer.Argument(help="One case; all without it.")] = None,
    day: Annotated[str | None, typer.Option(help="Cases opened on this day, YYYY-MM-DD.")] = None,
    corpus_file: Annotated[Path | None, typer.Option("--corpus", help="Replay a file instead of the log.")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write what is replayed to this file, as a corpus.")] = None,
    seals: Annotated[
        bool, typer.Option("--seals", help="Check seals and signatures, too: needs SWITCHYARD_STATE_KEYS.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Have the task that failed done again, for real.")] = False,
    operator: Annotated[str | None, typer.Option(help="With --live: who asks.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="With --live: the operator's key; else SWITCHYARD_OPERATOR_KEY.")
    ] = None,
    reason: Annotated[str, typer.Option(help="With --live: what was fixed.")] = "The cause was fixed.",
    wait: Annotated[float, typer.Option(help="With --live: seconds to wait for the new ending.")] = 120,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Decide again what the router decided, from the log alone, and name the first decision that differs in each case.

    With --live, a case that failed is opened again and its failed task repeated. Exit code 1 if anything differs.
    """
    if live:
        if case_id is None or operator is None:
            raise CommandFailed(
                "a live replay is of one case and has a name to it", remedy="--live CASE --operator NAME"
            )
        asyncio.run(
            retry_case(resolve_target(env), case_id, operator=operator, reason=reason, key_file=key, wait_s=wait)
        )
        return
    started = time.monotonic()
    found = asyncio.run(replay_scope(env, case_id, _day(day), corpus_file, save, check_seals=seals))
    for divergence in found.divergences:
        console.print(f"diverged: {divergence}", style="red", markup=False)
    for doubt in found.verification_failures:
        console.print(f"not replayed: {doubt}", style="red", markup=False)
    if found.undecided:
        console.print(f"{found.undecided} events have no decision in the log yet")
    if found.retired:
        console.print(f"{found.retired} cases were not replayed: retention has let their bodies go")
    took = time.monotonic() - started
    console.print(f"{found.cases} cases, {found.decisions} decisions replayed in {took:.1f} s")
    if found.unverified:
        console.print(f"{found.unverified} cases were not replayed: their chain does not hold", style="red")
    console.print("replay: [green]no divergence[/green]" if not found.diverged else _diverged(found.diverged))
    if not found.ok:
        raise typer.Exit(1)


def replay_and_count(
    rows: list[StoredRow], keys: ReplayKeys, found: ReplayReport, *, grace: timedelta = VERIFICATION_GRACE
) -> None:
    """Replay one case and count it in. A case whose chain does not hold is not replayed: its texts prove nothing.

    `grace` is how long a cause may be on its way; in a file nothing is.
    """
    found.cases += 1
    if not all(each.row.body for each in rows):
        found.retired += 1  # their receipt proves that they were, not what was decided
        return
    verdict = verify_case(rows, now=datetime.now(UTC), grace=grace)
    if verdict.findings:
        found.unverified += 1
        first = verdict.findings[0]
        if len(found.verification_failures) < MAX_SHOWN_DIVERGENCES:
            found.verification_failures.append(
                f"case {verdict.case_id} event {first.event_id}: {first.kind}, {first.why}"
            )
        return
    replayed = replay_case([each.row.body for each in rows], keys.seal, operators=keys.operators)
    found.decisions += replayed.decisions
    found.undecided += replayed.undecided
    if replayed.divergence is not None:
        found.diverged += 1
        if len(found.divergences) < MAX_SHOWN_DIVERGENCES:
            found.divergences.append(replayed.divergence)


async def replay_scope(
    env: Env, named: str | None, day: date | None, corpus_file: Path | None, save: Path | None, *, check_seals: bool
) -> ReplayReport:
    """Replay a case, a day, everything, or a file. Raises `CommandFailed` for what cannot be read."""
    found = ReplayReport()
    with corpus.open_corpus_writer(save) as write:
        if corpus_file is not None:
            keys = _keys(Target(os.environ), check=check_seals)
            for rows in corpus.read_cases(corpus_file):
                replay_and_count(rows, keys, found, grace=timedelta(0))
            return found
        async with open_readable_target(env) as target, open_audit_reader(target) as log:
            keys = _keys(target, check=check_seals)
            case_id = await resolve_case_id(log, named) if named else None
            async with aclosing(log.cases(case_id=case_id, day=day)) as cases:
                async for rows in cases:
                    replay_and_count(rows, keys, found)
                    write(rows)
            if case_id is not None and not found.cases:
                found.cases, found.retired = 1, 1  # of its rows only receipts are left: its month was dropped
    return found


def _keys(target: Target, *, check: bool) -> ReplayKeys:
    if not check:
        return ReplayKeys(RecordedSeal(), None)
    try:
        state = _KEYS.validate_json(target.need("SWITCHYARD_STATE_KEYS"))
        signers = _KEYS.validate_json(target.get("SWITCHYARD_OPERATORS") or "{}")
        return ReplayKeys(
            StateSeal({name: bytes.fromhex(key) for name, key in state.items()}),
            OperatorKeys({name: bytes.fromhex(key) for name, key in signers.items()}),
        )
    except (ValidationError, ValueError) as error:
        raise CommandFailed(
            "SWITCHYARD_STATE_KEYS or SWITCHYARD_OPERATORS is not JSON of hex keys by name",
            remedy="export them as the router has them",
        ) from error


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise CommandFailed(f"{text} is no day", remedy="write it as 2026-11-21") from error


def _diverged(count: int) -> str:
    return f"replay: [red]{count} case{'' if count == 1 else 's'} would go another way today[/red]"
