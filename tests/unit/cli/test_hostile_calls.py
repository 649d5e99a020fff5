"""Every command with everything that a person may give it by mistake: an exit code and a remedy, never a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.cli.app.main import run_cli
from switchyard.protocol.signing import derive_public_key
from tests.unit.cli.test_help import all_commands

STARTS = {"demo", "stack up"}
"""Commands that start a stack when they are called rightly: only wrong calls are tried here."""

COMMANDS = all_commands()
TEXTS = ("", "\0", "é\ud800", "x" * 100_000, "-", "{", "%s", "[bold]", "00000000-0000-4000-8000-000000000000")
NUMBERS = ("x", "nan", "inf", "-inf", "-1", "0", "1e999", "1e308", "9" * 400, "")
FILES = ("missing", "binary", "empty", "folder", "text", "garbage.gz", "deep.json", "odd.jsonl", "text/below", "nul\0",
         "x" * 5_000, "/proc/self/mem")  # fmt: skip
SEED = "11" * 32
DATABASES = ("AUDIT_DB_URL", "AUDIT_DB_OWNER_URL", "AUDIT_RETENTION_DB_URL", "OPERATOR_DB_URL", "RECONCILER_DB_URL",
             "REVIEWER_DB_URL", "VAULT_ERASER_DB_URL", "WORK_DB_OWNER_URL")  # fmt: skip
KEYS = {
    "SWITCHYARD_OPERATOR_KEY": SEED,
    "SWITCHYARD_RECEIPT_KEY": SEED,
    "SWITCHYARD_VAULT_KEY": SEED,
    "SWITCHYARD_CHECKPOINT_BUCKET": "absent",
    "SWITCHYARD_CHECKPOINT_PUBLIC_KEYS": "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "SWITCHYARD_OPERATORS": f'{{"ana": "{derive_public_key(bytes.fromhex(SEED))}"}}',
    "SWITCHYARD_PRINCIPAL_KEYS": f'{{"upstream.ingress": {{"k": "{derive_public_key(bytes.fromhex(SEED))}"}}}}',
    "SWITCHYARD_OPERATIONS": "{}",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "no stack": {},
    "no credentials": {"SWITCHYARD_ENV": "aws"},
    "nothing answers": {
        "SWITCHYARD_ENV": "aws", **KEYS, **{f"SWITCHYARD_{name}": "postgresql://a@127.0.0.1:1/x" for name in DATABASES},
    },
    "bad addresses": {"SWITCHYARD_ENV": "aws", **KEYS, **{f"SWITCHYARD_{name}": "no address" for name in DATABASES}},
    "bad brackets": {
        "SWITCHYARD_ENV": "aws", **KEYS, **{f"SWITCHYARD_{name}": "postgresql://[::x/y" for name in DATABASES},
    },
    "bad keys": {"SWITCHYARD_ENV": "aws", **dict.fromkeys(KEYS, "{"), "AWS_ENDPOINT_URL": "nowhere"},
    "bad environment": {"SWITCHYARD_ENV": "moon"},
}  # fmt: skip


BINARY = b"\xff\xfe\x00\x80" * 50


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with files that are not what a command wants; the current one while these tests run."""
    made = tmp_path_factory.mktemp("hostile")
    (made / "binary").write_bytes(BINARY)
    (made / "empty").write_bytes(b"")
    (made / "folder").mkdir()
    (made / "text").write_text("hello\n", encoding="utf-8")
    (made / "garbage.gz").write_bytes(b"\x1f\x8b\x08garbage")
    (made / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (made / "odd.jsonl").write_text('{"a": 1e999}\n[]\n"x"\n{"tenant": 5}\n\x00\n', encoding="utf-8")
    before = Path.cwd()
    os.chdir(made)
    yield made
    os.chdir(before)


def call(arguments: list[str], **environment: str) -> tuple[object, str]:
    """Exit code and standard error; raises what would have been a traceback."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(Path.cwd()), "COLUMNS": "200", "AWS_EC2_METADATA_DISABLED": "true"}
    before, argv = dict(os.environ), sys.argv
    os.environ.clear()
    os.environ.update(kept | environment)
    sys.argv = ["switchyard", *arguments]
    errors = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            run_cli()
    except SystemExit as ended:
        return ended.code, errors.getvalue()
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)
    return 0, errors.getvalue()


def kind(parameter: Any) -> str:
    annotation = str(parameter.type_descriptor.annotation)
    return next((name for name in ("bool", "Path", "datetime", "float", "int") if name in annotation), "str")


def arguments(words: str, **given: str) -> list[str]:
    """A call with a value for each argument that it needs, and these."""
    usual = {"Path": "missing", "int": "1", "float": "0", "datetime": "2026-01-01", "str": "x"}
    options: list[str] = []
    places: list[str] = []
    for parameter in COMMANDS[words].params:  # type: ignore[attr-defined]
        if parameter.name in given or parameter.required:
            value = given.get(parameter.name, usual.get(kind(parameter), "x"))
            if parameter.param_type_name == "argument":
                places.append(value)
            else:
                options += [parameter.opts[0], value]
    return [*words.split(), *options, *(["--", *places] if places else [])]


@pytest.mark.parametrize("words", sorted(set(COMMANDS) - STARTS))
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_command_in_an_environment_that_lacks_something_fails_in_words(words: str, environment: str) -> None:
    exit_code, printed = call(arguments(words), **ENVIRONMENTS[environment])
    assert exit_code in {0, 1, 2}
    assert exit_code == 0 or printed.strip()
    if environment == "bad environment" and "--env" in str([each.opts for each in COMMANDS[words].params]):  # type: ignore[attr-defined]
        assert exit_code == 2


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_command_with_a_wrong_value_fails_in_words(words: str) -> None:
    tried = {"Path": FILES, "int": NUMBERS, "float": NUMBERS, "datetime": NUMBERS, "str": (*TEXTS, *FILES[:4])}
    for parameter in COMMANDS[words].params:  # type: ignore[attr-defined]
        if parameter.name in {"help", "env"} or (of := kind(parameter)) == "bool":
            continue
        if words in STARTS and parameter.name not in {"data", "model_url", "key_env"}:
            continue
        for value in tried[of]:
            exit_code, printed = call(arguments(words, **{parameter.name: value}))
            assert exit_code in {0, 1, 2}, (parameter.name, value[:40])
            assert exit_code == 0 or printed.strip(), (parameter.name, value[:40])


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_command_with_an_unknown_option_or_too_much_exits_with_2(words: str) -> None:
    assert call([*arguments(words)[: len(words.split())], "--no-such-option"])[0] == 2
    assert call([*words.split(), *["x"] * 30])[0] in {1, 2} or words == "remote"


def interrupted(after_s: float, *given: str) -> tuple[int, str]:
    """Exit code and standard error of a command that gets Ctrl-C after a time."""
    # The interpreter's own start is not ours: the signal counts from the first line of code.
    code = (
        f"import sys; sys.argv[1:] = {list(given)!r}; from switchyard.cli.app.entry import run\n"
        "print('started', flush=True); run()"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/x"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENTS["nothing answers"], "SWITCHYARD_AUDIT_DB_URL": url},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    return process.returncode, printed


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.2, 0.4, 0.8, 1.6])
@pytest.mark.parametrize("given", [("case", "list"), ("audit", "verify"), ("audit", "export", "3b00")], ids=" ".join)
def test_interrupted_command_ends_without_a_traceback(given: tuple[str, ...], after_s: float) -> None:
    exit_code, printed = interrupted(after_s, *given)
    assert exit_code != 0
    assert "Traceback" not in printed


def test_output_that_nobody_reads_any_more_ends_the_command_quietly() -> None:
    code = "import sys; sys.argv[1:] = ['rules', 'list']; from switchyard.cli.app.entry import run; run()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert "Traceback" not in errors.read()
    process.wait(timeout=30)


@pytest.mark.parametrize("place", ["folder", "nowhere/below"])
def test_demo_whose_figures_cannot_be_written_says_so_before_it_starts(place: str) -> None:
    exit_code, printed = call(["demo", "--figures", place])
    assert exit_code == 2
    assert "cannot be written" in printed


@pytest.mark.parametrize("command", [("publish",), ("rules", "check")])
@pytest.mark.parametrize(
    ("file", "why"), [("absent", "No such file"), ("folder", "Is a directory"), ("binary", "it is no text in UTF-8")]
)
def test_file_that_cannot_be_read_is_named_with_the_reason_in_words(
    command: tuple[str, ...], file: str, why: str, tmp_path: Path
) -> None:
    # Files of its own: other calls of this module write to those that they name.
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(BINARY)
    exit_code, printed = call([*command, str(tmp_path / file)])
    assert exit_code == 2
    assert why in printed
    assert "Errno" not in printed
    assert "codec" not in printed
