"""Both environments checked by terraform itself, without the provider.

`python -m tests.unit.terraform.provider.rehearse` works on a copy, because `init` writes beside the files: init,
validate, then plan and apply on made-up values (`rehearsal.tftest.hcl`). Exits 1 at the first that fails.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.unit.terraform.provider.plugin import attached

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[3] / "terraform"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, attached() as environment:
        copy = Path(folder) / "terraform"
        shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform*", "__pycache__"))
        for file in copy.glob("modules/*/*.tf"):
            # What was applied to nothing is taken down again.
            file.write_text(re.sub(r"prevent_destroy += true", "prevent_destroy = false", file.read_text()))
        for name in ("dev", "prod"):
            root = copy / "environments" / name
            shutil.copy(HERE / "rehearsal.tftest.hcl", root)
            package = root / "../../../dist/ingress.zip"
            package.parent.mkdir(exist_ok=True)
            package.write_bytes(b"terraform takes its hash, and nothing here runs it")
            for command in (["init", "-backend=false", "-input=false"], ["validate"], ["test"]):
                sys.stdout.write(f"{name}: terraform {' '.join(command)}\n")
                sys.stdout.flush()
                done = subprocess.run(
                    ["terraform", f"-chdir={root}", command[0], "-no-color", *command[1:]],
                    env=environment,
                    check=False,
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    sys.stdout.write(done.stdout + done.stderr)
                    return 1
                sys.stdout.write(done.stdout if command[0] != "init" else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
