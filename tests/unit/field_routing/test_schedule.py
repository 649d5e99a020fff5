from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.routing.checker import check_plan
from evals.routing.instances import SMALL, generate_instance
from services.specialists.field_routing.document import plan_json
from services.specialists.field_routing.plan import describe_plan
from services.specialists.field_routing.problem import Lunch
from services.specialists.field_routing.schedule import sequences_cost, time_route
from tests.unit.field_routing.routing_problems import job, problem, technician


def test_route_across_lunch_pauses_the_drive_and_begins_after_it() -> None:
    # Leaves at seven, three hours of work, then a drive of 130 minutes that lunch at 12:00 interrupts.
    given_ = problem((job(0, minutes=60, opens=420), job(1, opens=600)), (technician(0),), minutes=130)
    route = time_route(given_, 0, (0, 1))
    assert route is not None
    second = route.visits[1]
    assert given_.lunch.end(second.arrives) == 420 + 130 + 60 + 130 + 30


def test_work_that_would_begin_at_lunch_begins_after_it() -> None:
    lunch = Lunch(starts=720, minutes=30)
    assert (lunch.begin(720), lunch.end(720)) == (750, 720)
    assert lunch.last_begin(735) == 719, "a window that ends during lunch is over before it"


def test_job_whose_window_is_within_lunch_is_on_no_route() -> None:
    given_ = problem((job(0, opens=725, closes=740),), (technician(0),))
    assert time_route(given_, 0, (0,)) is None


def test_route_leaves_as_late_as_a_window_allows() -> None:
    route = time_route(problem((job(0, opens=600),), (technician(0),)), 0, (0,))
    assert route is not None
    assert (route.leaves, route.duration) == (580, 70)


@pytest.mark.parametrize(
    ("changes", "people"),
    [
        ({"skills": ("pump",)}, {"skills": ("chemical",)}),
        ({"closes": 430}, {}),
        ({"minutes": 640}, {}),
    ],
)
def test_impossible_stop_makes_no_route(changes: dict[str, object], people: dict[str, object]) -> None:
    assert time_route(problem((job(0, **changes),), (technician(0, **people),)), 0, (0,)) is None


def test_overtime_is_what_the_route_is_longer_than_the_shift_and_costs_more() -> None:
    given_ = problem((job(0, minutes=590),), (technician(0),))
    route = time_route(given_, 0, (0,))
    assert route is not None
    assert route.overtime == 590 + 40 - (600 - 30)
    # Two legs of ten miles.
    assert route.cost(given_) == 200 * 7 + 630 * 75 + 60 * 38


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SMALL), st.randoms(use_true_random=False))
def test_any_possible_routes_pass_the_independent_checker(instance: tuple[int, int], draw: object) -> None:
    given_ = generate_instance(*instance)
    order = list(range(len(given_.jobs)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    routes: list[tuple[int, ...]] = [() for _ in given_.technicians]
    for each, who in itertools.product(order, range(len(routes))):
        longer = (*routes[who], each)
        if all(each not in route for route in routes) and time_route(given_, who, longer) is not None:
            routes[who] = longer
    checked = check_plan(plan_json(describe_plan(given_, tuple(routes)), {}))
    assert [each for each in checked.problems if "must be visited" not in each] == []
    assert checked.objective_cents == sequences_cost(given_, tuple(routes))
