"""What every prompt needs: documents that stay data, and a name for the audit row."""

from __future__ import annotations

import hashlib


def as_data(text: str) -> str:
    """A document as the model reads it: between tags that nothing in it can close."""
    return f"<data>{text.replace('<', '&lt;')}</data>"


def prompt_version(prompt: str) -> str:
    """A prompt's name in the audit row: a digest of its text."""
    return f"prompt/{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"
