"""Online evaluation on the whole stack: a sampled case is judged after its end, on the log, and left as it was."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Deployment
from tests.e2e.test_budgets import shown
from tests.e2e.test_cli import _run

pytestmark = pytest.mark.e2e


async def test_sampled_case_is_judged_on_the_log_and_others_are_not(deployment: Deployment) -> None:
    tenant = f"judged-{deployment.prefix}"
    judged, other = await deployment.submit(
        [deployment.question("e2e wells by basin", tenant=each) for each in (tenant, f"plain-{deployment.prefix}")]
    )
    endings = await deployment.closed([judged, other])
    assert {each["outcome"] for each in endings.values()} == {"answered"}

    async def judgement() -> dict[str, str] | None:
        rows = await deployment.rows(
            "select transition, body, rubric_score, bundle from audit.transition"
            " where case_id = $1 and node_from = 'judge'", judged
        )  # fmt: skip
        return rows[0] if rows else None

    row = await deployment.until(judgement, seconds=60, what="a judgement in the log")
    event = json.loads(row["body"])["detail"]
    assert (row["transition"], event["payload"]["verdict"]) == ("CaseJudged", "pass")
    assert (row["rubric_score"], row["bundle"]) == (event["payload"]["score"], event["bundle"])
    assert await deployment.findings([judged, other]) == []
    assert float(shown(deployment, tenant)["observed"]) > 0
    case_page = _run(deployment, "case", "show", judged)
    assert "a model's verdict: pass" in case_page.stdout, case_page.stderr
    replayed = _run(deployment, "audit", "replay", judged)
    assert "no divergence" in replayed.stdout, replayed.stderr
    rows = await deployment.rows("select count(*) as n from judge.inbox where case_id = $1", other,
                                 database="SWITCHYARD_WORK_DB_OWNER_URL")  # fmt: skip
    assert rows[0]["n"] == 0
