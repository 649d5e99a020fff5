"""Both environments checked by terraform itself, without the provider.

`python -m tests.unit.terraform.provider.rehearse` works on a copy, because `init` writes beside the files: init,
validate, then plan and apply on made-up values (`rehearsal.tftest.hcl`), and a look at what came out (`evaluated.py`).
Exits 1 if something is wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.unit.terraform.provider.evaluated import problems, resources
from tests.unit.terraform.provider.plugin import attached

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[3] / "terraform"


def main() -> int:
    """Rehearse dev and prod; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder, attached() as environment:
        copy = Path(folder) / "terraform"
        shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform*", "__pycache__"))
        for file in copy.glob("modules/*/*.tf"):
            # What was applied to nothing is taken down again.
            file.write_text(re.sub(r"prevent_destroy += true", "prevent_destroy = false", file.read_text()))
        package = copy.parent / "dist" / "ingress.zip"
        package.parent.mkdir()
        package.write_bytes(b"terraform takes its hash, and nothing here runs it")
        return max(_rehearsed(copy / "environments" / name, environment) for name in ("dev", "prod"))


def _rehearsed(root: Path, environment: dict[str, str]) -> int:
    shutil.copy(HERE / "rehearsal.tftest.hcl", root)
    output = ""
    for command in (("init", "-backend=false", "-input=false"), ("validate",), ("test", "-json", "-verbose")):
        done = subprocess.run(
            ["terraform", f"-chdir={root}", command[0], "-no-color", *command[1:]],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        output = done.stdout
        if done.returncode:
            sys.stdout.write(f"{root.name}: terraform {command[0]} failed\n{_told(output)}{done.stderr}")
            return 1
        sys.stdout.write(f"{root.name}: terraform {command[0]} passed\n")
    found = list(resources(output))
    wrong = list(problems(found))
    sys.stdout.write("".join(f"{each}\n" for each in wrong))
    sys.stdout.write(f"{root.name}: {len(found)} resources planned and applied with made-up values\n")
    return 1 if wrong else 0


def _told(output: str) -> str:
    """What terraform says is wrong; its JSON also has plans and states, which nobody reads."""
    if not output.startswith("{"):
        return output
    lines = [json.loads(line) for line in output.splitlines()]
    return "".join(
        f"{line['@message']} {line['diagnostic'].get('detail', '')}\n" for line in lines if "diagnostic" in line
    )


if __name__ == "__main__":
    sys.exit(main())
