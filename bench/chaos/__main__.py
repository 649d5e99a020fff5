"""`make chaos`: cases of both applications under faults from a seed, then an independent check of every promise."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

from bench.chaos.checker.checks import list_checks
from bench.chaos.plan import KINDS, Kind
from bench.chaos.run import Size, run_chaos
from bench.chaos.small_disk import unmount
from switchyard.devstack.stack.home import default_home
from switchyard.devstack.stack.local_stack import VISIBILITY_VARIABLE


def run_and_report(*, seed: int, size: Size, kinds: list[Kind]) -> dict[str, Any]:
    """One run, printed; what it found. Its state is kept unless all holds, also if it raises."""
    home = default_home() / "chaos" / str(seed)
    unmount(home / "postgres")
    shutil.rmtree(home, ignore_errors=True)
    what = ", ".join(kinds) or "no faults"
    print(f"seed {seed}: {size.cases} cases, {size.seconds:.0f} s of {what}; state in {home}", flush=True)
    found = None
    try:
        found = asyncio.run(run_chaos(home, seed=seed, size=size, kinds=kinds))
    finally:
        if found is None or not holds(found):
            print(f"FAILED: seed {seed}; its state is kept in {home}", flush=True)
    if holds(found):
        shutil.rmtree(home)
    for violation in found["violations"]:
        print("{check}: case {case_id}: {found} (expected: {promise})".format(**violation))
    print(*found["proof"], sep="\n")
    shown = {name: value for name, value in found.items() if name not in {"violations", "proof", "ended_after_s"}}
    print(json.dumps(shown | {"ended_after_s": shares(found["ended_after_s"])}, indent=1))
    counts = len(list_checks()), len(found["violations"]), len(found["proof"])
    print("{} checks, {} violations, {} faults of the proof".format(*counts))
    return found


def holds(found: dict[str, Any]) -> bool:
    """Whether every promise was kept."""
    return not found["violations"] and not found["proof"]


def shares(times: list[float]) -> dict[str, float]:
    """The seconds after which these shares of the cases had ended."""
    return {f"{share} %": times[max(0, len(times) * share // 100 - 1)] for share in (50, 90, 100) if times}


def main() -> int:
    """1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--seed", type=int, help="drawn if it is not given; printed in any case")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are injected")
    parser.add_argument("--spread", type=float, help="seconds over which cases are submitted (default: --seconds)")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}; or none")
    parser.add_argument("--visibility", type=float, default=30.0, help="visibility and lease in seconds, 30 as in AWS")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    given = parser.parse_args()
    kinds = [each for each in given.kinds.split(",") if each != "none"]
    if unknown := set(kinds) - set(get_args(Kind)):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}: expected some of {', '.join(KINDS)}, or none")
    os.environ[VISIBILITY_VARIABLE] = str(given.visibility)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    size = Size(given.cases, given.seconds, given.seconds if given.spread is None else given.spread)
    found = run_and_report(seed=seed, size=size, kinds=kinds)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main())
