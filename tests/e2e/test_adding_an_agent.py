"""docs/build/adding-an-agent.md at its word: its blocks and the example's files go into a copy of the repository, whose
stack is then asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiobotocore.session import get_session

from switchyard.devstack.identity.servers import SERVERS_VARIABLE
from switchyard.devstack.stack import daemon, running
from switchyard.devstack.stack.home import temporary_home
from switchyard.devstack.supervisor.process import ProcessState

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # a stack of its own, with one process more

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(sys.prefix)
AGENT = "unit_converter"
EXAMPLE = ROOT / "examples" / AGENT
FILES = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".yaml"}}
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of the document that is of a file: the file's name follows the language."""

# Where the document's words put a block into a file that exists: behind what this finds.
PLACES = {
    "contracts/cards.py": r"(?=^AGENT_CARDS: )",
    "services/app.py": r'(?=^    ProcessDescriptor\(\n        "drafter")',
    "pyproject.toml": r'^triage = \["switchyard-engine\[agent\]"\]\n',
    ".importlinter": r"^\[importlinter:contract:specialists\]\n(?:.+\n)*",
    "evals/datasets/triage.yaml": r"\Z",
    "demo/data/simulator/triage.yaml": r"\Z",
}
# What the document's words ask for besides: a name in a list.
NAMED = {
    "contracts/cards.py": (r"(for card in \([^)]*\w),?\s*\)", r"\1, UNIT_CONVERTER_CARD)"),
}
BASELINE = "evals/baseline/triage.simulator.json"
GENERATED = {
    "docs/operate/settings.md",
    "contracts/schemas/asyncapi.json",
    BASELINE,
    # What the models and the tools said, for the report: accepted with the results.
    "evals/baseline/triage.simulator.transcripts.json",
    "terraform/generated/images.json",
    "terraform/generated/topology.json",
    "terraform/generated/containers/unit_converter.json",
    "terraform/generated/iam/unit_converter.task.json",
    "terraform/generated/iam/unit_converter.execution.json",
    "terraform/generated/iam/operations/reconciler.task.json",
}
IGNORED = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, with the steps taken."""

    folder: Path
    environment: dict[str, str]
    before: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command in the copy, with the copy's code; its output. Fails the test unless it succeeds."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def switchyard(self, *arguments: str) -> str:
        """Run the command line."""
        return self.run(str(VENV / "bin" / "switchyard"), *arguments)

    def python(self, *arguments: str) -> str:
        """Run Python."""
        return self.run(sys.executable, *arguments)

    @property
    def home(self) -> Path:
        """Where its stack lives."""
        return self.folder / ".switchyard"


def blocks() -> dict[str, str]:
    """The document's files, and what it shows of each."""
    found = BLOCK.findall((ROOT / "docs" / "build" / "adding-an-agent.md").read_text(encoding="utf-8"))
    assert len(dict(found)) == len(found), "two blocks are of the same file"
    return dict(found)


def digests(folder: Path) -> dict[str, str]:
    """Every file that git does not ignore, and what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not IGNORED & set(path.relative_to(folder).parts)
    }


def substituted(path: Path, pattern: str, replacement: str) -> None:
    """Replace the one place that fits. Fails the test if the document's words no longer find it."""
    text, found = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found == 1, f"{path.name}: the steps do not fit the file any more ({pattern})"
    path.write_text(text, encoding="utf-8")


