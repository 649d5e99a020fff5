"""`python optimum.py FILE`: proves the optimum of small instances with OR-Tools' CP-SAT, by hand.

OR-Tools would change versions of packages of ours, so it has an environment of its own, and this script imports nothing
of ours: `python -m evals.routing.small > /tmp/small.json`, then with `ortools==9.15.6755` in another environment
`python evals/routing/optimum.py /tmp/small.json > evals/routing/optimum.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ortools.sat.python import cp_model


def prove(problem: dict[str, Any]) -> int:
    """The cents of the best plan, money left at risk included. Raises `RuntimeError` if it is not proven."""
    model = cp_model.CpModel()
    jobs, people, rates, lunch = (problem[name] for name in ("jobs", "technicians", "rates", "lunch"))
    minutes, tenths = problem["legs"]["minutes"], problem["legs"]["tenths"]

    def clock(minute: int) -> int:
        """Time without lunch."""
        return minute if minute <= lunch["starts"] else max(lunch["starts"], minute - lunch["minutes"])

    def last(minute: int) -> int:
        inside = lunch["minutes"] and lunch["starts"] <= minute < lunch["starts"] + lunch["minutes"]
        return lunch["starts"] - 1 if inside else clock(minute)

    terms: list[Any] = []
    visited: list[list[Any]] = [[] for _ in jobs]
    for who, person in enumerate(people):
        begins, ends = clock(person["shift_starts"]), clock(person["shift_ends"])
        latest = ends + rates["max_overtime"]
        leaves, returns = (model.new_int_var(begins, latest, f"{name}{who}") for name in ("leaves", "returns"))
        model.add(returns >= leaves)  # also of one who stays at home
        over = model.new_int_var(0, rates["max_overtime"], f"over{who}")
        model.add(over >= returns - leaves - (ends - begins))
        terms += [rates["cents_per_minute"] * (returns - leaves), rates["overtime_cents_per_minute"] * over]
        idle = model.new_bool_var(f"idle{who}")
        arcs = [(0, 0, idle)]
        starts = []
        for what, job in enumerate(jobs):
            opens, closes = clock(job["opens"]), last(job["closes"])
            able = opens <= closes and set(job["skills"]) <= set(person["skills"])
            here = model.new_bool_var(f"{who}does{what}") if able else model.new_constant(0)
            visited[what].append(here)
            arcs.append((what + 1, what + 1, ~here if able else model.new_constant(1)))
            starts.append(model.new_int_var(min(opens, closes), max(opens, closes), f"{who}starts{what}"))
        points = [who, *range(len(people), len(people) + len(jobs))]
        for one, start in enumerate(points):
            for other, end in enumerate(points):
                if one == other:
                    continue
                arc = model.new_bool_var(f"{who}:{one}-{other}")
                arcs.append((one, other, arc))
                terms.append(rates["cents_per_tenth_mile"] * tenths[start][end] * arc)
                free = leaves if one == 0 else starts[one - 1] + jobs[one - 1]["minutes"]
                due = returns if other == 0 else starts[other - 1]
                model.add(due >= free + minutes[start][end]).only_enforce_if(arc)
        model.add_circuit(arcs)
    for what, job in enumerate(jobs):
        model.add(sum(visited[what]) == 1 if job["must_visit"] else sum(visited[what]) <= 1)
        terms.append(job["cents"] * (1 - sum(visited[what])))
    model.minimize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = 600
    solver.parameters.num_workers = 8
    status = solver.solve(model)
    if status != cp_model.OPTIMAL:
        raise RuntimeError(f"not proven: {status}")
    return round(float(solver.objective_value))


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    json.dump({name: prove(problem) for name, problem in given.items()}, sys.stdout, indent=1)
    print()
