"""The short run of `make chaos`: faults of every kind, and every promise kept."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from switchyard.devstack.stack.home import HOME_MODE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
async def test_chaos_short_run_keeps_every_promise() -> None:
    home = tempfile.mkdtemp(prefix="switchyard-chaos-")
    os.chmod(home, HOME_MODE)  # noqa: PTH101
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.chaos", "--cases", "30", "--seconds", "18", "--visibility", "3", "--seed", "11"),
        cwd=ROOT,
        env={**os.environ, "SWITCHYARD_HOME": home},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()
    # What the run says about itself, its seed first; the folder of a failed one is kept.
    assert running.returncode == 0, output.decode()
    shutil.rmtree(home)
