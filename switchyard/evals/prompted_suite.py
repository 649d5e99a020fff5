"""A suite that is a file: documents for an agent with one prompt, and what its output must be.

```yaml
agent: services.specialists.assistant:build_agent    # model -> pydantic_ai.Agent
prompt: services.specialists.assistant:PROMPT
cases:
  - {id: hours, text: "When do you open?", expect: {topic: opening_hours}}
  - {id: price, text: "What does it cost?", expect: {reply: {contains: price}}, never: true}
```

A case that fails and is marked `never` fails the gate with any score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from switchyard.evals.models import SIMULATOR_MODEL
from switchyard.evals.results import EvalRun, SuiteResult
from switchyard.runtime.core.yaml_file import UnreadableFile, read_yaml
from switchyard.runtime.models.prompts import as_data, prompt_version


class DatasetError(Exception):
    """A dataset cannot be used. The message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Contains(_Part):
    """Text that a field of the output must have in it, in any case."""

    contains: Annotated[str, Field(min_length=1)]


class PromptedCase(_Part):
    """A document, and fields of the output with their values."""

    id: Annotated[str, Field(min_length=1)]
    text: str
    expect: Annotated[dict[str, Contains | str | int | bool | None], Field(min_length=1)]
    never: bool = False
    """Whether another output must never happen."""


class PromptedDataset(_Part):
    """A suite's file."""

    agent: str
    prompt: str
    cases: Annotated[tuple[PromptedCase, ...], Field(min_length=1)]


def read_dataset(path: Path) -> tuple[PromptedDataset, str]:
    """A suite's file, and a digest of it. Raises `DatasetError`."""
    try:
        found = PromptedDataset.model_validate_json(json.dumps(read_yaml(path)))
    except UnreadableFile as error:
        raise DatasetError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    names = [case.id for case in found.cases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{path}: cases: two are named {twice[0]}: baselines are kept by name, rename one")
    return found, hashlib.sha256(path.read_bytes()).hexdigest()[:12]


async def run_prompted_suite(path: Path, model: Any, run: EvalRun) -> SuiteResult:
    """Every case of a file on a model. Raises `DatasetError`."""
    dataset, version = read_dataset(path)
    agent, prompt = _load(path, "agent", dataset.agent)(model), str(_load(path, "prompt", dataset.prompt))

    async def attempt(case: PromptedCase) -> str:
        from pydantic_ai import UnexpectedModelBehavior

        try:
            output = (await agent.run(as_data(case.text))).output
        except UnexpectedModelBehavior as error:
            return f"no output: {error}"
        return differences(output.model_dump(mode="json"), case.expect)

    results = await run.score(dataset.cases, attempt)
    never = {case.id for case in dataset.cases if case.never}
    return SuiteResult(
        suite=path.stem,
        model=run.model,
        deterministic=run.model == SIMULATOR_MODEL,
        prompt_version=prompt_version(prompt),
        dataset_version=version,
        rates={},
        violations=tuple(f"{each.id}: {each.note}" for each in results if each.id in never and each.note),
        cases=results,
    )


def differences(output: Mapping[str, Any], expect: Mapping[str, Contains | str | int | bool | None]) -> str:
    """What of an output is not as expected; empty if all is."""
    wrong = []
    for name, wanted in expect.items():
        found = output.get(name, "(no such field)")
        if isinstance(wanted, Contains):
            fits, shown = wanted.contains.lower() in str(found).lower(), f"something with {wanted.contains!r}"
        else:
            fits, shown = found == wanted and isinstance(found, bool) is isinstance(wanted, bool), repr(wanted)
        if not fits:
            wrong.append(f"{name} is {found!r} instead of {shown}")
    return "; ".join(wrong)


def _load(path: Path, field: str, reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DatasetError(f"{path}: {field}: {reference} cannot be imported ({error})") from error
