"""Where the tests' infrastructure runs, and what a run does about tests that do not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.infrastructure.compose import NotUp, check, project
from tests.where import UnknownInfrastructure, Where, chosen

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("environ", [{}, {"SWITCHYARD_TEST_INFRASTRUCTURE": ""}])
def test_infrastructure_is_embedded_by_default(environ: dict[str, str]) -> None:
    assert chosen(environ) is Where.EMBEDDED


@pytest.mark.parametrize("where", list(Where))
def test_infrastructure_is_selected_by_its_name(where: Where) -> None:
    assert chosen({"SWITCHYARD_TEST_INFRASTRUCTURE": where.value}) is where


def test_unknown_infrastructure_is_refused_with_the_valid_names() -> None:
    with pytest.raises(UnknownInfrastructure, match="'docker'; it may be embedded, containers, compose"):
        chosen({"SWITCHYARD_TEST_INFRASTRUCTURE": "docker"})


def test_session_with_unknown_infrastructure_ends_before_first_test(tmp_path: Path) -> None:
    for environ, message in (
        ({"SWITCHYARD_TEST_INFRASTRUCTURE": "docker"}, "it may be embedded, containers, compose"),
        (
            {"SWITCHYARD_TEST_INFRASTRUCTURE": "containers", "DOCKER_HOST": f"unix://{tmp_path}/none"},
            "no Docker engine answers",
        ),
    ):
        ran = _pytest("tests/integration/case_manager/test_intake.py", environ=environ)
        assert ran.returncode == pytest.ExitCode.USAGE_ERROR
        assert message in ran.stderr
        assert "passed" not in ran.stdout


@pytest.mark.parametrize(
    ("running", "remedy"),
    [
        ({"postgres"}, "runs no localstack. Remedy: docker compose up --wait"),
        (set(), "runs no localstack and no postgres"),
        (
            {"postgres", "localstack", "case_manager", "audit"},
            "audit, case_manager would take .* docker compose stop audit case_manager",
        ),
    ],
)
def test_compose_project_incomplete_or_with_services_is_refused(running: set[str], remedy: str) -> None:
    with pytest.raises(NotUp, match=remedy):
        check(running)


def test_compose_project_with_its_infrastructure_only_is_accepted() -> None:
    check({"postgres", "localstack"})
    check({"postgres", "localstack", "simulator", "ses-simulator", "warehouse"})


def test_workers_have_a_compose_project_each() -> None:
    assert project({}) == "switchyard"
    assert project({"COMPOSE_PROJECT_NAME": "mine"}) == "mine"
    assert project({"COMPOSE_PROJECT_NAME": "mine", "PYTEST_XDIST_WORKER": "gw1"}) == "mine-gw1"


SKIPPING = """
import pytest

def test_runs(): pass

def test_skips_itself(): pytest.skip("no server")

@pytest.mark.skipif(True, reason="no time")
def test_is_skipped(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected(): assert False
"""


def test_skipped_test_fails_the_strict_run(tmp_path: Path) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPPING, encoding="utf-8")
    whole = tmp_path / "test_whole.py"
    whole.write_text('import pytest\npytest.skip("no engine", allow_module_level=True)\n', encoding="utf-8")
    lenient = _pytest("--rootdir", tmp_path, file, whole)
    assert (lenient.returncode, "1 passed, 3 skipped, 1 xfailed" in lenient.stdout) == (0, True), lenient.stdout
    strict = _pytest("-p", "tests.no_skips", "--rootdir", tmp_path, file, whole)
    assert strict.returncode != 0
    assert "no engine" in strict.stdout
    strict = _pytest("-p", "tests.no_skips", "--rootdir", tmp_path, file)
    assert (strict.returncode, "1 failed, 1 passed, 1 xfailed, 1 error" in strict.stdout) == (1, True), strict.stdout
    assert "no server" in strict.stdout
    assert "no time" in strict.stdout


def _pytest(*arguments: str | Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env={"PATH": os.defpath, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
