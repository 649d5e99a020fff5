"""The prompts of an application, as `generate` keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.app import APP
from switchyard.app.prompts import PROMPTS_FOLDER, prompt_files
from switchyard.runtime.models.prompts import prompt_digest, prompt_version


def test_prompt_is_kept_under_the_digest_that_the_log_names() -> None:
    found = prompt_files(replace(APP, prompts=("services.specialists.triage.agent:TRIAGE_PROMPT",)))
    [(path, text)] = found.items()
    assert path == PROMPTS_FOLDER / f"{prompt_digest(text)}.md"
    assert prompt_version(text).endswith(path.stem)


def test_module_without_a_prompt_has_no_file() -> None:
    assert prompt_files(replace(APP, prompts=("services.app:PROMPT",))) == {}


@pytest.mark.parametrize(
    ("reference", "error"), [("services.no_such_agent:PROMPT", ImportError), ("services.app:APP", TypeError)]
)
def test_reference_to_no_text_is_refused(reference: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        prompt_files(replace(APP, prompts=(reference,)))
