"""Generated JSON files: written to their folder, or compared with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def stale_files(folder: Path, made: Mapping[str, str]) -> list[str]:
    """The names of the files in `folder` that are changed, missing or left over, given the text of each one."""
    present = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.json")}
    return sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))


def run_generator(module: str, made: Mapping[str, str], folder: Path, arguments: Sequence[str]) -> int:
    """The command line of a generator: write `made` and delete every other JSON file, or `--check`; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=f"Generate {folder}.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    stale = stale_files(folder, made)
    if parser.parse_args(arguments).check:
        sys.stdout.writelines(f"{folder.name}/{name} differs from what is generated\n" for name in stale)
        if stale:
            sys.stdout.write(f"Remedy: run `python -m {module}` and commit the result.\n")
        return 1 if stale else 0
    for name in stale:
        path = folder / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name])
        else:
            path.unlink()
    return 0
