"""RC208 of Solomon's instances, from the source distribution of PyVRP (MIT licence), solved with PyVRP."""

from __future__ import annotations

from pathlib import Path

RC208_FILE = Path(__file__).parent / "data" / "RC208.vrp"
RC208_BEST_KNOWN = 7_761
"""Tenths, with distances cut to one decimal, as the file's solution in the same distribution says."""
RC208_ITERATIONS, RC208_SEED = 2_000, 1


def rc208_distance() -> int:
    """The length of our routes, in tenths."""
    from pyvrp import SolveParams, read, solve
    from pyvrp.stop import MaxIterations

    data = read(RC208_FILE, round_func="dimacs")
    found = solve(data, MaxIterations(RC208_ITERATIONS), seed=RC208_SEED, collect_stats=False, params=SolveParams())
    if not found.is_feasible():
        raise ValueError("RC208 has no feasible routes")
    return int(found.cost())
