"""`make bench-case`: CPU, throughput, latency and memory of an answered case; writes bench/results/case.*.

One local stack serves every contender: the same models' simulator, warehouse and PostgreSQL. The contenders take turns
in rounds, in an order that rotates; idle processes of the others cost little and are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import asyncpg

from bench.case.figures import summarize
from bench.case.processes import memory_mb, tree_cpu_s, tree_memory_mb
from bench.case.question import QUESTION, ROLE, TENANT, USER
from bench.case.report import case_markdown
from services.app import APP, WAREHOUSE_AUDIENCE
from services.user_requests import UserSettings, local_password
from switchyard.cli.app.submissions import publish_submissions
from switchyard.cli.app.target import Target
from switchyard.devstack.identity.exchange import CLIENTS_FILE
from switchyard.devstack.identity.login import log_in
from switchyard.devstack.stack.daemon import stack_status, start_stack, stop_stack
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.stack.identity import EXCHANGE
from switchyard.devstack.stack.running import running_exports, running_ports
from switchyard.processes.__main__ import ENGINE_PROCESSES

CASE_RESULTS = Path(__file__).resolve().parents[1] / "results"
STACK = "switchyard.devstack.stack.local_stack:build_stack"
OURS, KINDS = "switchyard", ("saver", "langgraph", "bare")
SHARED = ("emulator", "postgres", "simulator", "warehouse", "token_exchange", "identity_provider")
WARM_UP, IDLE_CASES, SETTLE_S, CASE_TIMEOUT_S = 6, 8, 1.5, 300.0


@dataclass
class Contender:
    """A contender as a process, and what it answers."""

    process: asyncio.subprocess.Process

    async def ask(self, **asked: Any) -> dict[str, Any]:
        """Send a line and wait for the answer. Raises `RuntimeError` if the process ends instead."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        return await self.read()

    async def read(self) -> dict[str, Any]:
        """The next answer."""
        assert self.process.stdout
        if not (line := await self.process.stdout.readline()):
            raise RuntimeError("the contender has ended: see its error above")
        found: dict[str, Any] = json.loads(line)
        return found


