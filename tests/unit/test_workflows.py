"""The workflows: least privilege, pinned actions, no secrets for code of pull requests, and existing make targets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def workflow(path: Path) -> dict[str, Any]:
    """The workflow; YAML 1.1 reads the key `on` as true."""
    read: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in read.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_workflows_are_ci_nightly_and_release() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "nightly.yml", "release.yml"]


@each
def test_workflow_has_read_permission_only(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    own = {name: job["permissions"] for name, job in workflow(path)["jobs"].items() if "permissions" in job}
    # The release gets a token of its run, and nothing of the repository but its content.
    released = {"images": {"contents": "read", "id-token": "write"}}
    assert own == (released if path.name == "release.yml" else {})
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each
def test_action_is_pinned_by_hash_with_its_version_in_a_comment(path: Path) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", use)] == []


@each
def test_job_has_no_secret_and_no_pull_request_target(path: Path) -> None:
    assert "secrets." not in path.read_text(encoding="utf-8")
    assert "pull_request_target" not in workflow(path)["on"]


@each
def test_workflow_has_a_concurrency_group_and_its_jobs_a_timeout(path: Path) -> None:
    assert workflow(path)["concurrency"]["group"]
    longest = 180 if path.name == "nightly.yml" else 60
    assert all(job["timeout-minutes"] <= longest for job in workflow(path)["jobs"].values())


@each
def test_workflow_ignores_no_failure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "continue-on-error" not in text
    assert "|| true" not in text


@each
def test_make_targets_of_the_workflow_exist(path: Path) -> None:
    commands = "\n".join(step.get("run", "") for step in steps(path))
    made = {word for line in re.findall(r"make ([^\n]*)", commands) for word in line.split() if "=" not in word}
    made |= {str(value) for job in workflow(path)["jobs"].values() for value in _parts(job)}
    assert made - {"${{", "matrix.part", "}}"} <= TARGETS


def test_release_runs_by_hand_in_a_protected_environment_that_terraform_trusts() -> None:
    release = ROOT / ".github" / "workflows" / "release.yml"
    assert list(workflow(release)["on"]) == ["workflow_dispatch"]
    [job] = workflow(release)["jobs"].values()
    assert job["environment"] == "${{ inputs.environment }}"
    trust = (ROOT / "terraform" / "modules" / "github_oidc" / "main.tf").read_text(encoding="utf-8")
    assert "repo:${var.repository}:environment:${var.environment}" in trust
    assert "${var.repository}/.github/workflows/release.yml@refs/heads/main" in trust


def test_release_builds_for_terraforms_architectures_and_signs_what_it_pushed() -> None:
    inputs = workflow(ROOT / ".github" / "workflows" / "release.yml")["on"]["workflow_dispatch"]["inputs"]
    variables = (ROOT / "terraform" / "variables.tf").read_text(encoding="utf-8")
    assert set(inputs["architecture"]["options"]) == set(re.findall(r"\"(X86_64|ARM64)\"", variables))
    script = (ROOT / "docker" / "release.sh").read_text(encoding="utf-8")
    assert all(f"{name})" in script for name in inputs["architecture"]["options"])
    assert "--push --sbom=true --provenance=mode=max" in script
    assert "cosign sign" in script
    assert '"$registry/$image@$pushed"' in script
    keys = (ROOT / "terraform" / "modules" / "github_oidc" / "main.tf").read_text(encoding="utf-8")
    assert "awskms:///alias/switchyard-images" in script
    assert '"alias/switchyard-images"' in keys


def test_release_script_prints_tfvars_of_digests(tmp_path: Path) -> None:
    digest = "sha256:" + "0a" * 32
    fake = {
        "docker": f"""if [ "$2" = imagetools ]; then echo {digest}; exit; fi
          while [ "$1" != --metadata-file ]; do shift; done
          echo '{{"containerimage.digest": "{digest}"}}' > "$2\"""",
        "cosign": 'echo "$@" >> signed',
    }
    for name, body in fake.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dist").mkdir()
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = [str(ROOT / "docker" / "release.sh"), "1.dkr.ecr/switchyard", "0a1b", "ARM64", "router", "cli"]
    done = subprocess.run(command, cwd=tmp_path, env=path, check=True, capture_output=True, text=True)
    assert f'  "router" = "{digest}"\n  "cli" = "{digest}"\n' in done.stdout
    assert 'code_version = "0a1b"' in done.stdout
    assert f"1.dkr.ecr/switchyard/cli@{digest}" in (tmp_path / "signed").read_text()
    refused = subprocess.run([*command[:3], "arm"], cwd=tmp_path, env=path, check=False, capture_output=True, text=True)
    assert (refused.returncode, "Remedy: X86_64 or ARM64" in refused.stderr) == (2, True)


def test_ci_validates_with_the_real_provider_and_builds_for_both_processors() -> None:
    jobs = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert "make terraform-validate" in [step.get("run") for step in jobs["terraform"]["steps"]]
    assert jobs["images"]["strategy"]["matrix"]["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]


def test_nightly_fuzzes_on_each_python_and_scans_the_dependencies() -> None:
    checks = workflow(ROOT / ".github" / "workflows" / "nightly.yml")["jobs"]["checks"]
    assert _parts(checks) == ["fuzz", "scan-dependencies", "test-broker-conformance", "test-packages"]
    assert checks["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "HYPOTHESIS_PROFILE=nightly $(BIN)/pytest $(FUZZ) " in makefile
    assert "\nFUZZ := tests/fuzz " in makefile
    assert "for file in requirements.lock $(BOOTSTRAP) " in makefile
    assert "pip-audit --progress-spinner off --require-hashes --disable-pip --requirement $$file || exit 1" in makefile


@pytest.mark.parametrize("file", ["requirements.bootstrap.txt", ".github/pip-audit.txt"])
def test_tool_that_installs_or_scans_is_locked_by_hash(file: str) -> None:
    pins = re.findall(r"^([a-z0-9-]+)==\S+(.*)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert pins
    assert all(rest.endswith("\\") for _, rest in pins), "each pin is followed by its hashes"


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_pip_installs_by_hash_only(file: str) -> None:
    lines = re.findall(r"^.*pip install[^\n]*", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    plain = [line for line in lines if "uv pip" not in line]
    assert plain
    assert all("--require-hashes" in line for line in plain)


def test_ci_has_a_job_for_every_kind_of_check() -> None:
    jobs = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert set(jobs) == {"lint", "tests", "localstack", "containers", "images", "compose", "terraform", "evals"}
    assert jobs["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert set(_parts(jobs["tests"])) == {"test-fast", "test-integration", "test-e2e"}


@pytest.mark.parametrize("target", ["test-localstack", "test-containers", "compose-test", "terraform-check"])
def test_target_that_needs_tools_fails_on_a_skipped_test(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "NO_SKIPS := -p tests.no_skips\n" in makefile
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    assert "pytest $(NO_SKIPS)" in recipe[1]


def _parts(job: dict[str, Any]) -> list[str]:
    parts: list[str] = job.get("strategy", {}).get("matrix", {}).get("part", [])
    return parts
