"""The small instances as JSON; `python -m evals.routing.small` prints them, as input of `optimum.py`."""

from __future__ import annotations

import json
from typing import Any

from evals.routing.instances import SMALL, generate_instance
from services.specialists.field_routing.problem import Problem


def small_instances() -> dict[str, dict[str, Any]]:
    """Each instance by its name."""
    return {f"{seed}/{jobs}": problem_fields(generate_instance(seed, jobs)) for seed, jobs in SMALL}


def problem_fields(problem: Problem) -> dict[str, Any]:
    """A problem as JSON, each job with its money at risk in cents."""
    fields = problem.model_dump(mode="json")
    for job, known in zip(fields["jobs"], problem.jobs, strict=True):
        job["cents"] = known.risk.cents
    return fields


if __name__ == "__main__":
    print(json.dumps(small_instances()))
