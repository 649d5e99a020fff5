"""The dashboards count what is in the log: tokens and cost of a session, failovers, and what people said of answers."""

from __future__ import annotations

import re
import uuid

import pytest

from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.processes.console import READ_ONLY
from switchyard.protocol.events.case_manager import CaseFeedback
from switchyard.protocol.events.judgement import CaseJudged, CriterionScore, JudgedVerdict
from switchyard.protocol.fields import Json
from switchyard.runtime.database.connections import connect_pool
from tests.integration.console.conftest import Console
from tests.integration.console.served import visiting
from tests.unit.audit import cases

pytestmark = pytest.mark.integration


def row_of(page: str, table: str, name: str) -> list[str]:
    """The cells of a table's row that begins with a name, without their markup."""
    _, _, rest = page.replace("\n", "").partition(f'aria-label="{table}"')
    rows = re.findall(r"<tr>(.*?)</tr>", rest.partition("</table>")[0])
    cells = [[re.sub("<[^>]*>", "", cell).strip() for cell in re.findall("<td[^>]*>(.*?)</td>", row)] for row in rows]
    [found] = [each for each in cells if each and each[0] == name]
    return found


def number(cell: str) -> int:
    """A number without the thin spaces between its digits."""
    return int(re.sub(r"\s", "", cell))


def answered(session: str) -> list[Json]:
    """A case whose draft cost 200,000 tokens to read and 10,000 to write, by the fallback."""
    events = cases.answered(uuid.uuid4().int % 10**9, session_id=session)
    call = cases.CALL.model_copy(
        update={"role": "fallback", "reason": "breaker", "input_tokens": 200_000, "output_tokens": 10_000}
    )
    place = next(number for number, event in enumerate(events) if event["type"] == "AnswerDrafted")
    events[place] = cases.rewritten(events[place], model_call=call.model_dump(mode="json", exclude_none=True))
    for number, event in enumerate(events[place + 1 :], place + 1):
        events[number] = cases.renamed(event, events[number - 1], parents=[events[number - 1]["digest"]])
    return events


async def test_session_shows_its_tokens_and_what_they_cost(console: Console) -> None:
    session = f"s-{uuid.uuid4().hex[:8]}"
    await console.log.record(cases.bodies([*answered(session), *answered(session)]))
    with visiting(console.app, console.views, "viewer") as visitor:
        page = (await visitor.get("/dashboards")).text
    # Twice 200,000 tokens at $3 and 10,000 at $15 a million.
    *_, tokens, cost = row_of(page, "Tokens by session", session)
    assert (number(tokens), cost) == (420_000, "$1.50")


async def test_goal_counts_the_thumbs_and_a_thumb_down_fails_it(console: Console) -> None:
    with visiting(console.app, console.views, "viewer") as visitor:
        before = row_of((await visitor.get("/dashboards")).text, "Goal success", "assist")
        up, down = answered("s-up"), answered("s-down")
        user = f"user:{uuid.UUID(int=1)}"
        up.append(cases.follow(up[-1], CaseFeedback(thumb="up", by=user), "case_manager"))
        down.append(cases.follow(down[-1], CaseFeedback(thumb="down", by=user), "case_manager"))
        await console.log.record(cases.bodies([*up, *down]))
        page = (await visitor.get("/dashboards")).text
        case_page = (await visitor.get(f"/cases/{down[0]['case_id']}")).text
    # Cases, reached, stopped, failed, open, thumbs up, thumbs down.
    after = row_of(page, "Goal success", "assist")
    more = [number(each) - number(earlier) for each, earlier in zip(after[3:], before[3:], strict=True)]
    assert more == [2, 1, 0, 1, 0, 1, 1]
    assert "thumb <strong>down</strong> by the person who asked" in case_page


async def test_judged_share_is_apart_from_goal_success_and_changes_none(console: Console) -> None:
    mark = CriterionScore(name="grounded", score=10, floor=80)
    judged = [answered(f"s-judged-{number}") for number in range(4)]
    with visiting(console.app, console.views, "viewer") as visitor:
        await console.log.record(cases.bodies([event for case in judged for event in case]))
        before = (await visitor.get("/dashboards")).text
        verdicts: tuple[JudgedVerdict, ...] = ("pass", "pass", "fail")
        for case, verdict in zip(judged, verdicts, strict=False):
            payload = CaseJudged(verdict=verdict, score=1_000, rubric="ab" * 32, criteria=(mark,))
            case.append(cases.follow(case[-1], payload, "judge"))
        # A retried case is judged again: the latest word counts, once.
        again = CaseJudged(verdict="pass", score=9_000, rubric="ab" * 32, criteria=(mark,))
        judged[2].append(cases.follow(judged[2][-1], again, "judge"))
        await console.log.record(
            cases.bodies([event for case in judged for event in case if event["node_from"] == "judge"])
        )
        after = (await visitor.get("/dashboards")).text
    assert "Judged by a model" not in before
    assert row_of(after, "Goal success", "assist") == row_of(before, "Goal success", "assist")
    _, share, interval, seen, passed, sampled = row_of(after, "Judged by a model", "assist")
    closed = "select count(*) from case_figures where closed and playbook = 'assist'"
    log = await connect_pool(console.log.url(READER), schema=SCHEMA, server_settings=READ_ONLY)
    ended = await log.fetchval(closed)
    await log.close()
    assert (share, interval, seen, passed) == ("100 %", "44 to 100 %", "3", "3")
    assert sampled == f"{300 / ended:.1f} %"
