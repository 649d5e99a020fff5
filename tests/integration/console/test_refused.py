"""Refused messages: their cause for everybody, their bytes for an auditor, with a reason that is recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from contracts.catalogue import CATALOGUE
from switchyard.console.access import ROLES
from switchyard.protocol.errors import InvalidEvent, forged, malformed
from switchyard.runtime.core.clock import SystemClock
from switchyard.runtime.messaging.quarantine import ObjectQuarantine
from tests.integration.console.conftest import Console
from tests.integration.console.served import HOSTILE, visiting
from tests.integration.console.test_pages import Markup
from tests.integration.infrastructure import Infrastructure
from tests.operators import OPERATOR

pytestmark = pytest.mark.integration
LARGE = json.dumps({"source": "switchyard.triage", "detail-type": "X", "detail": {"text": HOSTILE + "x" * 300_000}})
FROM_OUTSIDE = json.dumps({"source": "upstream.noisy", "detail-type": "CaseSubmitted", "detail": {"name": "Ana"}})


def path_of(raw: str, place: str = "router") -> str:
    return f"/failures/refused/{place}/{hashlib.sha256(raw.encode()).hexdigest()}"


async def keep(console: Console, raw: str, why: InvalidEvent) -> None:
    """Refuse a message as the router does."""
    await ObjectQuarantine(console.parts.objects, CATALOGUE, node="router", clock=SystemClock()).keep(raw, why)


@pytest.fixture
async def opened(infrastructure: Infrastructure) -> AsyncIterator[Any]:
    """What was opened without a case."""
    owner = await asyncpg.connect(infrastructure.owner_url())

    async def read() -> list[Any]:
        return list(await owner.fetch("select * from console.disclosure where case_id is null order by 1"))

    yield read
    await owner.close()


async def test_large_message_is_listed_with_its_cause_and_size_and_without_its_bytes(console: Console) -> None:
    await keep(console, LARGE, forged(f'the digest does not hold, "raw": {HOSTILE}', "digest"))
    with visiting(console.app, console.views, "viewer") as visitor:
        listed = (await visitor.get("/failures")).text
        page = await visitor.get(path_of(LARGE))
        refused = await visitor.post(path_of(LARGE), reason="curious")
    assert page.status_code == 200
    assert refused.status_code == 403
    for text in (listed, page.text):
        assert "the digest does not hold" in text
        assert "300\u202f" in text
        assert "x" * 100 not in text
        assert Markup(text).dangerous == []
    assert path_of(LARGE) in listed


async def test_message_is_read_by_an_auditor_with_a_reason_that_is_recorded_first(
    console: Console, opened: Any
) -> None:
    await keep(console, LARGE, forged("the digest does not hold", "digest"))
    before = len(await opened())
    with visiting(console.app, console.views, "auditor") as visitor:
        without = await visitor.post(path_of(LARGE), reason=" ")
        assert len(await opened()) == before
        answer = await visitor.post(path_of(LARGE), reason="incident 12")
    assert without.status_code == 400
    assert "x" * 100 not in without.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "x" * 100 in answer.text
    assert len(answer.content) < 150_000
    [row] = (await opened())[before:]
    assert (row["opened_by"], row["reason"], row["artefact"]) == (OPERATOR, "incident 12", "message/router")
    assert row["sha256"] == hashlib.sha256(LARGE.encode()).hexdigest()


async def test_message_from_outside_is_listed_and_has_no_bytes(console: Console) -> None:
    await keep(console, FROM_OUTSIDE, malformed("no such field", "detail.name"))
    with visiting(console.app, console.views, *ROLES) as visitor:
        page = await visitor.get(path_of(FROM_OUTSIDE))
        opened = await visitor.post(path_of(FROM_OUTSIDE), reason="incident 12")
    assert "not kept" in page.text
    assert "Ana" not in opened.text


async def test_message_that_audit_refused_is_read_in_the_same_way(
    console: Console, opened: Any, infrastructure: Infrastructure
) -> None:
    owner = await asyncpg.connect(infrastructure.owner_url("audit_console"))
    number = await owner.fetchval(
        """insert into audit.integrity_alarm (kind, reason, field, body, body_sha256)
           values ('malformed', 'no JSON', 'detail', $1, $2) returning alarm_id""",
        *(HOSTILE, hashlib.sha256(HOSTILE.encode()).digest()),
    )
    await owner.close()
    before = len(await opened())
    with visiting(console.app, console.views, "auditor") as visitor:
        listed, page = await visitor.get("/failures"), await visitor.get(f"/failures/refused/audit/{number}")
        answer = await visitor.post(f"/failures/refused/audit/{number}", reason="incident 13")
    assert f"/failures/refused/audit/{number}" in listed.text
    assert "31337" not in page.text
    assert "{{31337*31337}}" in answer.text
    assert Markup(answer.text).dangerous == []
    assert [row["reason"] for row in (await opened())[before:]] == ["incident 13"]


@pytest.mark.parametrize(
    "path",
    ["nobody/" + "0" * 64, "router/" + "0" * 64, "router/x", "..%2fartefacts/x", "audit/0", "audit/9" + "9" * 30],
)
async def test_message_that_is_not_there_is_not_found_and_nothing_is_recorded(
    console: Console, opened: Any, path: str
) -> None:
    before = len(await opened())
    with visiting(console.app, console.views, *ROLES) as visitor:
        assert (await visitor.get(f"/failures/refused/{path}")).status_code == 404
        assert (await visitor.post(f"/failures/refused/{path}", reason="x")).status_code == 404
    assert len(await opened()) == before


async def test_failures_are_shown_while_the_bucket_is_away(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.parts.objects, "_bucket", "no-such-bucket")
    with visiting(console.app, console.views, "viewer") as visitor:
        answer = await visitor.get("/failures")
    assert answer.status_code == 200
    assert "S3 refused a request" in answer.text
    assert console.log.failed[0].case_id in answer.text
