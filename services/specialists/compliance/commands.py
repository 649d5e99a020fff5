"""`switchyard rules`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.cli.app.console import Field, console, print_json, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import JsonOption

if TYPE_CHECKING:
    from services.specialists.compliance.pack import RulePack

app = CommandGroup()
_COLOURS = {"pass": "green", "warn": "yellow", "reschedule": "yellow", "block": "red", "unknown": "red"}
PackOption = Annotated[Path | None, typer.Option("--pack", help="A pack's file, released or not.")]
TenantOption = Annotated[str | None, typer.Option(help="The tenant, which may have a pack of its own.")]
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
def list_rules(tenant: TenantOption = None, pack_file: PackOption = None, as_json: JsonOption = False) -> None:
    """List each rule: its legal source, its severity, the stages at which it runs, and its first day in force."""
    from datetime import UTC

    from services.specialists.compliance.rules import RULES

    pack = _pack(pack_file, tenant, datetime.now(UTC))
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


@app.command()
def check(  # noqa: PLR0917 - options, each by its name
    facts: Annotated[Path, typer.Argument(metavar="FACTS", help="JSON: an account's facts, or a whole submission.")],
    draft: Annotated[
        Path | None, typer.Argument(metavar="DRAFT", help="The email as a file of its bytes, or its text alone.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="The email's purpose, if FACTS is not a submission.")] = None,
    stage: Annotated[str | None, typer.Option(help="contact, email or sending; email with a DRAFT.")] = None,
    at: Annotated[str | None, typer.Option(help="The moment, as 2026-11-20T17:30:00Z; now without it.")] = None,
    tenant: TenantOption = None,
    pack_file: PackOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try the rules on an account and a draft: each rule's verdict, and the sentence that fired. Nothing is recorded.

    Exit code 1 if a rule stops the email.
    """
    from datetime import UTC

    from services.specialists.compliance import dry_run

    now = datetime.now(UTC) if at is None else _moment(at)
    try:
        given = dry_run.read_facts(_read(facts).decode("utf-8"))
    except (dry_run.InvalidFacts, UnicodeDecodeError) as error:
        from switchyard.protocol.errors import why_unreadable

        raise InvalidArgument(f"{facts}: {why_unreadable(error)}", remedy="see `switchyard sample email`") from error
    why = purpose or given.purpose
    where = stage or ("email" if draft else "contact")
    if where not in dry_run.STAGES or (where == "email" and draft is None):
        remedy = f"give --stage, one of {', '.join(dry_run.STAGES)}; email needs a DRAFT"
        raise InvalidArgument(f"the stage {where} cannot be checked", remedy=remedy)
    pack = _pack(pack_file, tenant or given.tenant, now)
    remedy = f"give --purpose, one of {', '.join(pack.wording.purposes)}"
    if why is None:
        raise InvalidArgument("the purpose is missing", remedy=remedy)
    if (unknown := pack.wording.unknown_purpose(why)) is not None:
        raise InvalidArgument(unknown, remedy=remedy)
    if pack_file is not None and pack.effective_from > now.date():
        print_text(f"the pack begins on {pack.effective_from}: checked as if it had", style="yellow")
        pack = pack.model_copy(update={"effective_from": now.date()})
    message = None if draft is None else dry_run.read_draft(_read(draft), given.facts, now)
    verdicts = dry_run.check_draft(given.facts, why, now, pack, draft=message, stage=where)
    stopped = [each.result.rule.id for each in verdicts if each.result.blocks]
    if as_json:
        rules = [each.fields() for each in verdicts]
        print_json({"pack": pack.version, "stage": where, "at": now, "stopped_by": stopped, "rules": rules})
    else:
        for each in verdicts:
            result = each.result
            print_text(
                f"{result.rule.id} {result.verdict.kind}: {result.rule.name}", style=_COLOURS[result.verdict.kind]
            )
            for evidence in result.verdict.evidence:
                print_text(f"    {evidence}")
            for sentence in each.sentences:
                print_text(f"    > {sentence}")
            if result.verdict.until is not None:
                print_text(f"    permitted from {result.verdict.until:%Y-%m-%d %H:%M} UTC")
        ended = f"stopped by {', '.join(stopped)}" if stopped else "no rule stops it; the judge reads it besides"
        print_text(f"pack {pack.version}, stage {where}, {now:%Y-%m-%d %H:%M} UTC: {ended}")
    if stopped:
        raise typer.Exit(1)


def _pack(file: Path | None, tenant: str | None, now: datetime) -> RulePack:
    """The pack of a file, or that in force for a tenant. Raises `CommandFailed`."""
    from contracts.documents.wording import WordingError, configured_wording
    from services.specialists.compliance import pack as packs

    try:
        wording = configured_wording()
        if file is not None:
            return packs.load_pack(file, wording)
        folder = Path(os.environ.get("SWITCHYARD_RULE_PACKS") or packs.PACKS_FOLDER)
        return packs.pack_in_force(packs.packs_for(packs.released_packs(folder, wording), tenant or ""), now)
    except (packs.PackError, WordingError) as error:
        raise CommandFailed(str(error), remedy="see services/specialists/compliance/packs/README.md") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{file} cannot be read: {error.strerror}", remedy="name a readable file") from error


def _moment(text: str) -> datetime:
    remedy = "write it as 2026-11-20T17:30:00Z"
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgument(f"--at {text}: {error}", remedy=remedy) from error
    if found.tzinfo is None:
        raise InvalidArgument(f"--at {text}: it has no time zone", remedy=remedy)
    return found
