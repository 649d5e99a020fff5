"""The mail provider's simulator answers each request with the id of its own email."""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import pytest

from switchyard.devstack.simulators.ses import SEND_EMAIL_PATH, SesSimulator
from switchyard.runtime.process.web import WebServer

pytestmark = pytest.mark.integration


async def test_ses_simulator_concurrent_requests_get_their_own_message_ids() -> None:
    simulator = SesSimulator(latency_s=0.2)
    server = WebServer(simulator, "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:

            async def send(number: int) -> tuple[str, str]:
                email = {
                    "FromEmailAddress": "a@example.com",
                    "Destination": {"ToAddresses": ["b@example.com"]},
                    "Content": {"Raw": {"Data": base64.b64encode(b"%d" % number).decode()}},
                    "EmailTags": [{"Name": "number", "Value": str(number)}],
                }
                async with session.post(SEND_EMAIL_PATH, json=email) as answer:
                    return str(number), (await answer.json())["MessageId"]

            answered = await asyncio.gather(*map(send, range(20)))
    finally:
        await server.stop()
    assert {(email.tags["number"], email.message_id) for email in simulator.taken} == set(answered)
