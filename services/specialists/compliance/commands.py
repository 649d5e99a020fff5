"""`switchyard rules`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from services.specialists.compliance.pack import PackError, RulePack, pack_in_force, released_packs
from services.specialists.compliance.rules import RULES
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed

app = typer.Typer(no_args_is_help=True)


@app.callback()
def rules_group() -> None:
    """Have a group, although there is one command yet."""


@app.command("list")
def list_rules(as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False) -> None:
    """List every rule: source, severity (its mildest verdict but a pass), when it runs, first day in force."""
    try:
        pack = pack_in_force(released_packs(), datetime.now(UTC))
    except PackError as error:
        raise CommandFailed(str(error), remedy="see services/specialists/compliance/packs/README.md") from error
    rows = _rows(pack)
    if as_json:
        told = {"pack": pack.version, "effective_from": pack.effective_from.isoformat(), "rules": rows}
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table("id", "name", "source", "severity", "runs at", Column("in force from", no_wrap=True))
    for row in rows:
        runs = ", ".join(row["stages"])
        table.add_row(*(str(row[name]) for name in ("id", "name", "citation", "severity")), runs, row["from"])
    console.print(table)
    console.print(
        f"rule pack {pack.version}, in force from {pack.effective_from} (UTC), required wording {pack.disclosures}"
    )
    console.print("Counsel must review a pack before it is used: services/specialists/compliance/packs/README.md")


def _rows(pack: RulePack) -> list[dict[str, Any]]:
    return [
        {
            "id": rule.id,
            "name": rule.name,
            "citation": rule.citation,
            "severity": rule.severity,
            "stages": list(rule.stages),
            "from": pack.effective_from_of(rule.id).isoformat(),
        }
        for rule in RULES.values()
    ]
