"""`python -m tests.lint.prose`: phrases to avoid in comments, strings, SQL, pages and terraform."""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PHRASES = {
    r"\bmend(s|ed|ing|able)?\b": "revise, fix, correct",
    r"\b(un)?told\b": "reported, notified, described",
    r"\b(is|are) none\b": "is missing, is invalid",
    r"\bwhoever\b": "a noun: the operator, the caller",
    # In quotes it is an account of the machine.
    r"(?<!\")\bnobody\b": "a noun as the subject: no role, no process",
    r"\bwhatever\b": "a noun, or: any",
    r"\bof which\b": "whose, or two sentences",
    r"\b(stands?|stood) (in|on|at|beside|behind|there)\b": "is stored in, is in",
    r"\b(lies?|lay) (in|on|at|there)\b": "is stored in, is in",
    r"\b(a row|a line|a folder|a process) (a|an) [a-z]": "per: one row per case",
    r"\bis to be had\b": "is available",
}
# Text that is not ours to reword: prompts, sample emails, and this list.
ALLOWED = ("tests/lint/", "tests/unit/compliance/", "tests/unit/drafter/", "demo/data/", "tests/contract/")
ALLOWED_PARTS = ("/prompts/", "/packs/", "/disclosures.py", "/lexicon.py")
SUFFIXES = {".py", ".sql", ".md", ".tf"}


def tracked() -> Iterator[Path]:
    """Every tracked file that the check reads."""
    listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        path = Path(name)
        skipped = name.startswith(ALLOWED) or any(part in f"/{name}" for part in ALLOWED_PARTS)
        if path.suffix in SUFFIXES and path.is_file() and not skipped:
            yield path


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that people read, with their numbers; of Python, comments and strings only."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in kinds:
                for offset, line in enumerate(token.string.splitlines()):
                    yield token.start[0] + offset, line


def findings(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """Line number, phrase and advice of every phrase found."""
    for number, line in lines:
        for pattern, advice in PHRASES.items():
            if found := re.search(pattern, line, re.IGNORECASE):
                yield number, found[0], advice


def main() -> int:
    """Print every finding and the number per top folder."""
    counts: Counter[str] = Counter()
    for path in tracked():
        for number, phrase, advice in findings(prose(path)):
            print(f'{path}:{number}: "{phrase}"; write: {advice}')
            counts[path.parts[0] if len(path.parts) > 1 else "."] += 1
    if counts:
        print(f"{counts.total()} findings:", ", ".join(f"{top} {count}" for top, count in sorted(counts.items())))
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
