"""`python -m evals.routing.small`: the small instances as JSON, for `optimum.py`, which imports nothing of ours."""

from __future__ import annotations

import json

from evals.routing.instances import SMALL, generate_instance


def small_instances() -> dict[str, object]:
    """Each instance with its jobs' money at risk in cents."""
    found: dict[str, object] = {}
    for seed, jobs in SMALL:
        problem = generate_instance(seed, jobs)
        fields = problem.model_dump(mode="json")
        for job, known in zip(fields["jobs"], problem.jobs, strict=True):
            job["cents"] = known.risk.cents
        found[f"{seed}/{jobs}"] = fields
    return found


if __name__ == "__main__":
    print(json.dumps(small_instances()))
