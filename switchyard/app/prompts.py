"""The text of every prompt that was ever released, by the digest that the log names.

`python -m switchyard.app.generate` adds the prompts in force to `contracts/prompts/` and takes none away: a case of an
earlier release stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from switchyard.app.application import App, resource_path
from switchyard.runtime.models.prompts import prompt_digest

PROMPTS_FOLDER = Path("contracts/prompts")
PROMPTS_RESOURCE = "contracts:prompts"


def prompt_files(app: App) -> dict[Path, str]:
    """The file of each prompt in force; a module without that name has none. Raises `ImportError` for a module that
    does not exist, and `TypeError` for a reference to anything but text."""
    found = {}
    for reference in app.prompts:
        module, _, name = reference.partition(":")
        text = getattr(import_module(module), name, None)
        if text is None:
            continue
        if not isinstance(text, str):
            raise TypeError(f"App.prompts: {reference} is not text")
        found[PROMPTS_FOLDER / f"{prompt_digest(text)}.md"] = text
    return found


def released_prompts() -> Mapping[str, str]:
    """Every released prompt by its digest, which is computed: a file that was changed has another one."""
    folder = resource_path(PROMPTS_RESOURCE)
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))] if folder.is_dir() else []
    return {prompt_digest(text): text for text in texts}
