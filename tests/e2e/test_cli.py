"""The command line against a running stack."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from contracts.cards import AGENT_CARDS
from demo.emails import DEMO_EMAILS, build_email_submission
from demo.stacks import require_empty_stack
from switchyard.cli.app.errors import CommandFailed
from tests.e2e.conftest import Deployment

pytestmark = pytest.mark.e2e
SWITCHYARD = Path(sys.executable).with_name("switchyard")


def _run(deployment: Deployment, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    return subprocess.run(
        [SWITCHYARD, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=90, check=False
    )


async def test_publish_reports_bad_lines_by_number_and_publishes_the_rest(deployment: Deployment) -> None:
    good = [deployment.question("e2e wells by basin") for _ in range(2)]
    lines = [
        json.dumps(good[0]),
        "{not json",
        json.dumps(good[1] | {"idempotency_key": 7}),
        "",
        json.dumps(good[1] | {"colour": "red"}),
        json.dumps(good[1]),
        json.dumps(good[1] | {"question": "another"}),
    ]
    ran = _run(deployment, "publish", "-", stdin="\n".join(lines))
    assert ran.returncode == 1
    assert "2 published, 4 invalid" in ran.stdout
    for line in (
        "line 2: not published: malformed",
        "line 3: not published: idempotency_key",
        "line 5: not published: colour",
        "line 7: not published: idempotency_key: line 6 has the same with other content",
    ):
        assert line in ran.stderr
    cases = [line.split()[-1] for line in ran.stdout.splitlines() if line.startswith("line ")]
    closed = await deployment.closed(cases)
    assert {payload["outcome"] for payload in closed.values()} == {"answered"}


async def test_ask_prints_the_answer_and_its_sql(deployment: Deployment) -> None:
    ran = _run(deployment, "ask", "e2e wells by basin", "--role", "FIELD_WILLISTON")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Williston" in ran.stdout
    assert "SELECT" in ran.stdout


async def test_ask_without_an_answer_prints_code_and_remedy(deployment: Deployment) -> None:
    ran = _run(deployment, "ask", "e2e delete everything")
    assert ran.returncode == 1
    assert "query_refused" in ran.stdout
    assert "remedy:" in ran.stdout


@pytest.mark.parametrize("asker", [["--role", "FIELD_WILLISTON"], ["--user", "ben.okoro"]], ids=["upstream", "user"])
async def test_ask_with_rows_prints_what_was_found_as_a_table(deployment: Deployment, asker: list[str]) -> None:
    ran = _run(deployment, "ask", "e2e wells by basin", *asker, "--rows")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    *_, header, _, row, footer = ran.stdout.splitlines()
    assert (header.split()[0], row.split()[0], footer) == ("BASIN", "Williston", "1 row")


async def test_ask_that_is_refused_ends_at_once_with_the_rejections_own_case(deployment: Deployment) -> None:
    session = f"refused-{uuid.uuid4()}"
    ran = _run(deployment, "ask", "e2e wells by basin", "--role", "NOBODYS_ROLE", "--session", session, "--wait", "60")
    assert ran.returncode == 1
    assert "not_authorised: this upstream may not submit for that role (field role)" in ran.stderr
    assert "Remedy: " in ran.stderr
    (case,) = re.findall(r"refused as case (\S+):", ran.stderr)
    shown = _run(deployment, "case", "show", case)
    assert "SubmissionRejected" in shown.stdout


@pytest.mark.parametrize("option", [["--session", ""], ["--agent", "nobody"], ["--tenant", "two words"]])
async def test_ask_validates_before_it_publishes(deployment: Deployment, option: list[str]) -> None:
    ran = _run(deployment, "ask", "e2e wells by basin", *option)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "case" not in ran.stdout


async def test_publish_reports_a_rejection_that_comes_back(deployment: Deployment) -> None:
    question = deployment.question("e2e wells by basin")
    assert _run(deployment, "publish", "-", stdin=json.dumps(question)).returncode == 0
    assert _run(deployment, "publish", "-", stdin=json.dumps(question)).returncode == 0
    other = _run(deployment, "publish", "-", stdin=json.dumps(question | {"question": "another"}))
    assert other.returncode == 1
    assert "1 published, 0 invalid, 1 refused" in other.stdout
    assert "line 1: refused as case " in other.stderr
    assert "submission_conflict" in other.stderr


async def test_agents_rows_name_a_bundle_that_the_command_shows(deployment: Deployment) -> None:
    emails = build_email_submission(DEMO_EMAILS[0], 0, deployment.target.clock.now())
    (asked,) = await deployment.submit([deployment.question("e2e wells by basin")])
    (sent,) = await deployment.submit([emails], source="upstream.collections")
    await deployment.closed([asked, sent])
    rows = await deployment.rows(
        "select node_from, bundle, prompt_version from audit.transition where case_id = any($1::uuid[])", [asked, sent]
    )
    bundles: dict[str, set[str | None]] = {}
    for row in rows:
        bundles.setdefault(row["node_from"], set()).add(row["bundle"])
    assert {"triage", "text_to_sql", "drafter", "compliance", "email_sender"} <= bundles.keys()
    for node, digests in bundles.items():
        (digest,) = digests
        assert (digest is not None) == (node in AGENT_CARDS), node
        if digest is None:
            continue
        shown = json.loads(_run(deployment, "bundle", "show", digest, "--json").stdout)
        assert shown["agent"] == shown["card"]["name"] == node
        assert bool(shown["prompts"]) == (shown["models"] is not None) == bool(AGENT_CARDS[node].vendors)
        for version in {row["prompt_version"] for row in rows if row["node_from"] == node and row["prompt_version"]}:
            name, _, short = version.partition("/")
            assert hashlib.sha256(shown["prompts"][name].encode()).hexdigest().startswith(short)
    unknown = _run(deployment, "bundle", "show", "ab" * 32)
    assert unknown.returncode == 1
    assert "no bundle is stored" in unknown.stderr


async def test_publish_names_the_one_line_of_a_session_that_was_refused(deployment: Deployment) -> None:
    session = f"lines-{uuid.uuid4()}"
    first, second, third = (deployment.question("e2e wells by basin") | {"session_id": session} for _ in range(3))
    assert _run(deployment, "publish", "-", stdin=json.dumps(second)).returncode == 0
    lines = [first, second | {"question": "another"}, third]
    ran = _run(deployment, "publish", "-", stdin="\n".join(map(json.dumps, lines)))
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert re.findall(r"line ([\d, ]+): refused as case", ran.stderr) == ["2"]


async def test_failover_of_a_case_is_shown_in_one_line(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e stall")])
    await deployment.closed([case])
    ran = _run(deployment, "case", "show", case[:13], "--open")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    failover = next(line for line in ran.stdout.splitlines() if line.startswith("drafter: ") and "bedrock" in line)
    assert "openai gpt-5.2 answered in" in failover
    assert "question: e2e stall" in ran.stdout
    assert "chain: ok" in ran.stdout


async def test_unknown_case_is_reported_without_a_traceback(deployment: Deployment) -> None:
    ran = _run(deployment, "case", "show", "ffffffff")
    assert ran.returncode == 1
    assert "no case has an id that begins with ffffffff" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_migrating_again_changes_nothing(deployment: Deployment) -> None:
    ran = _run(deployment, "migrate")
    assert ran.returncode == 0, ran.stderr
    assert "0 applied" in ran.stdout


async def test_demo_on_a_stack_with_cases_is_refused(deployment: Deployment) -> None:
    (case,) = await deployment.submit([deployment.question("e2e wells by basin")])
    await deployment.closed([case])
    with pytest.raises(CommandFailed, match="has cases already") as caught:
        await require_empty_stack(deployment.target)
    assert caught.value.remedy == "make compose-down compose-demo"


@pytest.mark.parametrize(
    "command",
    ["case list", "approval list", "playbook list", "budget show", "email list-unresolved", "rules list",
     "stack status", "audit retention show"],
)  # fmt: skip
def test_list_fits_80_columns_and_has_a_json_form(deployment: Deployment, command: str) -> None:
    environment = {**deployment.target.environment, "SWITCHYARD_HOME": str(deployment.stack.home.folder)}
    ran = subprocess.run(
        [SWITCHYARD, *command.split()],
        env={**environment, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert isinstance(json.loads(_run(deployment, *command.split(), "--json").stdout), list | dict)


async def test_playbook_is_halted_listed_and_resumed(deployment: Deployment) -> None:
    who = ("--operator", "oncall", "--reason", "a drill")
    assert "outbound_email: halted" in _run(deployment, "playbook", "halt", "outbound_email", *who).stdout
    try:
        listed = json.loads(_run(deployment, "playbook", "list", "--json").stdout)
        (halted,) = [row for row in listed if row["state"] == "halted"]
        assert (halted["playbook"], halted["by"], halted["reason"]) == ("outbound_email", "oncall", "a drill")
    finally:
        resumed = _run(deployment, "playbook", "resume", "outbound_email", *who)
    assert "outbound_email: resumed" in resumed.stdout
