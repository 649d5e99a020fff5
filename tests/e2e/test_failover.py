"""Who may see whose data, what later steps need, and what a new process knows of the models: on the whole stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from services.orchestrator.graph import CURRENT, PLAYBOOKS
from tests.e2e.conftest import UNSHARED, WALLED, Deployment

pytestmark = pytest.mark.e2e


def _calls(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["model_call"] for event in events if event.get("model_call")]


async def test_forbidden_data_reaches_no_model_and_case_names_policy(
    deployment: Deployment,
) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", tenant=UNSHARED)])
    closed = (await deployment.closed([case]))[case]
    assert (closed["outcome"], closed["code"], closed["node"]) == ("failed", "model_not_permitted", "triage")
    assert "unshared-personal permits none of: bedrock:" in closed["message"]
    assert closed["field"] == "model_policy"
    assert _calls(await deployment.events(case)) == []


async def test_data_that_must_not_fail_over_fails_with_its_primary(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e outage", tenant=WALLED)])
    closed = (await deployment.closed([case]))[case]
    assert (closed["outcome"], closed["code"], closed["node"]) == ("failed", "models_failed", "drafter")
    assert "primary" in closed["message"]
    assert "fallback" not in closed["message"]
    *_, last = _calls(await deployment.events(case))
    decision = last["decision"]
    assert decision["model_policy"] == "walled"
    assert decision["not_permitted"] == ["openai:gpt-5.2 (never fail over)"]
    assert {attempt["role"] for attempt in decision["attempts"]} == {"primary"}
    assert len(decision["earlier"]) == 2, "the two deliveries before this one, from the inbox"


async def test_command_has_the_p95_of_later_steps(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")])
    await deployment.closed([case])
    playbook = PLAYBOOKS[CURRENT["assist"]]
    sent = {event["type"]: event.get("later_p95_ms") for event in await deployment.events(case)}
    taken = [step for step in playbook.steps.values() if step.command.__name__ in sent]
    assert {step.name for step in taken} - playbook.side_steps == {"triage", "specialist", "drafter"}
    for step in taken:
        assert sent[step.command.__name__] == playbook.later_p95_ms(CATALOGUE, step.name)


async def test_restarted_drafter_reads_the_latency_snapshots(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")])
    await deployment.closed([case])
    await deployment.do(deployment.stack["drafter"].stop())
    rows = await deployment.rows(
        "select snapshot from drafter.latency_snapshot", database="SWITCHYARD_WORK_DB_OWNER_URL"
    )
    models = {series["model"] for row in rows for series in json.loads(row["snapshot"])["series"]}
    assert any(model.startswith("bedrock:") for model in models)
    await deployment.do(deployment.stack["drafter"].start())
    log = deployment.stack.home.logs / "drafter.log"

    async def recalled() -> int | None:
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if "latency.recalled" in line]
        return int(json.loads(lines[-1])["snapshots"]) or None

    assert await deployment.until(recalled, seconds=20, what="snapshots read") >= 1
