"""Money limits on the whole stack: an operator sets one, a case is stopped by it, and nothing of that case is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Deployment
from tests.e2e.test_cli import _run

pytestmark = pytest.mark.e2e
WHO = ("--operator", "oncall", "--reason", "a drill")


def shown(deployment: Deployment, tenant: str) -> dict[str, Any]:
    """Today's row of `switchyard budget show`."""
    ran = _run(deployment, "budget", "show", "--tenant", tenant, "--json")
    assert ran.returncode == 0, ran.stderr
    [row] = json.loads(ran.stdout)
    return dict(row)


async def test_case_is_stopped_by_a_signed_limit_and_the_log_proves_who_set_it(deployment: Deployment) -> None:
    tenant = f"frugal-{deployment.prefix}"
    ran = _run(deployment, "budget", "set", tenant, "--day", "0.000001", *WHO)
    assert f"{tenant}/day/0.000001: set" in ran.stdout, ran.stderr
    [case] = await deployment.submit([deployment.question("e2e wells by basin", tenant=tenant)])
    ending = (await deployment.closed([case]))[case]
    assert (ending["outcome"], ending["code"], ending["node"]) == ("budget_exceeded", "budget_exceeded", "triage")
    assert "$0.000001" in ending["message"]
    assert "switchyard budget set" in ending["remedy"]
    assert shown(deployment, tenant)["stopped_calls"] >= 1
    assert shown(deployment, tenant)["spent"] == "0.000000"

    async def reports() -> list[dict[str, Any]] | None:
        found = await deployment.rows(
            "select case_id::text, transition, body from audit.transition"
            " where tenant = $1 and transition in ('BudgetSet', 'BudgetReached') order by transition",
            tenant,
        )
        return found if len(found) == 4 else None

    found = await deployment.until(reports, seconds=60, what="the limit and three thresholds in the log")
    payloads = [json.loads(row["body"])["detail"]["payload"] for row in found]
    assert sorted(each["percent"] for each in payloads if "percent" in each) == [50, 80, 100]
    assert await deployment.findings([case, *(row["case_id"] for row in found)]) == []

    assert _run(deployment, "budget", "set", tenant, "--day", "none", "--case", "5", *WHO).returncode == 0
    [again] = await deployment.submit([deployment.question("e2e wells by basin", tenant=tenant)])
    assert (await deployment.closed([again]))[again]["outcome"] == "answered"
    row = shown(deployment, tenant)
    assert (row["day_limit"], row["case_limit"]) == (None, "5.000000")
    assert float(row["spent"]) > 0


def test_limit_that_is_no_amount_is_refused_with_what_to_write(deployment: Deployment) -> None:
    for amount in ("five", "-1", "1e9999"):
        ran = _run(deployment, "budget", "set", "acme", f"--day={amount}", *WHO)
        assert ran.returncode == 1
        assert "at most six decimals" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert "add --day DOLLARS" in _run(deployment, "budget", "set", "acme", *WHO).stderr
