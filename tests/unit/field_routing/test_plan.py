from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from evals.routing.checker import check_plan
from evals.routing.instances import SMALL, generate_instance
from services.specialists.field_routing.change import moved_stops
from services.specialists.field_routing.document import plan_csv, plan_json
from services.specialists.field_routing.fixed_loop import fixed_loop
from services.specialists.field_routing.plan import NoPlan, plan_day
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.route_map import draw_map
from services.specialists.field_routing.schedule import Sequences, sequences_cost
from services.specialists.field_routing.solver import solve_problem
from services.specialists.field_routing.solver_process import SEARCH, solve_in_process
from switchyard.runtime.core.errors import RetryableTaskError
from tests.unit.field_routing.routing_problems import job, problem, technician

SOLVE_TWICE = """
from evals.routing.instances import generate_instance
from services.specialists.field_routing.solver import solve_problem
print(solve_problem(generate_instance(2003, 20)))
"""


async def solve(given: Problem) -> Sequences:
    return solve_problem(given, iterations=300)


def test_same_problem_gives_the_same_routes_in_this_and_in_another_process() -> None:
    here = solve_problem(generate_instance(2003, 20))
    assert solve_problem(generate_instance(2003, 20)) == here
    ran = subprocess.run([sys.executable, "-c", SOLVE_TWICE], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(here)


async def test_solver_process_finds_what_the_solver_finds() -> None:
    given = generate_instance(*SMALL[3])
    assert await solve_in_process(given) == solve_problem(given)


async def test_solver_process_over_its_time_is_killed_and_retried() -> None:
    with pytest.raises(RetryableTaskError) as late:
        await solve_in_process(generate_instance(2005, 46), 0.05)
    assert late.value.code == "solver_late"


async def test_solver_process_over_its_memory_is_retried() -> None:
    with pytest.raises(RetryableTaskError) as failed:
        await solve_in_process(generate_instance(2005, 46), memory_bytes=40_000_000)
    assert failed.value.code == "solver_failed"


async def test_must_visit_without_skill_is_refused_by_name() -> None:
    given = problem((job(0, must_visit=True, skills=("pump",)),), (technician(0),))
    with pytest.raises(NoPlan) as refused:
        await plan_day(given, solve)
    assert refused.value.reasons == ((0, "no technician on duty has all of: pump"),)


async def test_must_visit_out_of_reach_is_refused() -> None:
    given = problem((job(0, must_visit=True, closes=425),), (technician(0),))
    with pytest.raises(NoPlan) as refused:
        await plan_day(given, solve)
    assert "window" in refused.value.reasons[0][1]


async def test_must_visits_that_do_not_fit_together_are_refused() -> None:
    jobs = tuple(job(number, must_visit=True, minutes=300) for number in range(3))
    with pytest.raises(NoPlan) as refused:
        await plan_day(problem(jobs, (technician(0),)), solve)
    assert "beside the other must-visits" in refused.value.reasons[0][1]


async def test_must_visit_displaces_money() -> None:
    jobs = (job(0, must_visit=True, minutes=500), job(90, minutes=500))
    plan = await plan_day(problem(jobs, (technician(0),)), solve)
    assert [visit.job for visit in plan.routes[0].visits] == [0]
    assert [(each.job, each.reason) for each in plan.skipped] == [(1, "no_time")]


async def test_job_not_visited_has_the_right_reason() -> None:
    cheap = {"risk": {"rate_bbl_per_day": 1, "price_usd_per_bbl": 1, "net_interest": 1, "probability": 0.1}}
    jobs = (job(9), job(1, **cheap), job(2, skills=("pump",)), job(3, closes=425))
    plan = await plan_day(problem(jobs, (technician(0),)), solve)
    assert {each.job: each.reason for each in plan.skipped} == {1: "not_worth_the_drive", 2: "no_skill", 3: "no_time"}


async def test_added_job_moves_no_more_stops_than_allowed() -> None:
    given = generate_instance(2001, 33)
    full = await solve(given)
    new = next(route[0] for route in full if route and not given.jobs[route[0]].must_visit)
    for budget in (0, 1, 2):
        plan = await plan_day(given, solve, added=(new,), max_moved=budget)
        assert plan.change is not None
        assert plan.change.moved <= budget
        checked = check_plan(plan_json(plan, {}))
        assert checked.problems == ()


def test_moved_stops_are_counted_by_technician_order_and_loss() -> None:
    assert moved_stops(((1, 2, 3), ()), ((1, 9, 2, 3), ())) == 0
    assert moved_stops(((1, 2, 3), ()), ((2, 1, 3), ())) == 1
    assert moved_stops(((1, 2, 3), (4,)), ((1, 2), (3, 4))) == 1
    assert moved_stops(((1, 2, 3), ()), ((3,), ())) == 2


async def test_added_must_visit_beyond_the_budget_is_refused_with_what_it_would_take() -> None:
    jobs = (job(50, minutes=400), job(0, minutes=400, must_visit=True))
    with pytest.raises(NoPlan) as refused:
        await plan_day(problem(jobs, (technician(0),)), solve, added=(1,), max_moved=0)
    assert "would move 1" in refused.value.reasons[0][1]


def test_fixed_loop_is_the_same_whatever_the_money() -> None:
    given = generate_instance(2002, 36)
    without = tuple(each.model_copy(update={"must_visit": False}) for each in given.jobs)
    poor = tuple(
        each.model_copy(update={"risk": each.risk.model_copy(update={"probability": 0.0})}) for each in without
    )
    assert fixed_loop(given) == fixed_loop(given.model_copy(update={"jobs": poor}))
    cost, ours = sequences_cost(given, fixed_loop(given)), sequences_cost(given, solve_problem(given))
    assert cost is not None
    assert ours is not None
    assert ours < cost


async def test_documents_of_a_plan_can_be_read_and_hold_no_markup_of_the_data() -> None:
    evil = '=cmd|"<script>alert(1)</script>'
    given = problem((job(0, label=evil), job(1)), (technician(0, name="<b>"),))
    plan = await plan_day(given, solve)
    assert json.loads(plan_json(plan, SEARCH))["search"] == SEARCH
    rows = list(csv.DictReader(io.StringIO(plan_csv(plan).decode())))
    assert [row["well"] for row in rows if row["work_order"] == "J0"] == [f"'{evil}"]
    drawing = ElementTree.fromstring(draw_map(plan))
    assert {each.tag.rpartition("}")[2] for each in drawing.iter()} <= {
        "svg", "title", "rect", "circle", "polyline", "g", "text", "line",
    }  # fmt: skip
    assert len(drawing.findall(".//{*}polyline")) == 1


def test_checker_finds_a_plan_that_was_altered() -> None:
    document = json.loads(plan_json_of(generate_instance(*SMALL[5])))
    assert check_plan(json.dumps(document).encode()).problems == ()
    for path, value in (
        (("routes", 0, "stops", 0, "begins"), "03:00"),
        (("routes", 0, "stops", 0, "drive_min"), 1),
        (("routes", 0, "returns"), "23:00"),
        (("totals", "objective_cents"), 1),
        (("not_visited",), []),
    ):
        altered = json.loads(json.dumps(document))
        part = altered
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        assert check_plan(json.dumps(altered).encode()).problems, path


def plan_json_of(given: Problem) -> bytes:
    from services.specialists.field_routing.plan import describe_plan

    return plan_json(describe_plan(given, solve_problem(given)), {})
