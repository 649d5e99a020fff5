"""`python -m tests.lint.application_words`: words of the reference application in the engine's names and strings.

The engine knows nothing of a concrete agent: what it must know of an application is in the App.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WORDS = re.compile(
    r"(?<![a-z])(compliance|debts?|debtors?|drafters?|emails?|oil|opt_?outs?|questions?|ses|snowflake|technicians?"
    r"|text_to_sql|triage|warehouses?|wells)(?![a-z])"
)
ALLOWED = {
    "switchyard/devstack/simulators/": {"email", "emails", "ses", "snowflake", "warehouse", "warehouses"},
    # The type of what the suppression list holds, and S3's word for a lock that nobody can lift.
    "switchyard/protocol/": {"email"},
    "switchyard/runtime/storage/locked_objects.py": {"compliance"},
    "switchyard/audit/verification/checkpoint_checks.py": {"compliance"},
    "switchyard/audit/verification/checkpoint_verifier.py": {"compliance"},
    "switchyard/processes/audit_settings.py": {"compliance"},
    "switchyard/processes/console_settings.py": {"compliance"},
    "switchyard/cli/app/settings.py": {"compliance"},
}


def words(text: str) -> Iterator[str]:
    """The application's words in an identifier or a text."""
    yield from (found[0] for found in WORDS.finditer(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()))


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The identifiers and strings of a module."""
    for node in ast.walk(ast.parse(source)):
        found = [getattr(node, name, None) for name in ("name", "id", "attr", "arg", "module", "value")]
        yield from ((getattr(node, "lineno", 1), each) for each in found if isinstance(each, str))


def findings(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Every word of the application in a file of the engine, with its line. Comments are not read."""
    allowed = {word for start, some in ALLOWED.items() if str(path).startswith(start) for word in some}
    lines = texts(text) if path.suffix == ".py" else enumerate(re.sub(r"--.*", "", text).splitlines(), 1)
    for line, each in (*lines, (1, str(path))):
        yield from ((line, word) for word in words(each) if word not in allowed)


def main() -> int:
    """Print every finding."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "switchyard"], stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    paths = [Path(name) for name in filter(None, listed.split("\0")) if name.endswith((".py", ".sql"))]
    found = {(path, *each) for path in paths if path.exists() for each in findings(path, path.read_text("utf-8"))}
    for path, line, word in sorted(found):
        print(
            f"{path}:{line}: {word}: a word of the application; the engine's word is more general, or the App's to give"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
