"""Well data on the whole stack: loaded by the command, computed as the asking user, done again once after a kill."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from demo.oil_field.well_files import WELL_FILES
from switchyard.cli.app.audit_log import open_artefact_reader, read_artefact
from switchyard.protocol.fields import Artefact
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")
TENANT = "northfork"


@pytest.fixture(scope="module")
def wells(deployment: Deployment) -> dict[str, Any]:
    """The demo's wells, loaded twice: the second load changes nothing."""
    arguments = ["wells", "load", *map(str, WELL_FILES), "--tenant", TENANT, "--as-of", "2026-06-30", "--json"]
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    found = {}
    for turn in ("first", "second"):
        done = subprocess.run(
            [SWITCHYARD, *arguments], env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found[turn] = json.loads(done.stdout)
    return found


def asked(deployment: Deployment, question: str, role: str = "FIELD_ALL") -> dict[str, Any]:
    return deployment.question(question, tenant=TENANT, agent="well_data", role=role)


async def found_by(deployment: Deployment, case: str) -> dict[str, Any]:
    (event,) = [event for event in await deployment.events(case) if event["type"] == "FindingsReady"]
    return event


async def test_load_reports_rows_by_file_and_nothing_new_the_second_time(wells: dict[str, Any]) -> None:
    first = {Path(row["file"]).name: row for row in wells["first"]}
    assert first["monthly_production.csv.gz"]["accepted"] == 7_747
    assert sum(row["refused"] for row in wells["first"]) == 0
    assert {row["accepted"] for row in wells["second"]} == {"unchanged"}


async def test_computation_killed_with_9_is_done_again_once_and_its_chart_is_saved(
    deployment: Deployment, wells: dict[str, Any], tmp_path: Path
) -> None:
    (case,) = await deployment.submit(
        [asked(deployment, "What is the 30-year EUR of the Cutbow 1H, with an interval?")]
    )

    async def in_hand() -> bool | None:
        rows = await deployment.rows(
            "select 1 from well_data.inbox where case_id = $1 and outputs is null and lease_until > now()",
            case,
            database="SWITCHYARD_WORK_DB_OWNER_URL",
        )
        return True if rows else None

    await deployment.until(in_hand, seconds=30, what="the task in the agent's hands")
    await deployment.kill("well_data")
    closed = await deployment.closed([case], seconds=90)
    assert closed[case]["outcome"] == "answered"
    event = await found_by(deployment, case)
    (row,) = await deployment.rows(
        "select claims, failures from well_data.inbox where case_id = $1", case, database="SWITCHYARD_WORK_DB_OWNER_URL"
    )
    assert (row["claims"], row["failures"]) == (2, 0)
    async with open_artefact_reader(deployment.target) as artefacts:
        chart = await read_artefact(artefacts, event, event["payload"]["charts"][0])
        findings = json.loads(await read_artefact(artefacts, event, event["payload"]["findings"][0]))
    assert ET.fromstring(chart).tag == "{http://www.w3.org/2000/svg}svg"
    assert Artefact.model_validate(event["payload"]["charts"][0]).media_type == "image/svg+xml"
    eur = next(figure for figure in findings["figures"] if figure["name"] == "EUR of 30 years")
    assert (eur["value"], eur["unit"]) == ("154692", "bbl")
    assert "monthly_production.csv.gz:2-" in findings["sources"][eur["sources"][0]]
    assert "154,692" in (await deployment.answer(case))["text"]
    assert await deployment.findings([case]) == []
    command = [str(SWITCHYARD), "case", "show", case, "--open", "--save", str(tmp_path / "files")]
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    shown = await asyncio.to_thread(
        lambda: subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "file: 1-well_data-chart.svg (image/svg+xml, " in shown.stdout
    assert (tmp_path / "files" / "1-well_data-chart.svg").read_bytes() == chart


async def test_user_of_one_basin_sees_no_well_of_another(deployment: Deployment, wells: dict[str, Any]) -> None:
    question = "What is the EUR of the Lone Juniper 4H? I ask for the Permian."
    there, elsewhere = await deployment.submit(
        [asked(deployment, question, role) for role in ("FIELD_WILLISTON", "FIELD_PERMIAN")]
    )
    await deployment.closed([there, elsewhere], seconds=60)
    assert "EUR of 30 years" in (await deployment.answer(there))["text"]
    refused = (await deployment.answer(elsewhere))["text"]
    assert "no well Lone Juniper 4H among the 114 wells that the user may see" in refused


async def test_another_tenant_sees_no_well_at_all(deployment: Deployment, wells: dict[str, Any]) -> None:
    (case,) = await deployment.submit([asked(deployment, "Decline of the Rattler 12H?") | {"tenant": "acme"}])
    await deployment.closed([case], seconds=60)
    assert "among the 0 wells" in (await deployment.answer(case))["text"]


async def test_question_without_a_computation_fails_with_the_remedy(
    deployment: Deployment, wells: dict[str, Any]
) -> None:
    (case,) = await deployment.submit([asked(deployment, "What will oil cost next year?")])
    closed = await deployment.closed([case], seconds=60)
    assert (closed[case]["outcome"], closed[case]["code"]) == ("failed", "cannot_answer")
