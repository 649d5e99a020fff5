"""`switchyard audit replay`: decide again what the router decided. Reads only."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.audit_log import open_audit_reader, resolve_case_id
from switchyard.cli.app.console import console, count, print_json, print_text
from switchyard.cli.app.keys import report_invalid_keys
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.options import AnyCaseArgument, DayOption, EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, Target, open_readable_target

if TYPE_CHECKING:
    from switchyard.audit.records.stored_row import StoredRow
    from switchyard.protocol.signing import OperatorKeys
    from switchyard.router.replay import Divergence
    from switchyard.router.state_seal import StateSeal

    ReplayKeys = tuple[StateSeal | None, OperatorKeys | None]

MAX_SHOWN_DIVERGENCES = 20


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
    forgotten_inputs: list[str] = field(default_factory=list)
    """Of a single case: what a step was given and is gone since. The decisions do not depend on it."""

    @property
    def ok(self) -> bool:
        """Whether every decision would be the same today, on a log that verifies."""
        return not self.diverged and not self.unverified


async def replay(  # noqa: PLR0917 - options, each by its name
    case: AnyCaseArgument = None,
    day: DayOption = None,
    corpus_file: Annotated[
        Path | None,
        typer.Option("--corpus", exists=True, dir_okay=False, readable=True, help="Replay a file instead of the log."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Also write what is replayed to this file, as a corpus.")] = None,
    seals: Annotated[
        bool, typer.Option("--seals", help="Also check seals and signatures: needs SWITCHYARD_STATE_KEYS.")
    ] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Run chosen cases again, in memory, with what the next options name.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="simulator, openai:NAME, bedrock:ID; or NAME.")] = None,
    base_url: Annotated[str | None, typer.Option(help="An OpenAI-compatible server that has the model.")] = None,
    prompt: Annotated[list[str] | None, typer.Option(metavar="AGENT/NAME=FILE", help="Another prompt.")] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent's tasks; may be repeated.")] = None,
    pack: Annotated[str | None, typer.Option(help="A rule pack's version, or its file.")] = None,
    playbook: Annotated[str | None, typer.Option(metavar="VERSION", help="Another playbook version.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only cases with this outcome.")] = None,
    session: Annotated[str | None, typer.Option(help="One conversation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of cases of a what-if.")] = 50,
    reveal: Annotated[bool, typer.Option("--open", help="Show the texts, which may be personal.")] = False,
    page: Annotated[Path | None, typer.Option(help="Also write an HTML page here.")] = None,
    as_json: JsonOption = False,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Decide again what the router decided, from the log alone, and name the first decision that differs in each case.

    Nothing is published and nothing is changed. Exit code 1 if a decision differs.

    With --what-if: how cases would have gone. Exit code 1 only if a chain is broken.
    """
    from switchyard.cli.commands.audit import what_if as trial

    options = trial.WhatIfOptions(
        case, day.date() if day else None, outcome, session, limit, tuple(agent or ()), model, base_url,
        tuple(prompt or ()), pack, playbook, reveal, page,
    )  # fmt: skip
    if what_if:
        await trial.show_what_if(options, env=env, run=run, as_json=as_json)
        return
    trial.refuse_without_what_if(options)
    started = time.monotonic()
    found = await replay_scope(env, case, day.date() if day else None, corpus_file, save, check_seals=seals, run=run)
    if as_json:
        print_json({**asdict(found), "divergences": [str(each) for each in found.divergences], "ok": found.ok})
    else:
        _print_report(found, time.monotonic() - started)
    if not found.ok:
        raise typer.Exit(1)


def _print_report(found: ReplayReport, seconds: float) -> None:
    for divergence in found.divergences:
        print_text(f"diverged: {divergence}", style="red")
    for failure in found.verification_failures:
        print_text(f"not replayed: {failure}", style="red")
    for forgotten in found.forgotten_inputs:
        print_text(f"input forgotten: {forgotten}", style="yellow")
    if found.undecided:
        console.print(f"{count(found.undecided, 'event')} without a decision in the log yet")
    if found.retired:
        console.print(f"{count(found.retired, 'case')} not replayed: retention has retired the bodies")
    console.print(f"{count(found.cases, 'case')}, {count(found.decisions, 'decision')} replayed in {seconds:.1f} s")
    if found.unverified:
        print_text(f"{count(found.unverified, 'case')} not replayed: the chain is broken", style="red")
    if found.diverged:
        print_text(f"replay: {count(found.diverged, 'case')} would be decided otherwise today", style="red")
    else:
        console.print("replay: [green]no divergence[/green]")


def replay_and_count(
    rows: list[StoredRow], found: ReplayReport, keys: ReplayKeys = (None, None), grace: timedelta | None = None
) -> None:
    """Replay one case and count it. A case whose chain is broken is not replayed: its texts prove nothing.

    The keys check seals and signatures. `grace` is how long a cause may be in flight; for a file it is zero.
    """
    from switchyard.audit.verification.case_verifier import VERIFICATION_GRACE, verify_case
    from switchyard.router.replay import replay_case

    app = load_app()
    found.cases += 1
    if any(each.retired for each in rows):
        found.retired += 1  # the receipt proves that there were decisions, not which
        return
    grace = VERIFICATION_GRACE if grace is None else grace
    verdict = verify_case(app.catalogue, rows, now=datetime.now(UTC), grace=grace)
    if verdict.findings:
        found.unverified += 1
        first = verdict.findings[0]
        where = f"case {verdict.case_id} event {first.event_id}"
        if len(found.verification_failures) < MAX_SHOWN_DIVERGENCES:
            found.verification_failures.append(f"{where}: {first.kind}, {first.why}")
        return
    bodies = [each.row.body for each in rows]
    replayed = replay_case(bodies, app.routing_table, keys[0], operators=keys[1])
    found.decisions += replayed.decisions
    found.undecided += replayed.undecided
    if replayed.divergence is not None:
        found.diverged += 1
        if len(found.divergences) < MAX_SHOWN_DIVERGENCES:
            found.divergences.append(replayed.divergence)


async def replay_scope(
    env: Env,
    prefix: str | None,
    day: date | None,
    corpus_file: Path | None,
    save: Path | None,
    *,
    check_seals: bool,
    run: str | None = None,
) -> ReplayReport:
    """Replay a case, a day, everything, or a file. Raises `CommandFailed` for an input that cannot be read."""
    from switchyard.cli.app import corpus

    found = ReplayReport()
    with corpus.open_corpus_writer(save) as write:
        if corpus_file is not None:
            keys = _load_keys(Target(os.environ)) if check_seals else (None, None)
            for rows in corpus.read_cases(load_app().catalogue, corpus_file):
                replay_and_count(rows, found, keys, timedelta(0))
            return found
        async with open_readable_target(env, run) as target, open_audit_reader(target) as log:
            keys = _load_keys(target) if check_seals else (None, None)
            case_id = await resolve_case_id(log, prefix) if prefix else None
            async with aclosing(log.cases(case_id=case_id, day=day)) as cases:
                async for rows in cases:
                    replay_and_count(rows, found, keys)
                    write(rows)
            if case_id is not None:
                found.forgotten_inputs = await audit_log.list_forgotten_inputs(target, case_id)
            if case_id is not None and not found.cases:
                found.cases, found.retired = 1, 1  # only receipts are left: the partition of its month was dropped
    return found


def _load_keys(target: Target) -> ReplayKeys:
    from switchyard.protocol.signing import OperatorKeys
    from switchyard.router.state_seal import StateSeal

    with report_invalid_keys():
        return StateSeal(target.settings.state_keys), OperatorKeys(target.settings.operators)
