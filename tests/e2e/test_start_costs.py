"""What a process costs before it serves: CPU, and memory a while later. Nothing else may run beside this.

Budgets are the goals with headroom: beside other work, the same start takes up to 1.5 times the CPU.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from services.app import APP
from switchyard.processes.__main__ import ENGINE_PROCESSES
from tests.e2e.conftest import Deployment

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.alone]

SERVICE_CPU_S, AGENT_CPU_S = 1.2 * 1.5, 2.0 * 1.5
SERVICE_MB, AGENT_MB = 85, 140
NUMERIC_MB = {"text_to_sql": 260, "well_data": 200}
"""With what they import later: the Snowflake connector and pandas; numpy and SciPy."""
HELP_CPU_S, LIST_CPU_S = 0.25 * 1.5, 0.6 * 1.5


def cpu_s(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """The proportional set size of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


async def test_process_start_stays_within_its_budget_of_cpu_and_memory(deployment: Deployment) -> None:
    agents = {"compliance", "drafter", "field_routing", "memory", "text_to_sql", "triage", "well_data"}
    over = []
    for node in (*ENGINE_PROCESSES, *(each.node for each in APP.processes)):
        pid = deployment.stack[node].status().pid
        assert pid is not None
        spent, held = cpu_s(pid), memory_mb(pid)
        cpu = AGENT_CPU_S if node in agents else SERVICE_CPU_S
        memory = NUMERIC_MB.get(node, AGENT_MB if node in agents else SERVICE_MB)
        if spent > cpu or held > memory:
            over.append(f"{node}: {spent:.2f} of {cpu:.2f} s, {held:.0f} of {memory} MB")
    assert over == []


@pytest.mark.parametrize(("command", "budget"), [(("--help",), HELP_CPU_S), (("case", "list"), LIST_CPU_S)])
def test_command_stays_within_its_budget_of_cpu(
    deployment: Deployment, command: tuple[str, ...], budget: float
) -> None:
    run = "from switchyard.cli.app.entry import run; run()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", run, *command], env=os.environ | deployment.exports, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= budget
