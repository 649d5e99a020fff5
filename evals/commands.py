"""`switchyard evals`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from switchyard.cli.app import audit_log
from switchyard.cli.app.access_chain import read_user
from switchyard.cli.app.console import Field, count, print_rows, print_text
from switchyard.cli.app.errors import CommandFailed, InvalidArgument
from switchyard.cli.app.lazy import CommandGroup
from switchyard.cli.app.options import CaseArgument, EnvOption, JsonOption, RunOption
from switchyard.cli.app.target import Env, open_readable_target

app = CommandGroup()
CANDIDATES = Path("evals") / "candidates"


@app.callback()
def evals_group() -> None:
    """Make eval cases of real ones; measure how far the judge agrees with people."""


@app.command("from-case")
async def write_candidates(
    case: CaseArgument,
    out: Annotated[Path, typer.Option(help="The folder of the candidates.")] = CANDIDATES,
    run: RunOption = None,
    env: EnvOption = Env.LOCAL,
) -> None:
    """Write a case that has ended as candidates for the labelled sets, with stand-ins for personal data.

    A candidate has no label, and no suite reads it, until a person has reviewed it.
    """
    from evals.from_case import build_candidates

    async with open_readable_target(env, run) as target, audit_log.open_audit_reader(target) as log:
        case_id = await audit_log.resolve_case_id(log, case)
        summary = await log.summary(case_id)
        if summary is None or summary.outcome is None:
            raise CommandFailed(f"case {case_id} has not ended", remedy="wait for its end, or see `case show`")
        bodies, problem = await audit_log.read_proved_bodies(log, case_id)
        if problem is not None:
            raise CommandFailed(f"case {case_id} cannot be used: {problem}", remedy="choose another case")
        events = [json.loads(body)["detail"] for body in bodies]
        async with audit_log.open_artefact_reader(target) as artefacts:

            async def read(event: dict[str, object], reference: object) -> bytes:
                return await audit_log.read_artefact(artefacts, event, reference)  # type: ignore[arg-type]

            found = await build_candidates(events, summary.outcome, read, await read_user(artefacts, events))
    if not found:
        raise CommandFailed(f"no suite asks what case {case_id} asked", remedy="see evals/README.md")
    out.mkdir(parents=True, exist_ok=True)
    for each in found:
        file = out / each.file_name
        file.write_text(each.to_yaml(), encoding="utf-8")
        print_text(f"{file}: {each.suite}, {each.did}")
    print_text(f"{count(len(found), 'candidate')} without a label: read each for names that no field knew")


@app.command("calibration")
def show_calibration(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="People's labels beside the judge's verdicts.")],
    judged: Annotated[int, typer.Option(min=0, help="Drafts that the judge has read since.")] = 0,
    failed: Annotated[int, typer.Option(min=0, help="How many of them it failed.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show how far the judge agrees with people, by criterion; with --judged and --failed, the corrected rate."""
    from switchyard.evals.calibration import ENOUGH_LABELS, calibrate, read_calibration
    from switchyard.evals.prompted_suite import DatasetError

    if failed > judged:
        raise InvalidArgument(f"--failed {failed} is more than --judged {judged}", remedy="give both counts")
    try:
        found = read_calibration(file)
    except DatasetError as error:
        raise InvalidArgument(str(error), remedy="see evals/README.md") from error
    rows = []
    for each in calibrate(found.labels):
        corrected = each.correct(failed, judged)
        rows.append(
            {
                "criterion": each.criterion,
                "labels": each.labels,
                "kappa": _rounded(each.kappa),
                "sensitivity": _rounded(each.sensitivity),
                "specificity": _rounded(each.specificity),
                "failures": _rounded(corrected.rate if corrected else None),
                "low": _rounded(corrected.low if corrected else None),
                "high": _rounded(corrected.high if corrected else None),
            }
        )
    fields = [
        Field(name)
        for name in ("criterion", "labels", "kappa", "sensitivity", "specificity", "failures", "low", "high")
    ]
    print_rows(rows, fields, as_json=as_json)
    if not as_json:
        print_text(f"{found.model}, prompt {found.prompt_version}: {count(len(found.labels), 'label')}")
        few = [each.criterion for each in calibrate(found.labels) if each.labels < ENOUGH_LABELS]
        if few or not rows:
            print_text(f"not calibrated, under {ENOUGH_LABELS} labels: {', '.join(few) or 'every criterion'}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
