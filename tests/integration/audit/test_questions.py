"""What docs/audit/queries.md says is what the log answers; and a question about one case never reads the others."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import asyncpg
import pytest

from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.verification.chain import EventFact, check_chain
from switchyard.protocol.events.case_manager import CaseFeedback
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit import recorded
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.queries_doc import DOC, questions, rewrite, table
from tests.unit.audit import cases

pytestmark = pytest.mark.integration
QUESTIONS = questions(DOC.read_text(encoding="utf-8"))
VIEWS = {
    "case_timeline",
    "model_usage",
    "failovers",
    "gate_decisions",
    "tokens_by_agent_and_session",
    "latency_by_agent",
    "goal_success",
    "credential_access",
}


async def answers(url: str, texts: list[str]) -> dict[str, str]:
    """What a reviewer sees."""
    pool = await connect_pool(url, schema=SCHEMA, size=1)
    found = {}
    async with pool.acquire() as connection:
        for sql in texts:
            statement = await connection.prepare(sql)
            columns = [attribute.name for attribute in statement.get_attributes()]
            found[sql] = table(columns, await statement.fetch())
    await pool.close()
    return found


async def test_page_queries_return_the_printed_answers(store: AuditStore, url_for: UrlFor) -> None:
    """SWITCHYARD_WRITE_DOCS=1 writes the answers into the page, for a person to read before it is committed."""
    for text in recorded.log():
        await store.record([text])

    found = await answers(url_for(READER), [question.sql for question in QUESTIONS])

    if os.environ.get("SWITCHYARD_WRITE_DOCS"):
        DOC.write_text(rewrite(DOC.read_text(encoding="utf-8"), found.__getitem__), encoding="utf-8")
        return
    for question in QUESTIONS:
        assert found[question.sql] == question.output, question.sql


def test_page_has_eleven_questions_and_a_view_for_each() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert [line.split(".")[0] for line in text.splitlines() if line.startswith("## ")] == [
        f"## {number}" for number in range(1, 12)
    ]
    assert len(QUESTIONS) == text.count("```sql") == 13
    assert {view for view in VIEWS if any(view in question.sql for question in QUESTIONS)} == VIEWS


CASES = 12_000
FILL = """
insert into transition (
  opened_on, event_id, case_id, tenant, session_id, principal_sub, subject, node_from, node_to, transition,
  type_version, seq, ordinal, siblings, parents, transcript_hash, playbook_version, model_id, latency_ms, case_deadline,
  terminal, outcome, catalogued, event_ts, source, body, mac, mac_key
)
select
  current_date - (c % 90), gen_random_uuid(), md5('case' || c)::uuid, 'acme', 's-' || c / 5, 'service:t',
  md5('p' || c / 3)::uuid,
  case when e % 2 = 0 then 'case_manager' else 'router' end, 'router', 'Step' || e, 1, e, 0, 1,
  case when e = 0 then '{}'::text[] else array[md5(c || '/' || e - 1)] end, md5(c || '/' || e), 'assist/1',
  case when e % 4 = 2 then 'model' end, case when e % 4 = 2 then 100 end, now() + interval '1 day', e = 8,
  case when e = 8 then 'answered' end, true, now() - interval '1 hour', 'switchyard.case_manager', '{"detail": {}}', '',
  gen_random_uuid()
