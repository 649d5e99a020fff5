"""`audit replay --what-if` on the running stack: what would have become of real cases, and nothing changes."""

from __future__ import annotations

import asyncio
import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from typer.testing import CliRunner

from demo.emails import DEMO_EMAILS, build_email_submission
from evals.cases import JudgeCase
from services.drafter.email import EMAIL_PROMPT
from services.specialists.compliance.pack import PACKS_FOLDER, released_packs
from switchyard.cli.app.console import console
from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.app.main import app
from switchyard.devstack.stack.provision import OBJECT_BUCKET
from switchyard.protocol.bundles import BUNDLES_PREFIX
from tests.e2e.conftest import UNSHARED, Deployment

pytestmark = pytest.mark.e2e
DATABASES = ("SWITCHYARD_AUDIT_DB_OWNER_URL", "SWITCHYARD_WORK_DB_OWNER_URL")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's terminal, which this process has made once for all tests."""
    monkeypatch.setattr(console, "width", 80)


async def _run(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    return await _command(deployment, "audit", "replay", *arguments)


async def _command(deployment: Deployment, *arguments: str) -> tuple[int, str]:
    environment = {"SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    ran = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    if isinstance(ran.exception, CommandFailed):
        return ran.exception.exit_code, f"{ran.exception.message} {ran.exception.remedy}"
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran.exit_code, ran.stdout


async def _what_if(deployment: Deployment, *arguments: str) -> list[dict[str, Any]]:
    code, shown = await _run(deployment, "--what-if", *arguments, "--json")
    assert code == 0, shown
    cases: list[dict[str, Any]] = json.loads(shown)["cases"]
    return cases


async def _email(deployment: Deployment) -> str:
    submission = build_email_submission(DEMO_EMAILS[0], 0, deployment.target.clock.now())
    mark = uuid.uuid4().hex[:12]
    submission |= {"idempotency_key": mark, "consumer_id": mark, "session_id": f"what-if-{mark}"}
    submission["facts"]["email"]["address"] = f"{mark}@gmail.com"
    (case,) = await deployment.submit([submission], source="upstream.collections")
    assert (await deployment.closed([case]))[case]["outcome"] == "sent"
    await deployment.settled([case])
    return case


def _tells(table: Any) -> bool:
    """Whether a table grows only by what is asked or published: audit derives others from its rows at its own pace, and
    agents keep what they learn of their models."""
    schema, _, name = str(table["name"]).partition(".")
    return name.startswith("transition") if schema == "audit" else name != "latency_snapshot"


async def _everything(deployment: Deployment) -> dict[str, Any]:
    """The rows of every table, the stored objects, the emails that were sent."""
    counts: dict[str, Any] = {}
    for database in DATABASES:
        connection = await asyncpg.connect(deployment.exports[database])
        try:
            tables = await connection.fetch(
                "select format('%I.%I', table_schema, table_name) as name from information_schema.tables"
                " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
            )
            for table in filter(_tells, tables):
                counts[table["name"]] = await connection.fetchval(f"select count(*) from {table['name']}")
        finally:
            await connection.close()
    async with deployment.client("s3") as s3:
        listed = await s3.list_objects_v2(Bucket=OBJECT_BUCKET)
        counts["objects"] = sorted(
            each["Key"] for each in listed.get("Contents", ()) if not each["Key"].startswith(BUNDLES_PREFIX)
        )
    port = deployment.stack.ports()["ses_simulator"]
    counts["emails"] = await asyncio.to_thread(_sent, port)
    return counts


def _sent(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/outbox", timeout=10) as answer:
        return len(json.load(answer)["emails"])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _pack(folder: Path, old: str, new: str) -> str:
    """A pack that differs in one line from the one in force."""
    (file,) = [each for each in PACKS_FOLDER.glob("*.toml") if released_packs()[-1].version in each.name]
    text = file.read_text(encoding="utf-8")
    assert old in text
    changed = folder / "pack.toml"
    changed.write_text(text.replace(old, new), encoding="utf-8")
    return str(changed)


async def test_replay_what_if_that_would_send_stops_before_it_and_writes_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    case = await _email(deployment)
    await deployment.quiet()
    prompt = tmp_path / "email.md"
    prompt.write_text(f"{EMAIL_PROMPT}\nBe brief.\n", encoding="utf-8")
    before = await _everything(deployment)
    (found,) = await _what_if(
        deployment, case, "--model", "simulator", "--agent", "drafter", "--agent", "compliance",
        "--prompt", f"drafter/email={prompt}", "--pack", released_packs()[-1].version,
    )  # fmt: skip
    assert (found["status"], found["refused"]) == ("same", "")
    drafted = next(task for task in found["tasks"] if task["task"] == "DraftEmail")
    assert drafted["what_if"]["outcome"] == "EmailDrafted"
    assert drafted["then"]["model"].startswith("bedrock:")
    assert drafted["what_if"]["model"] == "openai:gpt-5.2"
    assert drafted["then"]["dollars"] > 0
    assert drafted["what_if"]["dollars"] > 0
    page = tmp_path / "page.html"
    (stopped,) = await _what_if(
        deployment, case, "--pack", _pack(tmp_path, 'earliest = "08:00"', 'earliest = "08:30"'), "--page", str(page)
    )
    assert stopped["status"] in {"same", "differs"}
    assert case in page.read_text(encoding="utf-8")
    (would_send,) = await _what_if(
        deployment, case, "--model", "simulator", "--pack", _pack(tmp_path, "valid_minutes = ", "valid_minutes = 1")
    )
    assert "email_sender" not in {task["node"] for task in would_send["tasks"]}
    assert await _everything(deployment) == before


async def test_replay_what_if_with_a_stricter_pack_names_where_the_case_would_wait(
    deployment: Deployment, tmp_path: Path
) -> None:
    case = await _email(deployment)
    code, shown = await _run(
        deployment, "--what-if", case, "--pack", _pack(tmp_path, 'amount_over = "10000.00"', 'amount_over = "1.00"')
    )
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    assert "ReviewEmail: approval: nothing -> large_amount" in flat
    assert "ended as sent; from the difference on it stops before AskApproval to case_manager" in flat
    assert "nothing was published, sent or stored" in flat


async def test_replay_what_if_of_an_erased_person_is_refused_and_says_what_is_gone(
    deployment: Deployment, tmp_path: Path
) -> None:
    user = f"{uuid.uuid4().hex}@example.com"
    session = f"what-if-{uuid.uuid4().hex[:8]}"
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin", user_id=user, session_id=f"{session}-{number}") for number in (1, 2)]
    )
    await deployment.closed(cases)
    await deployment.settled(cases)
    subject = (await deployment.events(cases[0]))[0]["principal"]["subject"]
    code, printed = await _command(deployment, "audit", "erase", subject, "--operator", "ada", "--reason", "request 12")
    assert code == 0, printed
    found = await _what_if(deployment, "--session", f"{session}-1", "--model", "simulator")
    assert [case["status"] for case in found] == ["refused"]
    assert "question" in found[0]["refused"]
    assert "erased" in found[0]["refused"]
    assert found[0]["tasks"] == []
    code, printed = await _command(deployment, "evals", "from-case", cases[0], "--out", str(tmp_path))
    assert (code, "erased" in printed) == (1, True), printed
    assert _files(tmp_path) == []
    # Decisions need no artefact.
    (routed,) = await _what_if(deployment, cases[1], "--playbook", "assist/4")
    assert routed["status"] == "same"


async def test_replay_what_if_on_a_model_that_may_not_see_the_data_is_refused(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin", tenant=UNSHARED)])
    await deployment.closed([case])
    await deployment.settled([case])
    (found,) = await _what_if(deployment, case, "--model", "simulator")
    assert found["status"] == "refused"
    assert "triage: the model policy unshared-personal permits none of: openai:" in found["refused"]


async def test_candidate_of_a_sent_email_has_its_draft_and_names_nobody(deployment: Deployment, tmp_path: Path) -> None:
    case = await _email(deployment)
    code, printed = await _command(deployment, "evals", "from-case", case[:13], "--out", str(tmp_path))
    assert code == 0, printed
    (file,) = _files(tmp_path)
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert written["candidate"]["case"] == case
    assert written["candidate"]["the_system_did"] == "EmailPassed"
    consumer = build_email_submission(DEMO_EMAILS[0], 0, deployment.target.clock.now())["facts"]["consumer"]
    text = file.read_text(encoding="utf-8")
    for personal in (consumer["first_name"], consumer["last_name"], "@gmail.com"):
        assert personal not in text
    assert JudgeCase.model_validate_json(json.dumps(written["cases"][0])).paragraphs


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--what-if", "--pack", "1999-01-01"), "there is no rule pack 1999-01-01: name one of"),
        (("--what-if", "--playbook", "assist/99"), "there is no playbook assist/99"),
        (("--what-if",), "nothing is tried"),
        (("--what-if", "--model", "who"), "--model who names no model"),
        (("--what-if", "--model", "simulator", "--agent", "email_sender"), "email_sender cannot be run again"),
        (("--what-if", "--model", "simulator", "--prompt", "drafter/nothing=x"), "drafter/nothing names no prompt"),
        (("--what-if", "--prompt", "drafter/email=README.md"), "a prompt is tried on a model"),
        (("--pack", "1999-01-01"), "this option is for a what-if"),
    ],
)
async def test_replay_what_if_called_wrongly_says_what_to_give(
    arguments: tuple[str, ...], problem: str, deployment: Deployment
) -> None:
    await _email(deployment)
    code, printed = await _run(deployment, *arguments, "--limit", "1")
    assert (code, problem in printed) == (2, True), printed
