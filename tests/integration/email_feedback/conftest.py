"""The email feedback process, served inside the test's own, and what the case manager receives from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from contracts.documents.opt_out import OPT_OUT_PURPOSE, OptOutClaims, opt_out_url
from services.app import EMAIL_FEEDBACK
from services.specialists.email_feedback.main import run
from switchyard.protocol.fields import Json
from switchyard.protocol.topology import SUPPRESSIONS, queue_name
from switchyard.runtime.crypto.tokens import SignedTokens
from tests.integration.cloud import Cloud, until
from tests.integration.events import fresh_id
from tests.integration.serving import free_port

KEY = "6b" * 32
TOKENS = SignedTokens(OptOutClaims, purpose=OPT_OUT_PURPOSE, keys={"k1": bytes.fromhex(KEY)})


@dataclass
class MailProcess:
    """The process as the world sees it, and the case manager's queue behind the bus."""

    base: str
    cloud: Cloud

    def link(self, wanted: OptOutClaims) -> str:
        """The link in an email."""
        return opt_out_url(self.base, TOKENS.sign(wanted))

    async def suppressions(self, count: int) -> list[Json]:
        """The first `count` suppressions that reach the case manager's queue."""
        found: list[Json] = []

        async def enough() -> bool:
            found.extend(await self._receive())
            return len(found) >= count

        await until(enough, f"{count} suppressions")
        return found

    async def no_suppression(self) -> None:
        """Nothing has reached the case manager's queue, nor does within a second."""
        assert await self._receive(wait=1) == []

    async def _receive(self, wait: int = 0) -> list[Json]:
        url = await self.cloud.url(queue_name("case_manager", SUPPRESSIONS))
        answer = await self.cloud.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages = answer.get("Messages", [])
        for message in messages:
            await self.cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]


StartMail = Callable[[], Awaitable[MailProcess]]


@pytest.fixture
async def start_mail(
    aws: None, cloud: Cloud, borrowed_logs: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartMail]:
    """Starts the email feedback process.

    A test that reads the logs starts it itself: they are captured phase by phase.
    """
    await cloud.purge(queue_name("case_manager", SUPPRESSIONS), queue_name(EMAIL_FEEDBACK))
    port = free_port()
    environment = {
        "OPTOUT_KEYS": json.dumps({"k1": KEY}),
        "OPTOUT_PORT": str(port),
        "FEEDBACK_TENANTS": json.dumps({"harborline.example": "acme"}),
        "VISIBILITY_S": "2",
        "POLL_WAIT_S": "1",
        "DRAIN_S": "5",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"SWITCHYARD_{name}", value)
    serving: list[asyncio.Task[None]] = []

    async def start() -> MailProcess:
        serving.append(asyncio.create_task(run()))
        process = MailProcess(f"http://127.0.0.1:{port}", cloud)

        async def answers() -> bool:
            if serving[0].done():
                serving[0].result()
            async with aiohttp.ClientSession() as session:
                try:
                    async with session.get(process.base) as answer:
                        return answer.status == 404
                except aiohttp.ClientConnectionError:
                    return False

        await until(answers, "the opt-out endpoint listens")
        return process

    yield start
    for each in serving:
        each.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


@pytest.fixture
async def mail(start_mail: StartMail) -> MailProcess:
    """A running mail process."""
    return await start_mail()


@pytest.fixture
def wanted() -> OptOutClaims:
    """What a link says."""
    return OptOutClaims(tenant="acme", address_key="a" * 64, case_id=fresh_id())


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Fetches links."""
    async with aiohttp.ClientSession() as session:
        yield session
