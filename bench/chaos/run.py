"""One run: a new stack, cases, faults, and when everything has ended the checker and the proof."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.case.processes import tree_cpu_s
from bench.chaos.checker.checks import Violation, check_run
from bench.chaos.faults import Injector
from bench.chaos.load import Load
from bench.chaos.plan import Kind, draw_plan
from bench.chaos.proof import prove_log
from bench.chaos.stack import ChaosStack
from switchyard.cli.app.target import Target
from switchyard.devstack.supervisor.ports import LOOPBACK

PATIENCE_S = 180.0
"""How long it may be until the next case ends once everything is well again."""

SETTLED_WITHIN_S = 60.0
"""How long audit may trail the last ending."""

HALT_AT, HALT_LASTS = 0.3, 0.1
"""When the emails' playbook is halted, and for how long: shares of the time of faults."""

REPORT_EVERY_S = 10.0


@dataclass(frozen=True)
class Size:
    """How much happens in a run; times are in seconds."""

    cases: int
    seconds: float
    """How long faults are injected."""
    spread_s: float
    """The time over which cases are submitted."""
    until: float | None = None
    """To measure progress: faults end when this share of the cases has ended, and no playbook is halted."""


async def run_chaos(home: Path, *, seed: int, size: Size, kinds: list[Kind]) -> dict[str, Any]:
    """What was done and found. Raises StackError if no stack could be started."""
    room = ChaosStack(home, kinds)
    async with room.open() as stack:
        ports, target = stack.ports(), Target({**os.environ, **stack.exports})
        load = Load(
            target,
            outbox=f"http://{LOOPBACK}:{ports['ses_simulator']}",
            opt_out=f"http://{LOOPBACK}:{ports['email_feedback_http']}",
            seed=seed,
            cases=size.cases,
        )
        injector = Injector(room, seed)
        plan = draw_plan(seed, size.seconds, room.services, kinds)
        (home / "plan.txt").write_text("\n".join(map(str, plan)) + "\n", encoding="utf-8")
        ended_after_s, cpu_s = await _live(load, injector, plan, size)
        print("all is well again: checking", flush=True)
        history, outbox = load.record, {"emails": await load.outbox()}
        for name, facts in (("history", history), ("outbox", outbox)):
            (home / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
        violations = await _settled_violations(stack.exports, outbox, history)
        return {
            "seed": seed,
            "seconds": size.seconds,
            "cases": len(load.cases),
            "outcomes": await load.endings(),
            "emails": len(outbox["emails"]),
            "stops": len(history["stops"]),
            "faults": dict(sorted(injector.done.items())),
            "met": room.harm(),
            "not_injected": injector.failed,
            "tried_again": dict(load.refused),
            "ended_after_s": ended_after_s,
            "cpu_s": round(cpu_s, 1),
            "violations": [vars(each) for each in violations],
            "proof": await prove_log(target, list(load.cases), home, seed),
        }


async def _live(load: Load, injector: Injector, plan: list[Any], size: Size) -> tuple[list[float], float]:
    """Submit, decide and harm until every case has ended; the seconds after which each of them had, and the CPU seconds
    of the stack, those of killed processes included, until faults ended."""
    began, ends, cpu_before, cpu_s = time.monotonic(), list[float](), _stack_cpu_s(), 0.0
    people = [asyncio.create_task(load.decide()), asyncio.create_task(load.opt_out())]
    work = [
        asyncio.create_task(injector.run(plan)),
        asyncio.create_task(load.submit_all(size.spread_s)),
    ]
    if size.until is None:
        work.append(asyncio.create_task(load.halt(size.seconds * HALT_AT, size.seconds * HALT_LASTS)))
    calm_at = reported_at = began
    known = 0
    try:
        while True:
            await asyncio.sleep(1.0)
            for task in (*work, *people):
                if task.done() and not task.cancelled():
                    task.result()
            now, ended = time.monotonic(), sum((await load.endings()).values())
            ends += [round(now - began, 1)] * (ended - len(ends))
            if not cpu_s and ended >= (size.until or 1.0) * size.cases:
                cpu_s = _stack_cpu_s() - cpu_before
                if size.until is not None:
                    work[0].cancel()
            if not all(task.done() for task in work) or ended > known:
                calm_at, known = now, ended
            elif ended == len(load.cases) or now - calm_at > PATIENCE_S:
                return ends, cpu_s
            if now - reported_at >= REPORT_EVERY_S:
                reported_at = now
                print(f"{now - began:5.0f} s: {ended} of {len(load.cases)} submitted cases have ended", flush=True)
    finally:
        for task in (*work, *people):
            task.cancel()
        await asyncio.gather(*work, *people, return_exceptions=True)


def _stack_cpu_s() -> float:
    """Of this process and all that it has started. One that ends while it is looked at is counted by its parent."""
    while True:
        with contextlib.suppress(OSError):
            return tree_cpu_s(os.getpid())


async def _settled_violations(
    exports: dict[str, str], outbox: dict[str, Any], history: dict[str, Any]
) -> list[Violation]:
    """The violations once audit has had its time to write what was published."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    urls = exports["SWITCHYARD_WORK_DB_OWNER_URL"], exports["SWITCHYARD_AUDIT_DB_OWNER_URL"]
    while (found := await check_run(*urls, outbox, history)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(1.0)
    return found