@dataclass
class CaseBench:
    """A running stack, its processes and the contenders."""

    home: Path
    log: asyncpg.Connection[Any]
    contenders: dict[str, Contender]

    def __post_init__(self) -> None:
        self.target = Target({**os.environ, **running_exports(self.home)})
        self.pids = {row.name: row.pid for row in stack_status(self.home) if row.pid is not None}
        nodes = (*ENGINE_PROCESSES, *(each.node for each in APP.processes))
        self.ours = {node: self.pids[node] for node in nodes}

    def cpu(self, pids: dict[str, int]) -> dict[str, float]:
        """Seconds of each, descendants included."""
        return {name: tree_cpu_s(pid) for name, pid in pids.items()}

    async def token(self) -> str:
        """A user's token for the warehouse, as our agents get one for each task."""
        client = json.loads((self.home / "identity" / "exchange" / CLIENTS_FILE).read_text())["text_to_sql"]
        place = UserSettings.read(self.target.environment)
        user = await log_in(place.login_url, place.login_client_secret, USER, local_password(USER))
        async with aiohttp.ClientSession() as http:
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": user.access_token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "audience": WAREHOUSE_AUDIENCE,
                "resource": WAREHOUSE_AUDIENCE,
                "scope": f"session:role:{ROLE}",
            }
            headers = {"Authorization": aiohttp.encode_basic_auth(client["id"], client["secret"])}
            url = f"http://127.0.0.1:{running_ports(self.home)[EXCHANGE]}/token"
            async with http.post(url, data=form, headers=headers) as answer:
                answer.raise_for_status()
                return str((await answer.json())["access_token"])

    async def submit(self, count: int) -> list[str]:
        """Publish so many questions; the cases."""
        details = [
            {
                "tenant": TENANT,
                "idempotency_key": uuid.uuid4().hex,
                "session_id": f"bench-{uuid.uuid4().hex}",
                "user_id": USER,
                "question": QUESTION,
                "role": ROLE,
            }
            for _ in range(count)
        ]
        return await publish_submissions(self.target, details)

    async def ended(self, cases: Sequence[str], every_s: float = 0.25) -> None:
        """Wait for every ending. Raises `RuntimeError` if a case was not answered, `TimeoutError` if one is late."""
        sql = "select body from audit.transition where terminal and case_id = any($1::uuid[])"
        async with asyncio.timeout(CASE_TIMEOUT_S):
            while len(rows := await self.log.fetch(sql, cases)) < len(cases):  # noqa: ASYNC110 - a table
                await asyncio.sleep(every_s)
        outcomes = {json.loads(row["body"])["detail"]["payload"]["outcome"] for row in rows}
        if outcomes != {"answered"}:
            raise RuntimeError(f"cases ended as {sorted(outcomes)}: expected answered")

    async def run_ours(self, questions: int) -> dict[str, Any]:
        """One round of ours."""
        before, shared = self.cpu(self.ours), self.cpu(self.shared)
        started = time.perf_counter()
        await self.ended(await self.submit(questions))
        seconds = time.perf_counter() - started
        await asyncio.sleep(SETTLE_S)
        after, spent = self.cpu(self.ours), self.cpu(self.shared)
        return {
            "seconds": seconds,
            "cpu_ms": {name: 1000 * (after[name] - before[name]) / questions for name in after},
            "shared_cpu_ms": {name: 1000 * (spent[name] - shared[name]) / questions for name in spent},
        }

    async def run_contender(self, kind: str, questions: int, at_once: int) -> dict[str, Any]:
        """One round of a contender."""
        contender, token = self.contenders[kind], await self.token()
        before, shared = tree_cpu_s(contender.process.pid), self.cpu(self.shared)
        found = await contender.ask(questions=questions, at_once=at_once, token=token)
        after, spent = tree_cpu_s(contender.process.pid), self.cpu(self.shared)
        return {
            "seconds": found["seconds"],
            "cpu_ms": {kind: 1000 * (after - before) / questions},
            "shared_cpu_ms": {name: 1000 * (spent[name] - shared[name]) / questions for name in spent},
        }

    @property
    def shared(self) -> dict[str, int]:
        """What serves every contender."""
        return {name: self.pids[name] for name in SHARED if name in self.pids}

    async def idle(self) -> dict[str, Any]:
        """Milliseconds of a case alone, and of a hop: from an event to the router's answer to it."""
        cases, hops = list[float](), list[float]()
        for _ in range(IDLE_CASES):
            (case,) = await self.submit(1)
            await self.ended([case], every_s=0.1)
            rows = await self.log.fetch("select body from audit.transition where case_id = $1", uuid.UUID(case))
            events = [json.loads(row["body"])["detail"] for row in rows]
            at = {event["digest"]: datetime.fromisoformat(event["occurred_at"]).timestamp() for event in events}
            opened = next(at[event["digest"]] for event in events if event["type"] == "CaseOpened")
            cases.append(1000 * (max(at.values()) - opened))
            hops += [
                1000 * (at[event["digest"]] - max(at[parent] for parent in event["parents"]))
                for event in events
                if event["node_from"] == "router" and all(parent in at for parent in event["parents"])
            ]
        found = {OURS: median(cases)}
        for kind, contender in self.contenders.items():
            waits = (await contender.ask(questions=IDLE_CASES, at_once=1, token=await self.token()))["waits"]
            found[kind] = 1000 * median(waits)
        return {"case_ms": found, "hop_ms": median(hops)}

    async def at_rest(self, seconds: float = 10.0) -> dict[str, float]:
        """Percent of a core that each of our processes uses without work."""
        before = self.cpu(self.ours)
        await asyncio.sleep(seconds)
        return {name: 100 * (spent - before[name]) / seconds for name, spent in self.cpu(self.ours).items()}


