"""`switchyard audit export`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from switchyard.audit.export.standalone import verify_bundle
from switchyard.cli.app.audit_log import open_audit_reader, resolve_case_id
from switchyard.cli.app.checkpoint_store import open_exporter
from switchyard.cli.app.console import console
from switchyard.cli.app.target import Env, EnvOption, open_readable_target
from switchyard.protocol.fields import Json


def export(
    case_id: Annotated[str, typer.Argument(help="The case, or the beginning of its id.")],
    out: Annotated[Path | None, typer.Option(help="The file to write; case-ID.json without it.")] = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Write a case with everything that proves it, for an auditor.

    Exit code 1 if an event is not covered by a checkpoint yet.
    """
    bundle, uncovered_rows, keys = asyncio.run(_export(env, case_id))
    file = out or Path(f"case-{bundle['case_id']}.json")
    file.write_text(json.dumps(bundle, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    console.print(
        f"{file}: {len(bundle['events'])} events under {len(bundle['checkpoints'])} checkpoints", soft_wrap=True
    )
    verifier = Path(verify_bundle.__file__)
    shown = verifier.relative_to(Path.cwd()) if verifier.is_relative_to(Path.cwd()) else verifier
    named = " ".join(f"--key {key}" for key in keys.replace(" ", "").split(","))
    console.print(f"verify it with: python3 -I {shown} {file} {named}", soft_wrap=True)
    console.print("The auditor must have the key from its owner (KMS), and not from here.")
    if uncovered_rows:
        console.print(f"[red]{uncovered_rows} of its events have no checkpoint yet[/red]: export it again in a minute")
        raise typer.Exit(1)


async def _export(env: Env, named: str) -> tuple[Json, int, str]:
    async with open_readable_target(env) as target:
        async with open_audit_reader(target) as log:
            case_id = await resolve_case_id(log, named)
        async with open_exporter(target) as exporting:
            return *await exporting.export(case_id), target.need("SWITCHYARD_CHECKPOINT_PUBLIC_KEYS")
