"""One source floods the bus: what others send is handled at once, from the bus and back to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from switchyard.protocol.catalogue import CASE_MANAGER
from switchyard.protocol.fields import Json
from switchyard.protocol.submissions import case_id_for
from switchyard.protocol.topology import BUS, queue_name, submission_lane
from tests.emulators import Emulator
from tests.integration.case_manager.conftest import APPROVERS, USER, CaseManager, Serve, close_event, submission
from tests.integration.case_manager.test_waiting import SOURCE as EMAILS
from tests.integration.case_manager.test_waiting import command, stated
from tests.integration.cloud import Cloud, Tap, until
from tests.integration.events import fresh_id
from tests.integration.infrastructure import Owner
from tests.integration.manual_clock import ManualClock
from tests.unit.router.email_cases import ALLOWED, DRAFTED, TO_APPROVE

pytestmark = pytest.mark.integration
NOISY, QUIET = "upstream.noisy", "upstream.quiet"
PROMPT_S = 5.0
"""Within this a case is opened, and an approval, an ending and a suppression are handled."""

_WRONG: tuple[Json, ...] = ({"question": ""}, {"agent": "oracle"}, {"urgency": "high"}, {"session_id": 4711})


def flood(count: int) -> list[Json]:
    """Submissions; eleven of twenty are invalid, each for one of four reasons."""
    return [submission(**(_WRONG[n % 4] if n % 20 < 11 else {})) for n in range(count)]


async def put(cloud: Cloud, details: list[Json], source: str) -> None:
    """Put submissions on the bus as fast as it takes them, ten in a request."""
    entry = {"EventBusName": BUS, "Source": source, "DetailType": "CaseSubmitted"}
    for start in range(0, len(details), 10):
        entries = [entry | {"Detail": json.dumps(detail)} for detail in details[start : start + 10]]
        await cloud.events.put_events(Entries=entries)


@pytest.fixture
def clock() -> ManualClock:
    """That of the case manager beside the process, which shares its tables and so must live in its time."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def emptied(cloud: Cloud) -> AsyncIterator[None]:
    """The flood's queue is empty before the test, and after it."""
    queue = queue_name(CASE_MANAGER, submission_lane(NOISY))
    await cloud.purge(queue)
    yield
    await cloud.purge(queue)


@pytest.fixture
async def quiet(cloud: Cloud, emulator: Emulator) -> AsyncIterator[Tap]:
    """All that is published about the sources that are not noisy."""
    subs = [f"service:{source}" for source in (QUIET, EMAILS)]
    tap = await Tap.open(cloud, late=not emulator.delivers_at_once, detail={"principal": {"sub": subs}})
    yield tap
    await tap.close()


