"""What a process costs until it is ready, in CPU and memory, and what a command costs; to be run alone.

Budgets are the goals with headroom: beside other work, the same start takes up to 1.5 times the CPU.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from bench.case.processes import cpu_s, memory_mb
from services.app import APP
from switchyard.processes.__main__ import ENGINE_PROCESSES
from tests.e2e.conftest import Deployment

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.alone]

AGENTS = frozenset({"compliance", "drafter", "field_routing", "judge", "memory", "text_to_sql", "triage", "well_data"})
SERVICE_CPU_S, AGENT_CPU_S = 1.2 * 1.5, 2.0 * 1.5
SERVICE_MB, AGENT_MB = 100, 140
HELP_CPU_S, LIST_CPU_S = 0.25 * 1.5, 0.6 * 1.5


async def test_process_start_stays_within_its_budget_of_cpu_and_memory(deployment: Deployment) -> None:
    over = []
    for node in (*ENGINE_PROCESSES, *(each.node for each in APP.processes)):
        process = deployment.stack[node]
        again = process.restarts + 1
        # Another one, so that nothing of its work counts.
        await deployment.kill(node)
        await deployment.do(process.ready(restarts=again))
        assert process.pid is not None
        spent, held = cpu_s(process.pid), memory_mb(process.pid)
        cpu, memory = (AGENT_CPU_S, AGENT_MB) if node in AGENTS else (SERVICE_CPU_S, SERVICE_MB)
        if spent > cpu or held > memory:
            over.append(f"{node}: {spent:.2f} of {cpu:.2f} s, {held:.0f} of {memory} MB")
    assert over == []


@pytest.mark.parametrize(("command", "budget"), [(("--help",), HELP_CPU_S), (("case", "list"), LIST_CPU_S)])
def test_command_stays_within_its_budget_of_cpu(
    deployment: Deployment, command: tuple[str, ...], budget: float
) -> None:
    run = "from switchyard.cli.app.entry import run; run()"
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", run, *command], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= budget
