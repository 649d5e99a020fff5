"""Pages whose blocks are executed in order: `sh` is run; a block with a file's name after its language is that file."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is of, if any, and its text."""

    language: str
    file: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


@dataclass
class Reader:
    """Somebody who follows a page from `folder` on. A `cd` of one block holds in the next one."""

    folder: Path
    environment: Mapping[str, str]
    printed: str = ""
    start: Path = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.folder

    def follow(self, block: Block) -> None:
        """Write the block's file, or run it in bash. Fails the test unless every command of it succeeds."""
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self.run(block.text)

    def run(self, script: str) -> str:
        """Run a script here; its output."""
        ended = self.start / "ended"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > {ended}"],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        self.folder = Path(ended.read_text(encoding="utf-8").strip())
        self.printed += done.stdout
        return done.stdout
