from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import pytest

from evals.routing import small
from evals.routing.exact import exact_optimum
from evals.routing.instances import HELD_OUT_SMALL, generate_instance
from evals.routing.small import problem_fields, small_instances
from services.specialists.field_routing.schedule import sequences_cost

PROVEN_BY_CP_SAT = json.loads((Path(small.__file__).parent / "optimum.json").read_text())


@pytest.mark.parametrize("name", PROVEN_BY_CP_SAT)
def test_optimum_by_dynamic_programming_is_the_one_that_cp_sat_proved(name: str) -> None:
    assert exact_optimum(small_instances()[name]) == PROVEN_BY_CP_SAT[name]


@pytest.mark.parametrize("seed", [5_000, 5_007, 5_014])
def test_optimum_is_the_least_of_every_order_of_every_choice(seed: int) -> None:
    problem = generate_instance(seed, 5)
    jobs = range(len(problem.jobs))
    people = len(problem.technicians)
    costs = []
    for owners in product(range(people + 1), repeat=len(jobs)):  # the last owner: not visited
        if any(problem.jobs[job].must_visit and owners[job] == people for job in jobs):
            continue
        own = [[job for job in jobs if owners[job] == who] for who in range(people)]
        for orders in product(*(permutations(each) for each in own)):
            cost = sequences_cost(problem, tuple(orders))
            if cost is not None:
                costs.append(cost)
    assert exact_optimum(problem_fields(problem)) == min(costs)


def test_held_out_instances_share_no_seed_with_those_that_the_search_was_chosen_on() -> None:
    assert not {seed for seed, _ in HELD_OUT_SMALL} & {int(name.split("/")[0]) for name in small_instances()}
