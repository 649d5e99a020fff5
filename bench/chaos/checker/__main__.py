"""`python -m bench.chaos.checker HISTORY OUTBOX`: the databases are named by WORK_URL and AUDIT_URL."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bench.chaos.checker.checks import check_run, list_checks, read_json


def main(history: str, outbox: str) -> int:
    """Print every violation; 1 if there is one."""
    violations = asyncio.run(
        check_run(os.environ["WORK_URL"], os.environ["AUDIT_URL"], read_json(Path(outbox)), read_json(Path(history)))
    )
    for each in violations:
        print(f"{each.check}: case {each.case_id}: {each.found} (expected: {each.promise})")
    print(f"{len(violations)} violations, {len(list_checks())} checks")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
