"""Runs the solver in a process of its own: the event loop goes on, and the task's deadline or the host can stop it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import Sequences
from switchyard.runtime.core.errors import RetryableTaskError

MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of the process; at 150 jobs it uses a fifth of it."""
CPU_S = 60
"""Its CPU time, many times what the largest problem takes."""

SolveProblem = Callable[[Problem, float], Awaitable[Sequences]]
"""Solves a problem within so many seconds."""
LEAST_STARTS, JOBS_PER_START, MOST_STARTS = 4, 10, 12
"""How many searches there are: the least, one more for every ten jobs, and the most."""
ITERATIONS = 400
"""Per search. Fixed, so that the same problem gives the same routes on any day and under any load."""
SEED = 20260630
SEARCH: dict[str, int | str] = {
    "solver": f"PyVRP {version('pyvrp')}",
    "starts": f"{LEAST_STARTS}, 1 more per {JOBS_PER_START} jobs, at most {MOST_STARTS}",
    "iterations": ITERATIONS,
    "seed": SEED,
}
"""How a plan is searched: with the same figures, the same problem gives the same plan."""


async def solve_in_process(
    problem: Problem, timeout_s: float = CPU_S, *, memory_bytes: int = MEMORY_BYTES
) -> Sequences:
    """The best routes found. The process is killed at the timeout, or when the caller is cancelled.

    Raises `RetryableTaskError` if it is late, or dies.
    """
    # Only where the code is found: no secret of this process. One thread: the search has no use for more.
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.specialists.field_routing.solver_process", str(memory_bytes)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
    except OSError as error:
        remedy = "see whether the host has memory for another process"
        raise RetryableTaskError("solver_unavailable", "the solver did not start", remedy=remedy) from error
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await process.communicate(problem.model_dump_json().encode())
    except TimeoutError:
        message = f"the solver took longer than {timeout_s:.0f} s"
        raise RetryableTaskError("solver_late", message, remedy="ask for one area, or see the host's load") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        message = f"the solver ended with status {process.returncode}"
        raise RetryableTaskError("solver_failed", message, remedy="see the host's memory")
    return tuple(map(tuple, json.loads(answer)))


def main() -> None:
    """Solve the problem on stdin. When the agent is killed this process ends by itself, within its CPU time."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from services.specialists.field_routing.solver import solve_problem

    problem = Problem.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(solve_problem(problem)))


if __name__ == "__main__":
    main()
