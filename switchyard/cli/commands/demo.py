"""`switchyard demo`: the application's own cases on a stack of its own, and the log of it all."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.console import Field, console, count, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import load_app
from switchyard.cli.app.target import Target, use_devstack

if TYPE_CHECKING:
    from switchyard.audit.verification.audit_reader import AuditReader, CaseSummary

DEMO_SOURCE = "upstream.demo"
DEMO_TIMEOUT_S = 120.0
"""How long the demo waits for its cases before it reports which are open."""

DELIVERY_S = timedelta(seconds=15)
"""How long audit may trail the last closed case."""

POLL_INTERVAL_S = 0.2
_COLUMNS = (Field("case"), Field("playbook"), Field("hops"), Field("ms"), Field("outcome"), Field("expected"))


async def demo() -> None:
    """Start a stack of its own, submit the application's demo cases, and check how each ends and what was recorded.

    Exit code 1 if a case ends otherwise than it should, or the log is not what was published. The log stays readable.
    """
    cases = load_demo_cases()
    with use_devstack():
        from switchyard.devstack.errors import AlreadyRunning
        from switchyard.devstack.stack.home import DEMO_HOME, Home, default_home
        from switchyard.devstack.stack.local_stack import build_stack

        home = Home(default_home() / DEMO_HOME)
        if home.in_use():
            raise AlreadyRunning(home.folder, home.supervisor() or 0)
        if home.folder.exists():
            shutil.rmtree(home.folder)
        started = time.monotonic()
        console.print("Starting PostgreSQL, the AWS emulator, the simulators and every service …")
        async with build_stack(home.folder) as stack:
            console.print(f"{len(stack.status())} processes are ready after {time.monotonic() - started:.1f} s.")
            ok, example = await _submit(Target(stack.exports), cases)
    console.print("\nNext (the log of this run stays readable):")
    for command in (f"case show {example[:8]} --open", "audit verify", "audit replay", "stack up --detach"):
        console.print(f"  switchyard {command}", style="green")
    if not ok:
        raise typer.Exit(1)


def load_demo_cases() -> list[dict[str, Any]]:
    """The App's demo cases: `submission` and `outcome` of each. Raises `CommandFailed` naming what is wrong."""
    import json

    import yaml

    from switchyard.app.application import resource_path
    from switchyard.cli.app.submissions import read_submission

    if (reference := load_app().demo_cases) is None:
        raise CommandFailed("the application has no demo", remedy="name a file of cases in App.demo_cases")
    path: Path = resource_path(reference)
    try:
        cases = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        from switchyard.protocol.errors import why_unreadable

        raise CommandFailed(f"{path} cannot be read: {why_unreadable(error)}", remedy="correct the file") from error
    if not isinstance(cases, list) or not cases:
        raise CommandFailed(f"{path}: no cases", remedy="write a list of `submission` and `outcome`")
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict) or case.keys() != {"submission", "outcome"}:
            raise CommandFailed(f"{path}: case {number}: not as expected", remedy="give `submission` and `outcome`")
        if case["outcome"] not in load_app().all_outcomes:
            known = ", ".join(load_app().all_outcomes)
            raise CommandFailed(f"{path}: case {number}: outcome: {case['outcome']}", remedy=f"name one of {known}")
        if isinstance(problem := read_submission(json.dumps(case["submission"])), str):
            raise CommandFailed(f"{path}: case {number}: {problem}", remedy="correct the submission")
    return cases


async def _submit(target: Target, cases: list[dict[str, Any]]) -> tuple[bool, str]:
    """Publish, wait, print; whether all is as it should be, and a case to look at."""
    from switchyard.cli.app.submissions import publish_submissions
    from switchyard.cli.commands.audit.reconcile import open_reconciler

    submissions = [case["submission"] for case in cases]
    ids = await publish_submissions(target, submissions, source=DEMO_SOURCE)
    async with audit_log.open_audit_reader(target) as log:
        found = await _wait(log, ids)
        report = await log.verify()
    async with open_reconciler(target, DELIVERY_S) as reconciler:
        compared = await reconciler.run(None, after_index=0)
    rows = [
        {
            "case": case_id[:8],
            "playbook": summary.playbook_version if summary else "",
            "hops": summary.hops if summary else 0,
            "ms": summary.duration_ms if summary else None,
            "outcome": (summary.outcome if summary else None) or "open",
            "expected": case["outcome"],
        }
        for case_id, case, summary in zip(ids, cases, found, strict=True)
    ]
    print_rows(rows, _COLUMNS)
    wrong = sum(row["outcome"] != row["expected"] for row in rows)
    published = sum(compared.published.values())
    console.print(
        f"{count(len(rows), 'case')}, {wrong} otherwise than expected.\n"
        f"Events stored by their producers: {published}, each in the log: {'yes' if compared.ok else 'NO'}. "
        f"Rows in the log: {report.rows}. Hash chain: {'ok' if report.ok else 'broken'}."
    )
    return not wrong and report.ok and compared.ok, ids[0]


async def _wait(log: AuditReader, ids: list[str]) -> list[CaseSummary | None]:
    """The cases' summaries once all have ended, or the time is over."""
    from asyncio import sleep

    deadline = time.monotonic() + DEMO_TIMEOUT_S
    while True:
        found = [await log.summary(case_id) for case_id in ids]
        ended = sum(each is not None and each.outcome is not None for each in found)
        if ended == len(ids) or time.monotonic() > deadline:
            return found
        await sleep(POLL_INTERVAL_S)