from generate_series(1, $1) c, generate_series(0, 8) e
"""


async def test_email_sent_unchecked_is_listed_by_question_five(store: AuditStore, url_for: UrlFor) -> None:
    unchecked = recorded.emailed(106, recorded.ANA, 30, without=("CheckSending", "SendingAllowed"))
    await store.record([*recorded.log(), *cases.bodies(unchecked)])
    (sql,) = (question.sql for question in QUESTIONS if "is distinct from ('moment', 'passed')" in question.sql)

    found = (await answers(url_for(READER), [sql]))[sql]

    assert unchecked[0]["case_id"] in found
    assert "approval  granted" in found
    assert "(1 row)" in found


async def test_email_possibly_sent_unchecked_is_listed_by_question_five(store: AuditStore, url_for: UrlFor) -> None:
    checked = recorded.emailed(107, recorded.ANA, 30, settled=True)
    unchecked = recorded.emailed(108, recorded.ANA, 31, without=("CheckSending", "SendingAllowed"), settled=True)
    never_sent = recorded.emailed(109, recorded.ANA, 32, without=("CheckSending", "SendingAllowed"), settled=False)
    await store.record(cases.bodies([*checked, *unchecked, *never_sent]))
    (sql,) = (question.sql for question in QUESTIONS if "is distinct from ('moment', 'passed')" in question.sql)

    found = (await answers(url_for(READER), [sql]))[sql]

    assert found.count(unchecked[0]["case_id"]) == 2  # that it is unknown, and that it was sent
    assert found.count(never_sent[0]["case_id"]) == 1  # what was unknown then
    assert "(3 rows)" in found


async def test_resolution_is_a_decision_and_the_case_stays_unknown(store: AuditStore, owner: Owner) -> None:
    sent, not_sent = (recorded.emailed(110 + number, recorded.ANA, 30, settled=not number) for number in (0, 1))
    await store.record(cases.bodies([*sent, *not_sent]))

    rows = await owner.fetch("select case_id::text, decision, decider from gate_decisions where gate = 'send'")
    decisions = {(row["case_id"], row["decision"], row["decider"]) for row in rows}
    assert decisions == {
        (sent[0]["case_id"], "unknown", "email_sender"),
        (sent[0]["case_id"], "resolved_sent", "dora"),
        (not_sent[0]["case_id"], "unknown", "email_sender"),
        (not_sent[0]["case_id"], "resolved_not_sent", "dora"),
    }
    goals = await owner.fetchrow("select cases, reached, failed, success_bp from goal_success")
    assert tuple(goals or ()) == (2, 0, 2, 0)


async def test_suppression_and_halt_are_no_cases_and_rejection_counts_as_stopped(
    store: AuditStore, owner: Owner
) -> None:
    chains = {
        "ContactSuppressed": {"address_key": "0" * 64, "reason": "opted_out", "reported_by": "upstream.email_feedback"},
        "PlaybookHalted": {"playbook": "outbound_email", "operator": "ada", "why": "a complaint"},
        "PlaybookResumed": {"playbook": "outbound_email", "operator": "ada", "why": "settled"},
        "SubmissionRejected": {"outcome": "rejected", "code": "bad", "message": "no", "submitted_by": "upstream.test"},
    }
    for number, (type_, payload) in enumerate(chains.items()):
        opened = cases.first(number)
        fields = {
            "type": type_,
            "playbook_version": "none/0",
            "node_to": "external",
            "payload": payload,
            "storage_refs": {},
        }
        await store.record([cases.body(cases.rewritten(opened, **fields))])
    assert await owner.fetchval("select count(*) from transition where terminal") == 4

    rows = await owner.fetch("select playbook, cases, reached, stopped, failed, success_bp from goal_success")

    assert [tuple(row) for row in rows] == [("none", 1, 0, 1, 0, 0)]


async def test_thumb_down_takes_a_goal_back_and_the_latest_word_counts(store: AuditStore, owner: Owner) -> None:
    answered = [cases.answered(700 + number) for number in range(4)]
    await store.record([text for events in answered for text in cases.bodies(events)])

    async def give(number: int, *thumbs: Literal["up", "down"]) -> None:
        for thumb in thumbs:
            feedback = CaseFeedback(thumb=thumb, by=f"user:{uuid.UUID(int=1)}")
            answered[number].append(cases.follow(answered[number][-1], feedback, "case_manager"))
        await store.record(cases.bodies(answered[number]))

    await give(0, "down")
    await give(1, "up", "down", "up")
    await give(2, "up", "down")
    row = await owner.fetchrow("select cases, reached, failed, thumbs_up, thumbs_down, success_bp from goal_success")
    assert tuple(row or ()) == (4, 2, 2, 1, 2, 5_000)
    for events in answered:
        facts = [EventFact(row.row, row.recorded_at) for row in cases.stored(events)]
        assert list(check_chain(facts)) == []


@pytest.mark.slow
async def test_case_question_uses_index_among_100000_rows(owner: Owner, url_for: UrlFor) -> None:
    for months in (1, 2, 3):
        await owner.execute(
            f"""
            do $$
            declare first date := date_trunc('month', current_date) - interval '{months} months';
            begin
              execute format('create table transition_%s partition of transition for values from (%L) to (%L)',
                to_char(first, 'YYYY_MM'), first, (first + interval '1 month')::date);
            end $$
            """
        )
    await owner.execute(FILL, CASES)
    await owner.execute("analyze transition")
    assert await owner.fetchval("select count(*) from transition") == CASES * 9 > 100_000
    known = str(await owner.fetchval("select case_id from transition limit 1"))

    asked = [question.sql for question in QUESTIONS if question.of_one_case]
    assert len(asked) == 3
    # An empty partition is read as it stands, which is nothing.
    filled = {row[0] for row in await owner.fetch("select distinct tableoid::regclass::text from transition")}
    assert len(filled) >= 3
    reader = await asyncpg.connect(url_for(READER), server_settings={"search_path": SCHEMA})
    a_recorded_case = re.compile("|".join(recorded.CASES.values()))
    for sql in [a_recorded_case.sub(known, each) for each in (*asked, *ALSO_OF_ONE_CASE)]:
        plan = json.loads(await reader.fetchval(f"explain (format json) {sql}"))[0]["Plan"]
        scans = [node for node in nodes(plan) if node.get("Relation Name") in filled]
        assert scans, sql
        assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, sql
    await reader.close()


ANY = "e674274c-ef6a-50c7-9d5b-93e485bb96ac"
ALSO_OF_ONE_CASE = (
    f"select * from case_summary where case_id = '{ANY}'",
    f"select * from transition_states where case_id = '{ANY}'",
    f"select * from failovers where case_id = '{ANY}'",
    f"select * from credential_access where case_id = '{ANY}'",
    "select * from credential_access where subject = '00000000-0000-0000-0000-00000000000a'",
    "select * from transition where subject = '00000000-0000-0000-0000-00000000000a' and parents = '{}'",
)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
