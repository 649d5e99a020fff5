"""The bench of a case: its figures follow from the rounds alone, and its page says under which conditions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from bench.case.figures import OURS_NAME, summarize
from bench.case.processes import tree_cpu_s, tree_memory_mb
from bench.case.report import TITLES, case_markdown


def a_round(seconds: float, **cpu_ms: float) -> dict[str, Any]:
    return {"seconds": seconds, "cpu_ms": cpu_ms, "shared_cpu_ms": {"postgres": 10.0}}


ROUNDS = {
    OURS_NAME: [
        a_round(10, router=40, identity=20),
        a_round(10, router=100, identity=20),
        a_round(5, router=70, identity=20),
    ],
    "saver": [a_round(10, saver=60), a_round(20, saver=60), a_round(10, saver=90)],
    "langgraph": [a_round(5, langgraph=30)] * 3,
    "bare": [a_round(4, bare=20)] * 3,
}


def test_summary_takes_ratios_within_a_round_and_then_their_median() -> None:
    ours = summarize(ROUNDS)[OURS_NAME]
    assert ours["cpu_ms"] == 90
    # 60/60, 120/60 and 90/90: the ratio of the medians would be 1.5.
    assert ours["cpu_ratio"] == 1.0
    # 1, 2 and 2 times as many cases per second.
    assert ours["pace_ratio"] == 2.0
    assert ours["cpu_ms_by_process"] == {"router": 70, "identity": 20}


def test_page_names_the_load_and_counts_the_identity_service_apart() -> None:
    page = case_markdown(
        {
            "conditions": {
                "cores": 2, "python": "3.11.7", "load_1m": [0.5, 7.25], "rounds": 3, "questions": 20, "at_once": 16,
                "date": "2026-11-29",
            },
            "summary": summarize(ROUNDS),
            "idle": {"case_ms": dict.fromkeys(TITLES, 400.0), "hop_ms": 60.0},
            "at_rest_percent": {"router": 0.4, "identity": 0.2},
            "memory_mb": {"router": 78.0, "identity": 79.0, "saver": 220.0},
        }
    )  # fmt: skip
    assert "load before and after each round: 0.5, 7.25" in page
    assert "without the identity service, which no other contender has: 70 ms" in page
    assert "| router | 70.0 | 78 | 0.4 |" in page


def test_processes_of_a_tree_are_counted_with_their_children() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"
    before = tree_cpu_s(os.getpid())
    with subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert tree_cpu_s(os.getpid()) - before >= 0.2
        assert tree_memory_mb(os.getpid()) > tree_memory_mb(child.pid) > 1
        child.communicate(b"\n")