def environment_of(pid: int) -> dict[str, str]:
    """The variables that a process was started with."""
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a contender, if it has not ended."""
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


@asynccontextmanager
async def open_bench(home: Path, python: str) -> AsyncIterator[CaseBench]:
    """The contenders beside a running stack."""
    exports = running_exports(home)
    async with AsyncExitStack() as stack:
        log = await asyncpg.connect(exports["SWITCHYARD_AUDIT_DB_OWNER_URL"])
        stack.push_async_callback(log.close)
        bench = CaseBench(home, log, {})
        variables = environment_of(bench.pids["text_to_sql"])
        variables["BENCH_CASE_DSN"] = exports["SWITCHYARD_WORK_DB_OWNER_URL"]
        for kind in KINDS:
            command = (python, "-m", "bench.case.worker", kind)
            process = await asyncio.create_subprocess_exec(
                *command, env=variables, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            stack.push_async_callback(stop, process)
            bench.contenders[kind] = Contender(process)
            await bench.contenders[kind].read()
        yield bench


async def measure_cases(home: Path, python: str, *, rounds: int, questions: int, at_once: int) -> dict[str, Any]:
    """All rounds, then what is measured once."""
    async with open_bench(home, python) as bench:
        await bench.run_ours(WARM_UP)
        for kind in KINDS:
            await bench.run_contender(kind, WARM_UP, at_once)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, *KINDS)}
        load = [os.getloadavg()[0]]
        for number in range(rounds):
            order = [OURS, *KINDS][number % 4 :] + [OURS, *KINDS][: number % 4]
            for name in order:
                ours = name == OURS
                done = await (bench.run_ours(questions) if ours else bench.run_contender(name, questions, at_once))
                print(f"round {number + 1}: {name}: {sum(done['cpu_ms'].values()):.0f} ms of CPU per case", flush=True)
                found[name].append(done)
            load.append(os.getloadavg()[0])
        memory = {name: tree_memory_mb(pid) for name, pid in bench.ours.items()}
        memory |= {kind: tree_memory_mb(each.process.pid) for kind, each in bench.contenders.items()}
        memory |= {"emulator": memory_mb(bench.pids["emulator"])}
        return {
            "conditions": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load_1m": [round(each, 1) for each in load],
                "rounds": rounds,
                "questions": questions,
                "at_once": at_once,
                "date": time.strftime("%Y-%m-%d"),
            },
            "rounds": found,
            "idle": await bench.idle(),
            "at_rest_percent": await bench.at_rest(),
            "memory_mb": memory,
        }


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=200, help="per round and contender")
    parser.add_argument("--at-once", type=int, default=16, help="questions at once, for those in one process")
    parser.add_argument("--python", default=sys.executable, help="of the environment with LangGraph")
    parser.add_argument("--home", type=Path, help="of a stack that runs already")
    given = parser.parse_args()
    sizes = {"rounds": given.rounds, "questions": given.questions, "at_once": given.at_once}
    with temporary_home() as own:
        home = given.home.absolute() if given.home else own
        if given.home is None:
            start_stack(STACK, home, detach=True)
        try:
            measured = asyncio.run(measure_cases(home, given.python, **sizes))
        finally:
            if given.home is None:
                stop_stack(home)
    found = measured | {"summary": summarize(measured["rounds"])}
    CASE_RESULTS.mkdir(parents=True, exist_ok=True)
    data = CASE_RESULTS / "case.json"
    data.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = case_markdown(found)
    (CASE_RESULTS / "case.md").write_text(text, encoding="utf-8")
    subprocess.run([given.python, "-m", "bench.case.plot", data, CASE_RESULTS / "case.svg"], check=True)
    print(text)


if __name__ == "__main__":
    main()
