"""`python -m evals.routing.reference`: the references of the large instances, run by hand (two hours of CPU).

For each, the best of three long runs of our solver with other seeds and of VROOM, and a lower bound. Those committed
were found by a search of one start, three rounds and 1,200 iterations a round; the search of today finds one of them
0.07 % better.
"""

from __future__ import annotations

import json
from pathlib import Path

from evals.routing.instances import HELD_OUT_LARGE, LARGE, generate_instance
from evals.routing.vroom_routes import vroom_sequences
from services.specialists.field_routing.problem import Problem
from services.specialists.field_routing.schedule import sequences_cost
from services.specialists.field_routing.solver import solve_problem

REFERENCE_FILE = Path(__file__).parent / "reference.json"
SEEDS = (11, 22, 33)
LONG_STARTS, LONG_ITERATIONS = 20, 1_200


def lower_bound(problem: Problem) -> int:
    """Cents that any plan costs at least, money left at risk included.

    A visit takes its work and its shortest way in; all visits share the time of all shifts and overtime. The best
    choice under that, with parts of visits allowed, is a knapsack that the ratio of gain to time solves.
    """
    rates, people = problem.rates, len(problem.technicians)
    time = sum(ends - begins + rates.max_overtime for begins, ends in map(problem.shift, range(people)))
    bound, options = 0, []
    for index, job in enumerate(problem.jobs):
        able = list(problem.able(index))
        bound += job.risk.cents
        if not able:
            continue
        at = problem.point(index)
        ways = [*able, *(problem.point(other) for other in range(len(problem.jobs)) if other != index)]
        drive = min(problem.legs.minutes[way][at] for way in ways)
        cost = min(
            problem.legs.minutes[way][at] * rates.cents_per_minute
            + problem.legs.tenths[way][at] * rates.cents_per_tenth_mile
            for way in ways
        )
        gain, needed = job.risk.cents - cost - job.minutes * rates.cents_per_minute, job.minutes + drive
        if job.must_visit:
            bound -= gain
            time -= needed
        elif gain > 0:
            options.append((gain / max(needed, 1), gain, needed))
    for ratio, gain, needed in sorted(options, reverse=True):
        if time <= 0:
            break
        bound -= gain if needed <= time else int(ratio * time) + 1
        time -= needed
    return bound


def main(file: Path = REFERENCE_FILE) -> None:
    """Compute what is missing in the file."""
    known = json.loads(file.read_text()) if file.exists() else {}
    for seed, jobs in (*LARGE, *HELD_OUT_LARGE):
        name = f"{seed}/{jobs}"
        if name in known:
            continue
        problem = generate_instance(seed, jobs)
        costs = {
            f"seed {each}": sequences_cost(
                problem, solve_problem(problem, starts=LONG_STARTS, iterations=LONG_ITERATIONS, seed=each)
            )
            for each in SEEDS
        }
        costs["vroom"] = sequences_cost(problem, vroom_sequences(problem))
        best = min(cost for cost in costs.values() if cost is not None)
        known[name] = {"best": best, "lower_bound": lower_bound(problem), "found": costs}
        file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        print(name, known[name], flush=True)


if __name__ == "__main__":
    main()
