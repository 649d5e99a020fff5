"""`switchyard stack up` in the foreground: says `up` when all is ready. Arguments: a function of toy_plan, the home."""

import sys
from pathlib import Path

from switchyard.devstack.stack.daemon import start_stack

start_stack(f"toy_plan:{sys.argv[1]}", Path(sys.argv[2]), on_ready=lambda _: print("up", flush=True))
