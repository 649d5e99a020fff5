"""`switchyard audit export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app.audit_log import open_audit_reader, open_exporter, resolve_case_id
from switchyard.cli.app.console import console, count
from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.app.options import CaseArgument, EnvOption, RunOption
from switchyard.cli.app.target import Env, open_readable_target


async def export(
    case: CaseArgument,
    out: Annotated[Path | None, typer.Option(help="The file to write; case-ID.json without it.")] = None,
    kit: Annotated[
        Path | None, typer.Option(help="Write a folder instead: case, verifier, and a page that explains both.")
    ] = None,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Write a case with everything that proves it, for an auditor.

    Exit code 1 if an event is not yet covered by a checkpoint.
    """
    from switchyard.audit.export.kit import write_kit
    from switchyard.audit.export.standalone import verify_bundle
    from switchyard.protocol.signing import name_source_keys

    if out is not None and kit is not None:
        raise InvalidArgument("--out and --kit exclude each other", remedy="leave one out")

    async with open_readable_target(env, run) as target:
        async with open_audit_reader(target) as log:
            case_id = await resolve_case_id(log, case)
        async with open_exporter(target) as exporter:
            bundle, uncovered_rows = await exporter.export(case_id)
        settings = target.settings
    keys = settings.checkpoint_public_keys
    events, checkpoints = count(len(bundle["events"]), "event"), count(len(bundle["checkpoints"]), "checkpoint")
    if kit is not None:
        rings = {
            "approvers": settings.approvers,
            "operators": settings.operators,
            "sources": name_source_keys(settings.principal_keys),
        }
        written = write_kit(kit, bundle, rings)
        console.print(f"{kit}: {events} under {checkpoints}; the auditor begins with {written[0]}", soft_wrap=True)
        console.print("The auditor must get the key from its owner (KMS), not from this folder.")
        _end(uncovered_rows)
        return
    file = out or Path(f"case-{bundle['case_id']}.json")
    file.write_text(json.dumps(bundle, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    console.print(f"{file}: {events} under {checkpoints}", soft_wrap=True)
    verifier = Path(verify_bundle.__file__)
    shown = verifier.relative_to(Path.cwd()) if verifier.is_relative_to(Path.cwd()) else verifier
    named = " ".join(f"--key {key}" for key in keys.replace(" ", "").split(","))
    console.print(f"verify it with: python3 -I {shown} {file} {named}", soft_wrap=True)
    console.print("The auditor must get the key from its owner (KMS), not from this output.")
    _end(uncovered_rows)


def _end(uncovered_rows: int) -> None:
    if uncovered_rows:
        console.print(f"[red]{count(uncovered_rows, 'event')} without a checkpoint yet[/red]: export again in a minute")
        raise typer.Exit(1)
