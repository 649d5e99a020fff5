"""Runs the well-data agent over its questions and compares its figures with gold that other code computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from contracts.documents.findings import Figure
from demo.oil_field.warehouse import BASINS_BY_ROLE
from demo.oil_field.well_files import WELL_FILES, WELLS_AS_OF
from evals.cases import WellCase, hash_dataset
from evals.well_gold import PYTHON_GOLD, GoldRows, sql_gold
from services.specialists.well_data.agent import WELL_PROMPT_VERSION, Computed, WellAgent, compute_answer
from services.specialists.well_data.field_data import FieldData
from services.specialists.well_data.loading.load import InputFile, parse_file
from services.specialists.well_data.results import format_number
from services.specialists.well_data.store import DataRequest, build_field_data
from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult, share
from switchyard.runtime.core.errors import TaskError

NOTHING = "nothing"
HALF_OF_THE_LAST_DECIMAL = 0.005000001


@cache
def field_of(role: str) -> FieldData:
    """The demo's wells that a role may see, through the loader's own parsers but without a database."""
    parsed = {path.name: parse_file(InputFile(path.name, path.read_bytes())) for path in WELL_FILES}
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, content in parsed.items():
        rows.setdefault(content.kind, []).extend({"line": 0, **record, "uri": name} for record in content.records)
    basins = BASINS_BY_ROLE[role]
    wells = [row for row in rows["wells"] if not basins or row["basin"] in basins]
    apis, leases = {row["api"] for row in wells}, {row["lease"] for row in wells}
    for kind, found in rows.items():
        if kind == "lease_meters":
            rows[kind] = [row for row in found if row["lease"] in leases]
        elif kind != "wells":
            rows[kind] = [row for row in found if row["api"] in apis]
    return build_field_data(
        WELLS_AS_OF,
        wells=wells,
        months=rows["production"],
        outages=rows["downtime"],
        lease_months=rows["lease_meters"],
        stations=rows["survey"],
        curves=rows["log"],
    )


@dataclass(slots=True)
class WellTally:
    """What happened over all runs of all cases."""

    wanted: int = 0
    right: int = 0
    codes_wanted: int = 0
    refused_rightly: int = 0
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WellSuite:
    """The agent, and where it reads."""

    agent: WellAgent
    data_of: Callable[[str], FieldData] = field_of

    async def run(self, cases: Sequence[WellCase], run: EvalRun) -> SuiteResult:
        """Every case, so many times."""
        tally = WellTally()
        results = await run.score(cases, lambda case: self._note(case, tally))
        return SuiteResult(
            suite="well_data",
            model=run.model,
            deterministic=run.model == SIMULATOR_MODEL,
            prompt_version=WELL_PROMPT_VERSION,
            dataset_version=hash_dataset("well_data"),
            rates={
                "figures_right": share(tally.right, tally.wanted),
                "refused_rightly": share(tally.refused_rightly, tally.codes_wanted),
            },
            violations=tuple(tally.violations),
            cases=results,
        )

    async def _note(self, case: WellCase, tally: WellTally) -> str:
        """What went wrong, or empty text."""
        data = self.data_of(case.role)

        async def read(request: DataRequest) -> FieldData:
            request.choose(data.wells)
            return data

        try:
            computed, _ = await compute_answer(case.question, agent=self.agent, read=read, role=case.role)
        except TaskError as error:
            return f"failed: {error.code}"
        if case.gold is None:
            return self._compare_code(case, computed, tally)
        tally.wanted += 1
        note = compare_figures(case, computed)
        tally.right += not note
        return note

    def _compare_code(self, case: WellCase, computed: Sequence[Computed], tally: WellTally) -> str:
        tally.codes_wanted += 1
        figures = [each.tool for each in computed if each.refused is None]
        codes = [each.refused for each in computed if each.refused is not None]
        if figures:
            # A figure where the data bear none is what must never be shown to anybody.
            tally.violations.append(f"{case.id}: figures of {', '.join(figures)} instead of a refusal")
            return f"computed {', '.join(figures)} instead of refusing"
        right = not codes if case.refused == NOTHING else case.refused in codes
        tally.refused_rightly += right
        return "" if right else f"refused with {', '.join(codes) or NOTHING} instead of {case.refused}"


def compare_figures(case: WellCase, computed: Sequence[Computed]) -> str:
    """What is wrong with the figure that a case is about, or empty text."""
    figures = [figure for each in computed for figure in each.findings.figures if figure.name == case.figure]
    if not figures:
        codes = ", ".join(str(each.refused) for each in computed if each.refused)
        return f"no figure {case.figure}" + (f", refused with {codes}" if codes else "")
    gold = gold_of(case)
    if len(figures) != len(gold):
        return f"{len(figures)} figures {case.figure}: the gold has {len(gold)}"
    units = {figure.unit for figure in figures}
    if units != {case.unit}:
        return f"the unit is {', '.join(sorted(units))!r} instead of {case.unit!r}"
    for of, value in gold:
        named = [figure for figure in figures if not of or figure.of == of]
        if len(named) != 1:
            return f"no figure {case.figure} of {of}"
        if not _same(named[0], value, case.tolerance):
            return f"{case.figure} of {named[0].of} is {named[0].value} instead of {value}"
    return ""


def gold_of(case: WellCase) -> GoldRows:
    """The gold of a case. Raises `ValueError` if it has none."""
    if case.gold is None:
        raise ValueError(f"{case.id} has no gold")
    if case.gold.sql is not None:
        return sql_gold(case.gold.sql, case.role)
    return PYTHON_GOLD[case.gold.python or ""](**case.gold.arguments)


def _same(figure: Figure, gold: str, tolerance: float | None) -> bool:
    try:
        found, wanted = float(str(figure.value)), float(gold)
    except ValueError:
        return str(figure.value) == gold
    decimals = len(str(figure.value).partition(".")[2])
    if tolerance is None:
        return abs(found - wanted) <= max(HALF_OF_THE_LAST_DECIMAL, 1e-9 * abs(wanted)) or (
            decimals > 2 and format_number(wanted, decimals) == str(figure.value)
        )
    return math.isclose(found, wanted, rel_tol=tolerance, abs_tol=HALF_OF_THE_LAST_DECIMAL)
