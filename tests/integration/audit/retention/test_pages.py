"""What docs/audit/retention.md and docs/audit/queries.md say about policies and about what is left after retirement."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from switchyard.audit.records.roles import READER, SCHEMA
from switchyard.audit.records.store import AuditStore
from switchyard.audit.retention.retention import RetentionStore, RetirementStatus
from switchyard.protocol.fields import Access, Json
from switchyard.runtime.database.connections import connect_pool
from tests.integration.audit.aged import age, make_month
from tests.integration.audit.conftest import Owner, UrlFor
from tests.integration.audit.retention.retiring import LONG_AGO, MONTH, due_now, retire_all
from tests.integration.manual_clock import ManualClock
from tests.unit.audit import cases
from tests.unit.cli.test_help import all_commands, options

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[4] / "docs" / "audit" / "retention.md").read_text(encoding="utf-8")


async def test_policies_on_the_page_are_those_that_migration_seeds(owner: Owner) -> None:
    seeded = {
        row["playbook"]: (int(row["years"]), row["duty_years"] and int(row["duty_years"]))
        for row in await owner.fetch(
            "select playbook, extract(year from keep_for) as years, extract(year from duty_for) as duty_years"
            " from retention_policy"
        )
    }
    listed = re.findall(r"^- `(\w+)`.*?: (\d) years?(.*(?:\n  .*)*)", PAGE, re.MULTILINE)
    duties = {playbook: re.search(r"duty (\d) years", rest) for playbook, _, rest in listed}
    assert {playbook: int(years) for playbook, years, _ in listed} == {
        name: years for name, (years, _) in seeded.items()
    }
    assert {name: duty and int(duty[1]) for name, duty in duties.items()} == {
        name: duty for name, (_, duty) in seeded.items()
    }
    counted = await owner.fetchval("select duty_counts_from from retention_policy where duty_for is not null")
    assert all(f"`{name}`" in PAGE for name in counted)
    citation = await owner.fetchval("select citation from retention_policy where duty_for is not null")
    assert citation.partition(":")[0] in PAGE


def test_commands_on_the_page_take_the_arguments_that_it_shows() -> None:
    shown = [shlex.split(line, comments=True) for line in re.findall(r"^switchyard (audit .*)$", PAGE, re.MULTILINE)]
    assert len(shown) >= 5
    commands = all_commands()
    for words in shown:
        command = commands[" ".join(words[:3])]
        assert {word for word in words if word.startswith("--")} <= set(options(command)), words


async def test_latest_policy_in_force_counts_and_older_ones_stay(
    retention: RetentionStore, owner: Owner, events: list[Json]
) -> None:
    assert len(await due_now(retention)) == 1
    later = (
        "insert into retention_policy (playbook, effective_from, keep_for, citation, set_by)"
        " values ('assist', $1, '100 years', 'counsel', 'ada')"
    )
    await owner.execute(later, datetime.now(UTC) + timedelta(days=1))
    assert len(await due_now(retention)) == 1, "it is not in force yet"
    await owner.execute(later, datetime.now(UTC) - timedelta(seconds=1))
    assert await due_now(retention) == []
    assert await owner.fetchval("select count(*) from retention_policy where playbook = 'assist'") == 3


VIEWS = {
    "case_timeline": "transition",
    "case_summary": "outcome",
    "latency_by_agent": "tasks",
    "goal_success": "reached",
    "credential_access": "jti",
}
"""What is read from columns, which a retired row keeps."""


async def test_statistics_and_credentials_stay_when_bodies_are_retired(
    retention: RetentionStore, store: AuditStore, owner: Owner, url_for: UrlFor, row_clock: ManualClock
) -> None:
    await make_month(owner, MONTH)
    old = cases.answered(1, opened=LONG_AGO)
    used = Access(subject=old[0]["principal"]["subject"], agent="text_to_sql", grant=old[0]["case_id"], jti="tok-1",
                  audience="https://warehouse.example", scopes=("session:role:NORTH",))  # fmt: skip
    old[4] = cases.rewritten(old[4], access=[used.model_dump(mode="json")])
    await store.record(cases.bodies(old))
    await age(owner)
    row_clock.advance((datetime.now(UTC) - LONG_AGO).total_seconds())
    pool = await connect_pool(url_for(READER), schema=SCHEMA)

    async def read() -> dict[str, list[object]]:
        return {
            view: [row[0] for row in await pool.fetch(f"select {column} from {view}")] for view, column in VIEWS.items()
        }

    before = await read()
    assert before["credential_access"] == ["tok-1"]
    assert all(before.values()), before
    await owner.execute("alter table transition disable trigger append_only_update")
    await owner.execute("update transition set body = null")
    assert await read() == before
    assert {row["payload"] for row in await pool.fetch("select payload from transition_detail")} == {None}
    assert {row["vendor"] for row in await pool.fetch("select vendor from model_usage")} == {None}
    await pool.close()


async def test_case_is_kept_for_ever_without_a_policy_of_its_playbook(
    retention: RetentionStore, store: AuditStore, owner: Owner, events: list[Json]
) -> None:
    assert await retire_all(retention) == [RetirementStatus.RETIRED]
    unknown = [cases.rewritten(event, playbook_version="pilot/1") for event in cases.answered(3, opened=LONG_AGO)]
    await store.record(cases.bodies(unknown))
    await age(owner)
    assert await due_now(retention) == []
    after = await owner.fetchval(
        "select retire_after = 'infinity' from case_retention($1, $2)", LONG_AGO.date(), unknown[0]["case_id"]
    )
    assert after is True
