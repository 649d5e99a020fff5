"""The zip of the function: it holds what the function imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LISTING = """
import json, sys
import switchyard.ingress.handler
from switchyard.app.application import load_app
load_app()
print(json.dumps([name for name in sys.modules]))
"""


def test_package_holds_every_module_that_the_function_imports() -> None:
    copied = json.loads((ROOT / "terraform" / "generated" / "images.json").read_text())["ingress"]["code"]
    ran = subprocess.run([sys.executable, "-c", LISTING], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [
        name for name in json.loads(ran.stdout) if name.partition(".")[0] in {"contracts", "services", "switchyard"}
    ]
    assert ours
    held = {
        path
        for pattern in copied
        for found in ROOT.glob(pattern)
        for path in ([found] if found.is_file() else found.rglob("*.py"))
    }
    missing = {
        name
        for name in ours
        if not {ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"} & held
    }
    assert missing == set()
    installed = (ROOT / "docker" / "requirements" / "ingress.txt").read_text()
    assert {"joserfc", "pydantic"} <= set(re.findall(r"^([a-z0-9-]+)==", installed, re.M))
