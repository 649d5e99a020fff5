"""The routing agent on the whole stack: killed while it plans, it answers once, with the same plan."""

from __future__ import annotations

import psutil
import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
QUESTION = "Who should visit which wells in the Permian tomorrow?"
SOLVER = "services.specialists.field_routing.solver_process"


def _solvers() -> list[psutil.Process]:
    running = psutil.process_iter(["cmdline"])
    return [process for process in running if SOLVER in (process.info["cmdline"] or ())]


async def test_agent_killed_while_it_solves_answers_once_with_the_same_routes(deployment: Deployment) -> None:
    unharmed = await deployment.submit([deployment.question(QUESTION, agent="field_routing")])
    closed = await deployment.closed(unharmed, seconds=120)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    expected = await deployment.answer(unharmed[0])

    killed = await deployment.submit([deployment.question(QUESTION, agent="field_routing")])

    async def solving() -> bool | None:
        return bool(_solvers()) or None

    await deployment.until(solving, seconds=60, what="the solver")
    await deployment.kill("field_routing")
    closed = await deployment.closed(killed, seconds=120)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}
    assert (await deployment.answer(killed[0]))["text"] == expected["text"]
    rows = await deployment.rows(
        """select count(*) filter (where transition = 'FindingsReady') as findings,
             count(*) filter (where terminal) as endings from audit.transition where case_id = $1::uuid""",
        killed[0],
    )
    assert [(row["findings"], row["endings"]) for row in rows] == [(1, 1)]

    async def ended() -> bool | None:
        return None if _solvers() else True

    await deployment.until(ended, seconds=60, what="the end of the killed agent's solver")
    assert await deployment.findings(killed) == []
