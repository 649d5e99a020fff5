"""No domain gets more than its share: an email that comes too early waits for its own turn, and keeps its place."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from contracts.events.email_sender import EmailSent, SendingTooLate
from services.specialists.email_sender.ledger import SendRate
from services.specialists.email_sender.settings import EmailSenderSettings
from switchyard.protocol.fields import Json
from switchyard.runtime.core.errors import Unavailable
from tests.integration.email_sender.conftest import EmailSender, OpenCase, Outbox, StartEmailSender
from tests.integration.infrastructure import Owner

TEN_SECONDS = SendRate(interval_s=10.0, burst=2)


async def delay_of(email_sender: EmailSender, command: Json) -> float | None:
    """For how long the email sender puts it off; None if it was sent."""
    [answer] = await asyncio.gather(email_sender.send(command), return_exceptions=True)
    if isinstance(answer, Unavailable):
        assert answer.code == "domain_rate"
        return answer.after_s
    assert isinstance(answer, EmailSent)
    return None


async def test_burst_is_sent_at_once_and_later_sends_get_turns(
    start_email_sender: StartEmailSender, open_case: OpenCase
) -> None:
    email_sender = await start_email_sender(send_rate=TEN_SECONDS)
    cases = [await open_case() for _ in range(5)]
    delays = [await delay_of(email_sender, case.command(email_sender.soon)) for case in cases]
    assert delays == [None, None, 10.0, 20.0, 30.0]


async def test_send_retried_too_early_keeps_its_turn(
    start_email_sender: StartEmailSender, open_case: OpenCase, outbox: Outbox, owner: Owner
) -> None:
    email_sender = await start_email_sender(send_rate=TEN_SECONDS)
    cases = [await open_case() for _ in range(4)]
    for case in cases:
        await delay_of(email_sender, case.command(email_sender.soon))
    email_sender.clock.advance(9.0)
    assert [await delay_of(email_sender, case.command(email_sender.soon)) for case in cases[2:]] == [1.0, 11.0]
    email_sender.clock.advance(1.0)
    assert [await delay_of(email_sender, case.command(email_sender.soon)) for case in cases[2:]] == [None, 10.0]
    email_sender.clock.advance(10.0)
    assert await delay_of(email_sender, cases[3].command(email_sender.soon, note="checked again")) is None
    assert [len(outbox.of(case.case_id)) for case in cases] == [1, 1, 1, 1]
    assert await owner.fetchval("select count(*) from email_sender.turn") == 0


async def test_turn_after_the_checked_moment_needs_a_new_check_and_is_kept(
    start_email_sender: StartEmailSender, open_case: OpenCase
) -> None:
    email_sender = await start_email_sender(send_rate=SendRate(600.0, 1))
    first, second = await open_case(), await open_case()
    await email_sender.send(first.command(email_sender.soon))
    until = email_sender.clock.now() + timedelta(seconds=300)
    assert await delay_of(email_sender, second.command(until)) == 600.0
    email_sender.clock.advance(300)
    assert await email_sender.send(second.command(until)) == SendingTooLate(content_sha256=second.content_sha256)
    later = email_sender.clock.now() + timedelta(seconds=600)
    assert await delay_of(email_sender, second.command(later, note="checked again")) == 300.0
    email_sender.clock.advance(300)
    assert await delay_of(email_sender, second.command(later, note="checked again")) is None


async def test_domains_have_a_pace_each(start_email_sender: StartEmailSender, open_case: OpenCase) -> None:
    email_sender = await start_email_sender(send_rate=SendRate(60.0, 1))
    for to, delay in (("a@one.example", None), ("b@two.example", None), ("c@ONE.example", 60.0)):
        assert await delay_of(email_sender, (await open_case(to=to)).command(email_sender.soon)) == delay


async def test_idle_domain_saves_no_more_than_its_burst(
    start_email_sender: StartEmailSender, open_case: OpenCase
) -> None:
    email_sender = await start_email_sender(send_rate=TEN_SECONDS)
    await delay_of(email_sender, (await open_case()).command(email_sender.soon))
    email_sender.clock.advance(3_600)
    delays = [await delay_of(email_sender, (await open_case()).command(email_sender.soon)) for _ in range(3)]
    assert delays == [None, None, 10.0]


async def test_email_senders_share_one_pace(
    start_email_sender: StartEmailSender, open_case: OpenCase, outbox: Outbox
) -> None:
    email_senders = [await start_email_sender(send_rate=TEN_SECONDS) for _ in range(2)]
    email_senders[1].clock = email_senders[0].clock
    commands = [(await open_case()).command(email_senders[0].soon) for _ in range(8)]
    delays = await asyncio.gather(*(delay_of(email_senders[n % 2], each) for n, each in enumerate(commands)))
    assert sorted(delays, key=lambda each: each or 0.0) == [None, None, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert len(outbox.ses_simulator.taken) == 2


def test_domain_with_its_own_limit_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_WORK_DB_URL", "postgresql://email sender@localhost/work")
    monkeypatch.setenv("SWITCHYARD_DOMAIN_PER_MINUTE", "600")
    monkeypatch.setenv("SWITCHYARD_DOMAIN_LIMITS", '{"gmail.com": 60}')
    settings = EmailSenderSettings()
    assert settings.send_rate("gmail.com") == SendRate(1.0, 20)
    assert settings.send_rate("example.com") == SendRate(0.1, 20)
