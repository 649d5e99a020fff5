"""The cases of a run, what people do about them, and the record of both, which the checker is given."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from bench.chaos.away import AWAY
from contracts.documents.opt_out import OPT_OUT_PATH
from demo.emails import DEMO_EMAILS, build_email_submission
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.operator_commands import submit_command
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Target
from switchyard.cli.commands.approval import submit_decision
from switchyard.devstack.stack.local_stack import LOCAL_OPERATOR
from switchyard.protocol.fields import Json

QUESTIONS = Path(__file__).parents[2] / "demo" / "data" / "questions.jsonl"
QUESTION_SOURCE, EMAIL_SOURCE = "upstream.demo", "upstream.collections"
EMAIL_SHARE = 0.4
WANTS = {None: 14, "grant": 3, "deny": 2, "cancel": 1}
"""Weights of what people do about an email: without one no person is asked."""

IN_FLIGHT_S = 5.0
"""How long an effect that was intended before a stop may still reach the provider."""

OPT_OUTS = 4
_LINK = re.compile(rf"{OPT_OUT_PATH}/([^>\s]+)")


class Load:
    """Submits cases and decides about them while anything may fail; `record` is what it knows of them."""

    def __init__(self, target: Target, *, outbox: str, opt_out: str, seed: int, cases: int) -> None:
        self._target, self._outbox, self._opt_out = target, outbox, opt_out
        self._chance = random.Random(f"{seed} load")
        self._mark, self._count = f"{seed}-{random.SystemRandom().randrange(10**9):09}", cases
        self._questions = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines() if line]
        self.cases: dict[str, str | None] = {}
        """By id: what people have to do about it."""
        self.stops: list[dict[str, Any]] = []
        self.refused: Counter[str] = Counter()
        """Commands of people that could not be handed in at once, by the reason."""

    @property
    def record(self) -> dict[str, Any]:
        """What the checker is given."""
        return {
            "submitted": [{"case_id": case, "wants": wants} for case, wants in self.cases.items()],
            "stops": self.stops,
        }

    async def submit_all(self, seconds: float) -> None:
        """Submit every case, evenly over this time."""
        began = time.monotonic()
        batches = max(1, min(self._count, round(seconds)))
        for batch in range(batches):
            await asyncio.sleep(max(0.0, began + seconds * batch / batches - time.monotonic()))
            share = range(self._count * batch // batches, self._count * (batch + 1) // batches)
            await self._submit([self._draw(number) for number in share])

    async def _submit(self, drawn: list[tuple[Json, str, str | None]]) -> None:
        for source in (QUESTION_SOURCE, EMAIL_SOURCE):
            mine = [(detail, wants) for detail, of, wants in drawn if of == source]

            async def publish(mine: list[tuple[Json, str | None]] = mine, source: str = source) -> list[str]:
                return await publish_submissions(self._target, [detail for detail, _ in mine], source=source)

            if mine:  # the same key again is the same case: an upstream repeats what was not acknowledged
                found = await self._insist("submit", publish)
                self.cases |= dict(zip(found, (wants for _, wants in mine), strict=True))

    def _draw(self, number: int) -> tuple[Json, str, str | None]:
        key = f"chaos-{self._mark}-{number}"
        if self._chance.random() < EMAIL_SHARE:
            wants = self._chance.choices(list(WANTS), list(WANTS.values()))[0]
            return self.email(key, number, wants), EMAIL_SOURCE, wants
        question = self._chance.choice(self._questions)
        return {**question, "idempotency_key": key, "session_id": f"s-{key}"}, QUESTION_SOURCE, None

    def email(self, key: str, number: int, wants: str | None, address: str | None = None) -> Json:
        """A submission of an email: a reminder, or if a person has to decide about it, an offer."""
        kind = "reminder" if wants is None else "settlement"
        email = next(each for each in DEMO_EMAILS if each.key == kind)
        built = build_email_submission(email, number, self._target.clock.now())
        built |= {"idempotency_key": key, "consumer_id": key, "session_id": f"s-{key}"}
        built["facts"]["email"]["address"] = address or f"{key}@gmail.com"
        return built

    async def decide(self) -> None:
        """Grant, deny and cancel what waits for a person, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            for approval, case in await self._insist("list", self._asked):
                match self.cases.get(case):
                    case "grant" | "deny" as wants:
                        verdict: Any = "granted" if wants == "grant" else "denied"
                        await self._try(
                            submit_decision(self._target, approval, verdict, approver=LOCAL_OPERATOR, reason="A drill.")
                        )
                    case "cancel":
                        if await self._command("cancel", case) is not None and not self._is_stopped(case):
                            self.stops.append({"kind": "case", "key": case, "before": []})

    async def halt(self, after_s: float, lasts_s: float) -> None:
        """Halt the emails' playbook once, for some time. What was intended before may still arrive."""
        await asyncio.sleep(after_s)
        await self._command_until_done("halt", "outbound_email")
        await asyncio.sleep(IN_FLIGHT_S)
        before = await self.outbox_ids()
        await asyncio.sleep(lasts_s)
        after = await self.outbox_ids()
        await self._command_until_done("resume", "outbound_email")
        self.stops.append({"kind": "playbook", "key": "outbound_email", "before": before, "after": after})

    async def opt_out(self) -> None:
        """Some who got an email opt out; then another email to them is asked for."""
        done: set[str] = set()
        while len(done) < OPT_OUTS:
            await asyncio.sleep(2.0)
            for email in (await self.outbox())[-1:]:
                (address,) = email["recipients"]
                if address in done:
                    continue
                done.add(address)
                message = message_from_bytes(base64.b64decode(email["raw"]), policy=default)
                if (link := _LINK.search(str(message["List-Unsubscribe"]))) is None:
                    raise LookupError("an email has no opt-out link")
                await self._opt_out_address(link[1], address, len(done))

    async def _opt_out_address(self, token: str, address: str, number: int) -> None:
        suppressed = await self._insist("count", self._suppressed)
        await self._insist("opt out", lambda: self._click(token))
        while await self._insist("count", self._suppressed) <= suppressed:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.3)
        self.stops.append({"kind": "address", "key": address, "before": await self.outbox_ids()})
        key = f"chaos-{self._mark}-again-{number}"
        await self._submit([(self.email(key, number, None, address), EMAIL_SOURCE, None)])

    async def _click(self, token: str) -> None:
        async with aiohttp.ClientSession() as session:
            form = {"List-Unsubscribe": "One-Click"}
            async with session.post(f"{self._opt_out}{OPT_OUT_PATH}/{token}", data=form) as answer:
                answer.raise_for_status()

    def _is_stopped(self, case: str) -> bool:
        return any(stop["key"] == case for stop in self.stops)

    async def _command(self, action: Any, what: str) -> str | None:
        command = submit_command(self._target, action, what, operator=LOCAL_OPERATOR, reason="A drill.")
        result: str | None = await self._try(command)
        return result

    async def _command_until_done(self, action: Any, what: str) -> None:
        while await self._command(action, what) is None:  # noqa: ASYNC110 - another process answers
            await asyncio.sleep(1.0)

    async def _try(self, action: Awaitable[Any]) -> Any:
        """None if it failed, as an operator sees it: tried again later."""
        try:
            return await action
        except (*AWAY, CommandFailed) as error:
            self.refused[type(error).__name__] += 1
            return None

    async def _insist(self, what: str, action: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await action()
            except AWAY as error:
                self.refused[f"{what}: {type(error).__name__}"] += 1
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def work(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """The work database, as its owner."""
        connection = await asyncpg.connect(self._target.settings.work_db_owner_url, timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    async def _asked(self) -> list[tuple[str, str]]:
        async with self.work() as work:
            rows = await work.fetch(
                "select approval_id, case_id from case_manager.approval_queue where state = 'asked'"
            )
        return [(str(row["approval_id"]), str(row["case_id"])) for row in rows]

    async def _suppressed(self) -> int:
        async with self.work() as work:
            return int(
                await work.fetchval("select count(*) from case_manager.control where kind = 'suppressed_address'")
            )

    async def endings(self) -> dict[str, int]:
        """The submitted cases that have ended, by outcome."""

        async def read() -> dict[str, int]:
            async with self.work() as work:
                rows = await work.fetch(
                    "select outcome, count(*) from case_manager.case_ending where case_id = any($1::uuid[])"
                    " group by outcome order by outcome",
                    list(self.cases),
                )
            return {row["outcome"]: row["count"] for row in rows}

        found: dict[str, int] = await self._insist("endings", read)
        return found

    async def outbox(self) -> list[dict[str, Any]]:
        """What the mail provider has accepted."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._outbox}/outbox") as answer:
            found: list[dict[str, Any]] = (await answer.json())["emails"]
            return found

    async def outbox_ids(self) -> list[str]:
        """The provider's ids of what it has accepted."""
        return [email["message_id"] for email in await self.outbox()]
