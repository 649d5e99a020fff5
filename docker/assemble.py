"""Collect the code of one image: `python assemble.py SERVICE SOURCE TARGET`. Imports the standard library only.

`SOURCE/terraform/generated/images.json` names the paths to copy and the command to write to `TARGET/start`.
"""

import json
import shutil
import sys
from pathlib import Path


def assemble(service: str, source: Path, target: Path) -> None:
    """Copy the service's code to `target`, and write the script that starts it."""
    image = json.loads((source / "terraform" / "generated" / "images.json").read_text())[service]
    for pattern in image["code"]:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(path, copy)
    start = target / "start"
    start.write_text(f"#!/bin/sh\nexec {image['command']}\n")
    start.chmod(0o755)


if __name__ == "__main__":
    assemble(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
