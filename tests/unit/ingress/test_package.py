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
import services.ingress.handler
print(json.dumps([name for name in sys.modules]))
"""


def test_package_holds_every_module_that_the_function_imports() -> None:
    copied = json.loads((ROOT / "terraform" / "generated" / "images.json").read_text())["ingress"]["code"]
    ran = subprocess.run([sys.executable, "-c", LISTING], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [
        name for name in json.loads(ran.stdout) if name.partition(".")[0] in {"contracts", "services", "switchyard"}
    ]
    assert ours
    missing = {
        name
        for name in ours
        if not any(
            path == folder or path.startswith(f"{folder}/")
            for path in (name.replace(".", "/") + "/", name.replace(".", "/") + "/__init__.py")
            for folder in copied
        )
    }
    assert missing == set()
    installed = (ROOT / "docker" / "requirements" / "ingress.txt").read_text()
    assert {"joserfc", "pydantic"} <= set(re.findall(r"^([a-z0-9-]+)==", installed, re.M))
