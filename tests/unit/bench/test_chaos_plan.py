"""The faults of `make chaos` come from its seed alone."""

from __future__ import annotations

from collections import Counter

from bench.chaos.plan import KINDS, draw_plan

PROCESSES = ("router", "audit", "drafter")


def test_plan_same_seed_gives_the_same_faults_in_order() -> None:
    plan = draw_plan(7, 120.0, PROCESSES)
    assert plan == draw_plan(7, 120.0, tuple(reversed(PROCESSES))) == sorted(plan)
    assert plan != draw_plan(8, 120.0, PROCESSES)


def test_plan_long_run_has_every_kind_on_every_process() -> None:
    plan = draw_plan(7, 600.0, PROCESSES)
    assert {fault.kind for fault in plan} == set(KINDS)
    assert {fault.kind for fault in draw_plan(7, 25.0, PROCESSES)} == set(KINDS)
    assert {fault.target for fault in plan if fault.kind == "kill"} == set(PROCESSES)
    assert all(0 < fault.at_s < 600 and fault.lasts_s >= 0 for fault in plan)
    assert 250 < Counter(fault.kind for fault in plan)["kill"] < 350, "one kill per two seconds"


def test_plan_without_a_kind_leaves_the_others_as_they_were() -> None:
    whole = draw_plan(7, 300.0, PROCESSES)
    assert draw_plan(7, 300.0, PROCESSES, ["kill", "clock"]) == [
        fault for fault in whole if fault.kind in {"kill", "clock"}
    ]