def take_the_steps(copy: Copy) -> None:
    """Do what the document says, in its order."""
    for name in FILES:
        (copy.folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(EXAMPLE / name, copy.folder / name)
    for name, place in PLACES.items():
        path, block = copy.folder / name, blocks()[name]
        # Two blank lines follow a card, as they do any definition at the top of a module.
        text = f"{block}\n" if name == "contracts/cards.py" else block
        substituted(path, f"({place})", r"\g<1>" + text.replace("\\", r"\\"))
        if name in NAMED:
            substituted(path, *NAMED[name])
    # The tests' own environment is used instead of the one that make would build from the lock, which has not changed.
    copy.run("make", "format", "generate", f"VENV={VENV}", "--assume-old", f"{VENV}/.ready")
    copy.python("-m", "evals", "triage", "--gate")
    copy.python("-m", "evals", "triage", "--accept")


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    """The repository as git would commit it, with the steps taken."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    with temporary_home() as home:
        folder = home / "switchyard"
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
        # `COLUMNS`, `TERM`: what the command line prints is compared, so no line of it may be folded or coloured.
        ours = {"PYTHONPATH": str(folder), "COLUMNS": "200", "TERM": "dumb"}
        ours[SERVERS_VARIABLE] = str(ROOT / ".venv-identity" / "bin")
        copied = Copy(folder, inherited | ours, digests(folder))
        take_the_steps(copied)
        yield copied


@pytest.fixture(scope="module")
def exports(copy: Copy) -> Iterator[dict[str, str]]:
    """The copy's running stack: how to reach it."""
    try:
        copy.switchyard("stack", "up", "--detach")
        yield running.running_exports(copy.home)
    finally:
        copy.switchyard("stack", "down")


@pytest.fixture(scope="module")
def named(copy: Copy, exports: dict[str, str]) -> str:
    """What the command line says to a question that names the agent."""
    return copy.switchyard("ask", "Convert 1250 bbl to m3.", "--agent", AGENT)


@pytest.fixture(scope="module")
def chosen(copy: Copy, exports: dict[str, str]) -> str:
    """What the command line prints for a question without an agent."""
    return copy.switchyard("ask", "How many kPa are 3200 psi?")


async def work(exports: dict[str, str], sql: str, *arguments: Any) -> list[Any]:
    """A column of the work database, as its owner sees it."""
    connection = await asyncpg.connect(exports["SWITCHYARD_WORK_DB_OWNER_URL"])
    try:
        return [row[0] for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


def path_of(printed: str) -> list[str]:
    """The hops of a case, as the command line prints them, without those to and from memory."""
    lines = [line.strip() for line in printed.splitlines() if "→" in line]
    memory = ("memory", "GatherBranches", "JoinBranch", "BranchesJoined")
    return [line for line in lines if not any(word in line for word in memory)]


def case_of(printed: str) -> str:
    """The case's id."""
    return printed.split()[1]


def test_steps_change_only_their_named_files(copy: Copy) -> None:
    after = digests(copy.folder)
    changed = {name for name in copy.before.keys() | after.keys() if copy.before.get(name) != after.get(name)}
    assert changed == PLACES.keys() | GENERATED | FILES


def test_written_files_pass_the_linters_and_catalogue_tests(copy: Copy) -> None:
    written = [name for name in PLACES.keys() | FILES if name.endswith(".py")]
    copy.python("-m", "ruff", "check", *written)
    copy.python("-m", "ruff", "format", "--check", *written)
    copy.run(str(VENV / "bin" / "lint-imports"))
    copy.python("-m", "switchyard.app.generate", "--check")
    printed = copy.python("-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/unit/protocol/test_catalogue.py")
    assert f"test_card_equals_the_catalogue[{AGENT}] PASSED" in printed


def test_triage_answers_new_agents_questions_within_baseline(copy: Copy) -> None:
    cases = json.loads((copy.folder / BASELINE).read_text(encoding="utf-8"))["cases"]
    passes = {case["id"]: case["passes"] for case in cases if case["id"].startswith("unit-")}
    assert passes == {"unit-volume": 1, "unit-pressure": 1, "unit-length": 1, "unit-near-miss": 1}


async def test_queues_and_rule_follow_from_the_card(exports: dict[str, str]) -> None:
    where = {
        "region_name": exports["AWS_REGION"],
        "endpoint_url": exports["AWS_ENDPOINT_URL"],
        "aws_access_key_id": exports["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": exports["AWS_SECRET_ACCESS_KEY"],
    }
    async with get_session().create_client("sqs", **where) as sqs:
        queues = (await sqs.list_queues(QueueNamePrefix="switchyard-unit-converter"))["QueueUrls"]
    assert sorted(url.rpartition("/")[2] for url in queues) == [
        "switchyard-unit-converter",
        "switchyard-unit-converter-dlq",
    ]
    async with get_session().create_client("events", **where) as events:
        rule = await events.describe_rule(Name="switchyard-unit-converter", EventBusName="switchyard")
        targets = await events.list_targets_by_rule(Rule="switchyard-unit-converter", EventBusName="switchyard")
    pattern = json.loads(rule["EventPattern"])
    assert (pattern["source"], pattern["detail"]) == (["switchyard.router"], {"node_to": [AGENT]})
    assert [target["Arn"].rpartition(":")[2] for target in targets["Targets"]] == ["switchyard-unit-converter"]


async def test_schema_role_and_vault_grant_follow_from_the_card(exports: dict[str, str]) -> None:
    sql = """select unnest(array[
        has_schema_privilege($1::text::name, $1::text, 'usage'),
        has_function_privilege($1::text::name, 'vault.key_for_task(uuid, text)', 'execute'),
        has_schema_privilege($1::text::name, 'triage', 'usage'),
        has_table_privilege($1::text::name, 'vault.subject_key', 'select, insert')])"""
    own, keys, others, new_keys = await work(exports, sql, AGENT)
    assert (own, keys) == (True, True)
    assert (others, new_keys) == (False, False)


def test_new_agent_runs_as_its_own_process(copy: Copy, exports: dict[str, str]) -> None:
    processes = {row.name: row for row in daemon.stack_status(copy.home)}
    assert processes[AGENT].state is ProcessState.READY
    assert processes[AGENT].restarts == 0
    assert len({row.pid for row in processes.values()}) == len(processes)


def test_question_naming_the_agent_is_answered_by_it(named: str) -> None:
    assert "1250 bbl is 198.73412 m3. [F1]" in named
    assert path_of(named) == [
        "case_manager → router: CaseOpened",
        f"router → {AGENT}: AnswerQuestion",
        f"{AGENT} → router: FindingsReady",
        "router → drafter: DraftAnswer",
        "drafter → router: AnswerDrafted",
        "router → case_manager: CloseCase",
        "case_manager → external: CaseClosed",
    ]


def test_question_without_an_agent_reaches_it_through_triage(chosen: str) -> None:
    assert "3200 psi is 22,063.223 kPa. [F1]" in chosen
    assert path_of(chosen)[1:4] == [
        "router → triage: ChooseAgent",
        "triage → router: AgentChosen",
        f"router → {AGENT}: AnswerQuestion",
    ]


async def test_question_was_handled_by_the_new_agents_process_only(
    copy: Copy, exports: dict[str, str], named: str, chosen: str
) -> None:
    log = (copy.home / "logs" / f"{AGENT}.log").read_text(encoding="utf-8").splitlines()
    for printed in (named, chosen):
        assert any("task.done" in line and case_of(printed) in line for line in log)
    sql = "select event from {}.outbox"
    assert len(await work(exports, sql.format(AGENT))) == 2
    assert len(await work(exports, sql.format("triage"))) == 1
    assert await work(exports, sql.format("text_to_sql")) == []
