"""Every way in which a case can end, on the whole stack."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e


async def test_question_is_answered_with_its_citations(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    answer = await deployment.answer(case)
    assert "[F1]" in answer["text"]
    assert answer["citations"][0]["sql"].startswith("SELECT")
    besides = [("router", "memory"), ("memory", "external")]

    async def kept() -> list[tuple[str, str]] | None:
        found = [(event["node_from"], event["node_to"]) for event in await deployment.events(case)]
        return found if [hop for hop in found if hop in besides] == besides else None

    # The case does not wait for memory, which keeps the turn: that may come after its end.
    hops = await deployment.until(kept, seconds=20, what="what memory did with the turn")
    route = [hop for hop in hops if hop not in besides]
    assert route == [
        ("case_manager", "router"), ("router", "triage"), ("triage", "router"), ("router", "text_to_sql"),
        ("text_to_sql", "router"), ("router", "drafter"), ("drafter", "router"), ("router", "case_manager"),
        ("case_manager", "external"),
    ]  # fmt: skip


async def test_agent_named_by_upstream_skips_triage(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", agent="text_to_sql")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    assert "triage" not in {event["node_from"] for event in await deployment.events(case)}


async def test_stalled_primary_fails_over_and_the_log_has_the_reason(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e stall")])
    closed = await deployment.closed([case])
    assert closed[case]["outcome"] == "answered"
    drafted = next(event for event in await deployment.events(case) if event["type"] == "AnswerDrafted")
    call = drafted["model_call"]
    assert (call["vendor"], call["role"]) == ("openai", "fallback")
    assert call["reason"] in {"ttft", "projected", "hedge_win"}
    attempts = {attempt["role"]: attempt["outcome"] for attempt in call["decision"]["attempts"]}
    assert attempts["fallback"] == "won"
    assert attempts["primary"] in {"abandoned", "lost"}


async def test_both_models_failing_ends_the_case_with_both_causes(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e outage")])
    closed = await deployment.closed([case])
    assert (closed[case]["outcome"], closed[case]["code"], closed[case]["node"]) == (
        "failed",
        "models_failed",
        "drafter",
    )
    assert "primary" in closed[case]["message"]
    assert "fallback" in closed[case]["message"]
    assert "answer" not in closed[case]


@pytest.mark.parametrize(
    ("question", "outcome", "code"),
    [
        ("e2e out of scope", "no_agent", "no_agent_fits"),
        ("e2e nonsense", "failed", "bad_choice"),
        ("e2e delete everything", "failed", "query_refused"),
        ("e2e invented", "failed", "bad_draft"),
    ],
)
async def test_model_error_ends_the_case_by_name(
    deployment: Deployment, question: str, outcome: str, code: str
) -> None:
    (case,) = await deployment.submit([deployment.question(question)])
    closed = await deployment.closed([case])
    assert (closed[case]["outcome"], closed[case]["code"]) == (outcome, code)
    if outcome == "failed":
        assert closed[case]["remedy"]


async def test_result_without_rows_is_an_answer(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e empty")])
    await deployment.closed([case])
    assert "No rows match" in (await deployment.answer(case))["text"]


async def test_question_without_a_role_fails_and_names_the_field(deployment: Deployment) -> None:
    question = deployment.question("e2e wells by basin")
    del question["role"]
    (case,) = await deployment.submit([question])
    closed = await deployment.closed([case])
    assert (closed[case]["code"], closed[case]["field"]) == ("no_warehouse_role", "role")


async def test_spent_warehouse_budget_ends_the_case_and_says_when_it_is_free_again(deployment: Deployment) -> None:
    (first,) = await deployment.submit([deployment.question("e2e wells by basin", user_id="spender@example.com")])
    await deployment.closed([first])
    principal = (await deployment.events(first))[-2]["principal"]
    spent = await deployment.rows(
        "update text_to_sql.warehouse_cost set ms = 1000000000 where user_id = $1 returning user_id",
        principal["subject"],
        database="SWITCHYARD_WORK_DB_OWNER_URL",
    )
    assert len(spent) == 1
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", user_id="spender@example.com")])
    ended = (await deployment.closed([case]))[case]
    assert (ended["outcome"], ended["code"], ended["node"]) == ("failed", "warehouse_budget_spent", "text_to_sql")
    assert "it is free again at " in ended["message"]
    assert ended["remedy"].startswith("ask again after ")
    (other,) = await deployment.submit([deployment.question("e2e wells by basin", user_id="frugal@example.com")])
    assert (await deployment.closed([other]))[other]["outcome"] == "answered", "the budget is one user's"


async def test_bad_submissions_are_rejected_with_their_code(deployment: Deployment) -> None:
    good = deployment.question("e2e wells by basin")
    unknown_agent = deployment.question("e2e", agent="wizard")
    too_long = deployment.question("e2e" * 2_000)
    conflict = good | {"question": "e2e another question under the same key"}
    details = [unknown_agent, too_long, good]
    await deployment.send(details)
    await deployment.send([conflict, good])
    sessions = [each["session_id"] for each in details]

    async def rejections() -> dict[str, str] | None:
        rows = await deployment.rows(
            "select body from audit.transition where transition = 'SubmissionRejected' and session_id = any($1)",
            sessions,
        )
        found = [json.loads(row["body"])["detail"]["payload"] for row in rows]
        codes = {payload["field"]: payload["code"] for payload in found}
        return codes if {"agent", "question", "idempotency_key"} <= set(codes) else None

    codes = await deployment.until(rejections, seconds=20, what="three rejections")
    assert codes["idempotency_key"] == "submission_conflict"
    assert codes["agent"] == codes["question"] == "invalid_submission"


async def test_databases_have_no_question_in_the_clear(deployment: Deployment) -> None:
    marker = "e2e wells by basin for Zanzibar-marker-7"
    (case,) = await deployment.submit([deployment.question(marker, user_id="zanzibar@example.com")])
    await deployment.closed([case])
    assert not await deployment.rows("select 1 from audit.transition where body like '%anzibar%'")
    for schema in ("triage", "text_to_sql", "drafter"):
        sql = f"select 1 from {schema}.outbox where event like '%anzibar%'"
        assert not await deployment.rows(sql, database="SWITCHYARD_WORK_DB_OWNER_URL")
    for log in deployment.stack.home.logs.glob("*.log"):
        if log.stem not in {"simulator", "emulator", "warehouse", "postgres"}:
            assert "anzibar" not in log.read_text(encoding="utf-8"), log.name
