"""Generated JSON files: written to their folder, or compared with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType


def stale_files(folder: Path, made: Mapping[str, str]) -> list[str]:
    """The names of the files in `folder` that are changed, missing or left over, given the text of each one."""
    present = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.json")}
    return sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))


def run_generator(
    module: str,
    made: Mapping[str, str],
    folder: Path,
    arguments: Sequence[str],
    pages: Mapping[Path, str] = MappingProxyType({}),
) -> int:
    """The command line of a generator: write `made` and delete every other JSON file, or `--check`; the exit status.
    `pages` are files elsewhere."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=f"Generate {folder}.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    texts = {folder / name: text for name, text in made.items()} | dict(pages)
    stale = [folder / name for name in stale_files(folder, made)]
    stale += [page for page, text in pages.items() if not page.exists() or page.read_text() != text]
    if parser.parse_args(arguments).check:
        sys.stdout.writelines(f"{path} differs from what is generated\n" for path in stale)
        if stale:
            sys.stdout.write(f"Remedy: run `python -m {module}` and commit the result.\n")
        return 1 if stale else 0
    for path in stale:
        if path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path])
        else:
            path.unlink()
    return 0