class Probe:
    """Sends one of each kind and measures how long its event takes."""

    def __init__(self, cloud: Cloud, tap: Tap, owner: Owner, case_manager: CaseManager, clock: ManualClock) -> None:
        self._cloud = cloud
        self._tap = tap
        self._owner = owner
        self._case_manager = case_manager
        self._clock = clock
        self.waits: dict[str, list[float]] = {}

    async def case(self) -> Json:
        """Submit a case; its first event."""
        detail = submission()
        started = time.monotonic()
        await put(self._cloud, [detail], QUIET)
        case_id = case_id_for("acme", QUIET, USER, detail["idempotency_key"])
        return await self._await("case", "CaseOpened", case_id, started)

    async def ending(self, opened: Json) -> None:
        """End a case, as the router does."""
        started = time.monotonic()
        await self._cloud.put(close_event(opened, "answered"))
        await self._await("ending", "CaseClosed", opened["case_id"], started)

    async def suppression(self) -> None:
        """Report an address."""
        tenant = fresh_id()
        report = {"tenant": tenant, "report_id": fresh_id(), "reason": "opted_out", "address": "ann@example.com"}
        started = time.monotonic()
        await self._cloud.put(report, source=QUIET, detail_type="SuppressionRequested")
        await self._await("suppression", "ContactSuppressed", tenant, started)

    async def approval(self) -> None:
        """Ask for an approval, as the router does, and grant it."""
        asked = await command(self._case_manager, ALLOWED, DRAFTED, TO_APPROVE)
        started = time.monotonic()
        await self._cloud.put(asked)

        async def waits() -> bool:
            sql = "select exists (select from case_manager.approval_queue where approval_id = $1)"
            return bool(await self._owner.fetchval(sql, asked["event_id"]))

        await until(waits, "the approval is asked for", within_s=PROMPT_S)
        await stated(self._owner, asked, ManualClock(datetime.now(UTC)))
        await self._await("approval", "ApprovalGranted", asked["case_id"], started)

    async def _await(self, kind: str, type_: str, of: str, started: float) -> Json:
        found: list[Json] = []

        async def there() -> bool:
            events = await self._tap.taken("case_manager")
            found[:] = [each for each in events if each["type"] == type_ and of in {each["case_id"], each["tenant"]}]
            return bool(found)

        await until(there, f"{type_}; so far {self.waits}", within_s=60)
        self.waits.setdefault(kind, []).append(round(time.monotonic() - started, 2))
        return found[0]


@pytest.mark.parametrize(
    "count", [1_000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)])]
)
async def test_flood_delays_no_case_approval_ending_or_suppression_of_others(
    serve: Serve,
    cloud: Cloud,
    quiet: Tap,
    owner: Owner,
    case_manager: CaseManager,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    monkeypatch.setenv("SWITCHYARD_APPROVERS", json.dumps({name: key.hex() for name, key in APPROVERS.items()}))
    await serve("case_manager")
    probe = Probe(cloud, quiet, owner, case_manager, clock)
    await probe.ending(await probe.case())
    probe.waits.clear()
    flooding = asyncio.create_task(put(cloud, flood(count), NOISY))
    while not flooding.done() or len(probe.waits["case"]) < 3:
        opened = await probe.case()
        await asyncio.gather(probe.suppression(), probe.ending(opened), probe.approval())
    await flooding
    assert max(wait for waits in probe.waits.values() for wait in waits) < PROMPT_S, probe.waits

    async def drained() -> bool:
        return not await owner.fetchval("select exists (select from case_manager.arrival)")

    await until(drained, "the flood is handled, too", within_s=60 + count / 40)
    valid, kept = (
        count * 9 // 20,
        await owner.fetchrow(
            "select (select count(*) from case_manager.outbox where type = 'CaseOpened'"
            " and event::json #>> '{principal,sub}' = 'service:' || $1) as cases,"
            " (select sum(count) from case_manager.rejection where source = $1) as rejected,"
            " (select count(*) from case_manager.rejection) as counts,"
            " (select count(*) from case_manager.outbox where type = 'SubmissionRejected') as events",
            NOISY,
        ),
    )
    assert kept is not None
    assert (kept["cases"], kept["rejected"]) == (valid, count - valid)
    assert (kept["counts"], kept["events"]) == (1, 5) or kept["counts"] == 2, "an hour may begin meanwhile"


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_case_is_opened_at_once_behind_ten_thousand_of_another_source(
    serve: Serve,
    cloud: Cloud,
    quiet: Tap,
    owner: Owner,
    case_manager: CaseManager,
    clock: ManualClock,
    emptied: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWITCHYARD_VISIBILITY_S", "30")
    await put(cloud, flood(10_000), NOISY)
    waiting = await cloud.counts(queue_name(CASE_MANAGER, submission_lane(NOISY)))
    assert waiting[0] == 10_000
    await serve("case_manager", purge=False)
    probe = Probe(cloud, quiet, owner, case_manager, clock)
    for _ in range(3):
        await probe.case()
    assert max(probe.waits["case"]) < PROMPT_S, probe.waits
