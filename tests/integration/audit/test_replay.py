"""Recorded replay of a real log: which cases, and what becomes of one that was tampered with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from contracts.events.drafter import AnswerDrafted
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen
from switchyard.audit.records.roles import READER
from switchyard.audit.records.store import AuditStore
from switchyard.cli.app.target import Env
from switchyard.cli.commands.audit.replay import replay_scope
from switchyard.protocol.events.case_manager import CaseClosed
from switchyard.protocol.fields import Json
from tests.integration.audit.conftest import Owner, UrlFor
from tests.unit.protocol.bus_events import changed, delivered, with_digest
from tests.unit.router.cases import ANSWER, FINDINGS, OPENED, reply, routed, stamped

pytestmark = pytest.mark.integration
CASES = 10_000
BATCH = 900
MAX_RSS_KB = 220_000
"""The command by itself takes about 120 MB, the texts of this log more than 200."""


def case(number: int) -> list[Json]:
    """A case from its opening to its end, decided by the real router under its seal."""
    import uuid

    from tests.reference import derive_event
    from tests.unit.router.cases import received

    case_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"replay/{number}"))
    opened = changed(OPENED, "case_id", case_id) | {"event_id": str(uuid.uuid5(uuid.UUID(case_id), "CaseOpened"))}
    events = [with_digest(opened | {"opened_on": f"2026-11-{number % 28 + 1:02}"})]
    for payload, written in (
        (AgentChosen(agent="text_to_sql"), ()),
        (FindingsReady(findings=(FINDINGS,)), (FINDINGS,)),
        (AnswerDrafted(answer=ANSWER, cites=("F1",)), (ANSWER,)),
    ):
        command = routed(events[-1])
        events += [command, reply(command, payload, written=written)]
    close = routed(events[-1])
    ending = derive_event(
        received(close).envelope, CaseClosed(outcome="answered", code="answered"), node_from="case_manager"
    )
    return [*events, close, stamped(ending)]


async def record(store: AuditStore, numbers: range) -> None:
    def texts() -> Iterator[str]:
        for number in numbers:
            yield from map(delivered, case(number))

    batch: list[str] = []
    for text in texts():
        batch.append(text)
        if len(batch) == BATCH:
            await store.record(batch)
            batch = []
    await store.record(batch)


@pytest.fixture(autouse=True)
def reading(url_for: UrlFor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command reads the test's database, as a reader."""
    monkeypatch.setenv("SWITCHYARD_AUDIT_DB_URL", url_for(READER))


async def test_replay_covers_one_case_one_day_or_the_whole_log(store: AuditStore, tmp_path: Path) -> None:
    await record(store, range(30))
    whole = await replay_scope(Env.AWS, None, None, None, tmp_path / "all.jsonl", check_seals=False)
    assert (whole.cases, whole.decisions, whole.undecided, whole.ok) == (30, 120, 0, True)
    one = await replay_scope(Env.AWS, case(7)[0]["case_id"], None, None, None, check_seals=False)
    assert (one.cases, one.decisions) == (1, 4)
    day = await replay_scope(Env.AWS, None, date(2026, 11, 2), None, None, check_seals=False)
    assert day.cases == 2
    saved = await replay_scope(Env.AWS, None, None, tmp_path / "all.jsonl", None, check_seals=False)
    assert (saved.cases, saved.decisions, saved.ok) == (30, 120, True)


async def test_replay_with_the_routers_keys_checks_seals(store: AuditStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await record(store, range(2))
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", '{"k1": "' + (b"1" * 32).hex() + '"}')
    found = await replay_scope(Env.AWS, None, None, None, None, check_seals=True)
    assert (found.decisions, found.diverged) == (8, 0)
    monkeypatch.setenv("SWITCHYARD_STATE_KEYS", '{"k1": "' + (b"2" * 32).hex() + '"}')
    found = await replay_scope(Env.AWS, None, None, None, None, check_seals=True)
    assert found.diverged == 2
    assert "the seal does not fit" in str(found.divergences[0])


async def test_replay_names_a_tampered_case_and_leaves_it_out(store: AuditStore, owner: Owner) -> None:
    await record(store, range(3))
    await owner.execute("alter table transition disable trigger all")
    sql = 'update transition set body = replace(body, \'"agent": "text_to_sql"\', \'"agent": "wizard"\')'
    await owner.execute(f"{sql} where transition = 'AgentChosen' and case_id = $1::text::uuid", case(1)[0]["case_id"])
    found = await replay_scope(Env.AWS, None, None, None, None, check_seals=False)
    assert (found.cases, found.unverified, found.diverged, found.ok) == (3, 1, 0, False)
    assert found.verification_failures[0].startswith(f"case {case(1)[0]['case_id']} ")
    assert "digest_mismatch" in found.verification_failures[0]


MEASURE = """
import json, resource, subprocess, sys
ran = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([ran.returncode, ran.stdout, used.ru_utime + used.ru_stime, used.ru_maxrss], sys.stdout)
"""
"""Runs one command and tells what it used. A process of its own, and a small one: Linux counts to a child's most
memory what its parent had when the child was forked, and this test's process has more than what it measures."""


def measured(command: list[str]) -> tuple[int, str, float, int]:
    """Run a command; its exit code, its output, its CPU seconds and its most memory in KB."""
    asked = [sys.executable, "-S", "-c", MEASURE, *command]
    ran = subprocess.run(asked, capture_output=True, text=True, check=True)
    exit_code, output, cpu_s, most_kb = json.loads(ran.stdout)
    return exit_code, output, cpu_s, most_kb


@pytest.mark.slow
@pytest.mark.timeout(1_200)
async def test_replay_of_10000_cases_runs_in_bounded_memory(
    store: AuditStore, capsys: pytest.CaptureFixture[str]
) -> None:
    await record(store, range(CASES))
    command = [str(Path(sys.executable).with_name("switchyard")), "audit", "replay", "--env", "aws"]
    exit_code, output, cpu_s, most_kb = measured(command)
    assert exit_code == 0, output
    assert f"{CASES} cases, {4 * CASES} decisions replayed in" in output
    with capsys.disabled():
        print(f"\n{output.splitlines()[0]} ({cpu_s:.1f} s of CPU, {most_kb / 1024:.0f} MB at most)")
    assert most_kb < MAX_RSS_KB
