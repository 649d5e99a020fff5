"""What every prompt needs: documents that stay data, and a name for the audit row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

_DIGEST = re.compile(r"[0-9a-f]{12}")


def as_data(text: str) -> str:
    """A document as the model reads it: between tags that nothing in it can close."""
    return f"<data>{text.replace('<', '&lt;')}</data>"


def prompt_version(prompt: str) -> str:
    """A prompt's name in the audit row: a digest of its text."""
    return f"prompt/{prompt_digest(prompt)}"


def prompt_digest(prompt: str) -> str:
    """The part of a prompt's version after the slash."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def find_prompt(prompts: Mapping[str, str], version: str) -> str | None:
    """The text of a version among prompts by digest; None if it is not there."""
    digest = version.rpartition("/")[2]
    return prompts.get(digest) if _DIGEST.fullmatch(digest) else None
