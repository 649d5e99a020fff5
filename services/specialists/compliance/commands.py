"""`switchyard rules`."""

from __future__ import annotations

from switchyard.cli.app.console import Field, console, print_json, print_rows
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import JsonOption

app = CommandGroup()
_FIELDS = (
    Field("id"),
    Field("name", wraps=True),
    Field("citation", "source", wraps=True),
    Field("severity"),
    Field("stages", "runs at", wraps=True),
    Field("from", "in force from"),
)


@app.callback()
def rules_group() -> None:
    """The rules of the compliance gate."""


@app.command("list")
def list_rules(as_json: JsonOption = False) -> None:
    """List each rule: its legal source, its severity, the stages at which it runs, and its first day in force."""
    from datetime import UTC, datetime

    from services.specialists.compliance.pack import PackError, pack_in_force, released_packs
    from services.specialists.compliance.rules import RULES

    try:
        pack = pack_in_force(released_packs(), datetime.now(UTC))
    except PackError as error:
        raise CommandFailed(str(error), remedy="see services/specialists/compliance/packs/README.md") from error
    rules = [
        {
            "id": rule.id,
            "name": rule.name,
            "citation": rule.citation,
            "severity": rule.severity,
            "stages": rule.stages,
            "from": pack.effective_from_of(rule.id).isoformat(),
        }
        for rule in RULES.values()
    ]
    since = pack.effective_from.isoformat()
    if as_json:
        print_json({"pack": pack.version, "effective_from": since, "disclosures": pack.disclosures, "rules": rules})
        return
    print_rows(rules, _FIELDS)
    console.print(f"rule pack {pack.version}, in force from {since} (UTC), disclosures {pack.disclosures}")
    console.print("Counsel must review a pack before use: services/specialists/compliance/packs/README.md")
