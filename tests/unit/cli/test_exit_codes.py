"""Exit codes: 1 for a command that failed, 2 for one that was called wrongly; never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and standard error of a command in an empty environment."""
    code = f"import sys; sys.argv[1:] = {list(arguments)!r}; from switchyard.cli.app.main import run_cli; run_cli()"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "SWITCHYARD_ENV": "aws", **environment},
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["case", "show"], "Missing argument"),
        (["case", "list", "--as", "ana"], "No such option"),
        (["halt"], "No such command"),
        (["audit", "verify", "--day", "yesterday"], "Invalid value for '--day'"),
        (["audit", "reconcile", "--since", "yesterday"], "expected a span or a day"),
        (["audit", "erase"], "an argument is missing"),
        (["audit", "replay", "--corpus", "/not/there"], "does not exist"),
        (["publish", "/not/there"], "/not/there cannot be read"),
        (["case", "list", "--limit", "0"], "greater than or equal to 1"),
        (["email", "resolve", "c", "--operator", "ana", "--evidence", "e"], "the delivery status is missing"),
    ],
)
def test_command_called_wrongly_exits_with_2(arguments: list[str], message: str) -> None:
    exit_code, stderr = run(*arguments)
    assert (exit_code, message in stderr) == (2, True), stderr


def test_log_of_an_unknown_process_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "router.log").write_text("", encoding="utf-8")
    exit_code, stderr = run("stack", "logs", "absent", SWITCHYARD_HOME=str(tmp_path))
    assert (exit_code, "no process is named absent" in stderr) == (2, True), stderr


def test_log_of_a_stack_that_never_ran_exits_with_1(tmp_path: Path) -> None:
    exit_code, stderr = run("stack", "logs", "router", SWITCHYARD_HOME=str(tmp_path))
    assert (exit_code, "the local stack has never run" in stderr) == (1, True), stderr


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (["case", "list"], "AUDIT_DB_URL"),
        (["approval", "list"], "OPERATOR_DB_URL"),
        (["approval", "show", "3f0c"], "REVIEWER_DB_URL"),
        (["playbook", "list"], "OPERATOR_DB_URL"),
        (["email", "list-unresolved"], "OPERATOR_DB_URL"),
        (["audit", "reconcile"], "RECONCILER_DB_URL"),
        (["audit", "verify-principal", "3f0c"], "PRINCIPAL_KEYS"),
        (["audit", "retention", "run", "--operator", "ana"], "RECEIPT_KEY"),
        (["operator", "public-key"], "OPERATOR_KEY"),
        (["migrate"], "WORK_DB_OWNER_URL"),
    ],
)
def test_command_without_its_variable_exits_with_1_and_names_it(arguments: list[str], variable: str) -> None:
    exit_code, stderr = run(*arguments)
    assert exit_code == 1
    assert f"SWITCHYARD_{variable} is not set: expected " in stderr
    assert f"Remedy: export SWITCHYARD_{variable}" in stderr


def test_unreachable_database_exits_with_1() -> None:
    exit_code, stderr = run("case", "list", SWITCHYARD_AUDIT_DB_URL="postgresql://reader@127.0.0.1:1/audit")
    assert exit_code == 1
    assert "the database of audit is unreachable" in stderr


def test_migrate_without_a_server_exits_with_1() -> None:
    url = "postgresql://reader@127.0.0.1:1/work"
    exit_code, stderr = run("migrate", SWITCHYARD_WORK_DB_OWNER_URL=url, SWITCHYARD_AUDIT_DB_OWNER_URL=url)
    assert (exit_code, "connection failed" in stderr) == (1, True), stderr


@pytest.mark.parametrize("content", ["not hex", "00ff", "é"])
def test_invalid_key_file_exits_with_1_and_the_remedy(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ana.key"
    file.write_text(content, encoding="utf-8")
    exit_code, stderr = run("operator", "public-key", "--key", str(file))
    assert (exit_code, "Remedy: " in stderr) == (1, True), stderr
    assert content not in stderr.replace(str(file), "")


def test_public_key_of_a_key_in_a_file_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "ana.key"
    file.write_text("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n", encoding="utf-8")
    code = "import sys; from switchyard.cli.app.main import run_cli; run_cli()"
    command = [sys.executable, "-c", code, "operator", "public-key", "--key", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_unwritable_file_exits_with_1(tmp_path: Path) -> None:
    corpus = Path(__file__).parents[2] / "contract" / "corpus" / "assist-1.jsonl.gz"
    exit_code, stderr = run("audit", "replay", "--corpus", str(corpus), "--save", str(tmp_path / "no" / "where"))
    assert (exit_code, f"{tmp_path / 'no' / 'where'}: No such file" in stderr) == (1, True), stderr


def test_command_without_aws_credentials_names_them(tmp_path: Path) -> None:
    submission = {
        "tenant": "acme",
        "session_id": "s",
        "idempotency_key": "k",
        "user_id": "ana",
        "question": "how much?",
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(submission))
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}
    exit_code, stderr = run("publish", str(tmp_path / "one.jsonl"), **nowhere)
    assert exit_code == 1
    assert "Unable to locate credentials" in stderr
    assert "Remedy:" in stderr


def test_ask_without_the_log_that_has_its_answer_submits_nothing() -> None:
    exit_code, stderr = run("ask", "how much?", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null")
    assert exit_code == 1
    assert "SWITCHYARD_AUDIT_DB_URL is not set" in stderr
