"""`python -m tests.lint.names`: replaced names in Python, SQL, schemas, files, variables; tests named by sentences."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

WORDS = re.compile(
    r"desk|courier|mailbox|letter|anchor(s|ed|ing)?|unplaced|laptop|caretaker|keeper|leash|standin|told|said|mend(ed|able)?"
    r"|beside|reaching|deferring|spending|undecoded|alongside|refusals?"
)
"""Parts of an identifier that no name has any more; dead letters are the queue's own word."""
NAMES = frozenset(
    {"world", "graph_version", "keep_warm", "first_position", "last_position", "gate_key", "lock_sending"}
)
CLASSES = frozenset({"Refused", "Rejected"})
FUNCTIONS = frozenset({"say", "tell", "found", "about", "bury", "obey"})
SQL = frozenset({"held", "notice", "sendable", "unsettled", "settle", "position", "replay"})
VARIABLES = re.compile(
    r"\bSWITCHYARD_(?:\w*DSN|\w*DATABASE_(?:URL|AUTH|CA_FILE)|(?:ANCHOR|MAILBOX|LAPTOP)\w*|(?:AUDIT_RETENTION|VAULT_ERASER)_URL)\b"
)
SENTENCE = re.compile(r"test_(?:an?|the|every|what|whatever|who|whoever|nobody|nothing)_")
MAX_TEST_NAME = 80
ALLOWED = {
    # A channel of contact: paper mail.
    "letter": (
        "contracts/",
        "tests/contract/golden/",
        "demo/emails.py",
        "services/samples.py",
        "tests/accounts.py",
        "tests/unit/compliance/",
    ),
    # CSS's words: a font and a property.
    "courier": ("services/specialists/compliance/email_text/",),
    "letter-spacing": ("services/specialists/compliance/email_text/",),
    "refusal": ("switchyard/devstack/simulators/models/openai_wire.py",),  # a field of OpenAI's messages
    "_mailbox": ("services/drafter/mime.py",),  # RFC 5322's word
}
SKIPPED = ("tests/lint/", "tests/contract/corpus/", "docs/adr/", "terraform/.terraform")


def parts(name: str) -> set[str]:
    """The words of an identifier, a file name or a queue's name."""
    plain = re.sub(r"dead[_-]?letters?|(?<=ascii_)letters", "", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    return set(re.split(r"[^a-z0-9]+", plain))


def old(name: str) -> bool:
    """Whether an identifier has a replaced word in it."""
    return name in NAMES or any(WORDS.fullmatch(word) for word in parts(name))


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Every identifier of a module, and every string that is one word, because such strings are wire names."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield line, f"def {name}" if name in FUNCTIONS else name
            case ast.ClassDef(name=name):
                yield line, f"class {name}" if name in CLASSES else name
            case ast.alias(name=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                yield line, name
            case ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield line, name
            case ast.Constant(value=str(text)) if re.fullmatch(r"[A-Za-z][\w-]*", text):
                yield line, text


def sentences(source: str) -> Iterator[tuple[int, str]]:
    """Every test whose name is no `test_<subject>_<condition>_<result>`, or is longer than `MAX_TEST_NAME`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            if SENTENCE.match(node.name):
                yield node.lineno, f"{node.name} begins with no subject: name it test_<subject>_<condition>_<result>"
            if len(node.name) > MAX_TEST_NAME:
                yield node.lineno, f"{node.name} has more than {MAX_TEST_NAME} characters: shorten it"


def findings(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Every old name of a file, and every test that is named by a sentence, with its line."""
    if any(old(part) for part in path.parts):
        yield 0, str(path)
    yield from ((text.count("\n", 0, found.start()) + 1, found[0]) for found in VARIABLES.finditer(text))
    if path.suffix == ".py":
        yield from (
            (line, name) for line, name in identifiers(text) if old(name) or name.startswith(("def ", "class "))
        )
        yield from sentences(text)
    elif path.suffix == ".sql":
        for number, line in enumerate(text.splitlines(), 1):
            code = re.sub(r"--.*|'[^']*'", "", line)
            yield from ((number, name) for name in re.findall(r"[a-z_]\w*", code) if name in SQL or old(name))
    elif path.suffix == ".json":
        for number, line in enumerate(text.splitlines(), 1):
            yield from ((number, name) for name in re.findall(r'"([\w.-]+)"', line) if old(name))


def main() -> int:
    """Print every finding and the number per top folder."""
    counts: Counter[str] = Counter()
    listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True, text=True).stdout
    for path in (Path(name) for name in filter(None, listed.split("\0")) if not name.startswith(SKIPPED)):
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for line, name in findings(path, text):
            if str(path).startswith(ALLOWED.get(name, ("-",))):
                continue
            print(f"{path}:{line}: {name}")
            counts[path.parts[0] if len(path.parts) > 1 else "."] += 1
    if counts:
        print(f"{counts.total()} findings:", ", ".join(f"{top} {count}" for top, count in sorted(counts.items())))
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
