"""docs/operate/settings.md lists every variable that a program reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel

from services.app import APP
from switchyard.app.application import load_reference
from switchyard.infra import settings_page
from switchyard.infra.generate import main
from switchyard.infra.settings_page import TOOL_SETTINGS, process_settings
from switchyard.runtime.core.settings import ProcessSettings
from switchyard.runtime.core.variables import SETTINGS_PAGE, misspelt_variables

ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)
TESTS_ONLY = {"SWITCHYARD_WRITE_DOCS"}


def rows() -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name, *cells in ROW.findall(settings_page.settings_page(APP, Path("docker-compose.yml").read_text())):
        readers, default, meaning = cells
        found.setdefault(name, []).append((readers, default, meaning))
    return found


def settings_classes() -> list[type[BaseModel]]:
    tools = [load_reference(reference) for reference in (*TOOL_SETTINGS.values(), *APP.settings.values())]
    return [*tools, *(each for classes in process_settings(APP).values() for each in classes)]


@pytest.mark.parametrize("settings", settings_classes(), ids=lambda settings: str(settings.__name__))
def test_settings_field_has_a_description(settings: type[BaseModel]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


def test_page_has_every_variable_that_the_repository_names() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True, text=True).stdout
    named = set()
    for path in filter(None, listed.split("\0")):
        if not path.startswith(("tests/", "docs/adr/")) and Path(path).suffix in {".py", ".md", ".yml", ".tf", ""}:
            named |= set(re.findall(r"\bSWITCHYARD_[A-Z0-9_]+\b(?!\*)", Path(path).read_text(errors="ignore")))
    known = rows().keys() | TESTS_ONLY
    named = {name for name in named if not name.startswith("SWITCHYARD_TEST_")}
    assert {
        name for name in named - known if not any(each.startswith(f"{name.rstrip('_')}_") for each in known)
    } == set()


@pytest.mark.parametrize(
    ("variable", "readers", "default"),
    [
        ("SWITCHYARD_BUS", "every process, `switchyard`", "`switchyard`"),
        ("SWITCHYARD_IDENTITY_URL", "text_to_sql, field_routing, well_data", "required"),
        ("SWITCHYARD_MODEL_POLICIES", "agents that call a model", ""),
        ("SWITCHYARD_SNOWFLAKE_ACCOUNT", "text_to_sql", "required"),
        ("SWITCHYARD_REVIEWER_DB_URL", "`switchyard`", "needed"),
        ("SWITCHYARD_ROLE_PASSWORD", "provisioner (compose)", "required"),
        ("SWITCHYARD_POSTGRES_PORT", "docker compose", "`15432`"),
        ("JWKS_URL", "ingress", "required"),
    ],
)
def test_row_names_readers_and_default(variable: str, readers: str, default: str) -> None:
    assert [each[:2] for each in rows()[variable]] == [(readers, default)]


def test_variable_that_two_kinds_of_process_read_has_a_row_for_each() -> None:
    found = {each[:2] for each in rows()["SWITCHYARD_WORK_DB_URL"]}
    assert found == {
        ("case_manager, every agent", "required"),
        *((each, "required") for each in ("api", "console", "identity")),
    }


def test_secrets_are_marked_and_public_keys_are_not() -> None:
    secret = {name for name, found in rows().items() if any(meaning.startswith("**Secret.**") for *_, meaning in found)}
    looks_secret = re.compile(
        r"SWITCHYARD_\w*(DB_URL|DB_OWNER_URL|_TOKEN|PASSWORD|API_KEY|(STATE|OPTOUT)_KEYS|(MAC|VAULT)_KEY)"
    )
    assert {name for name in rows() if looks_secret.fullmatch(name)} <= secret
    assert not secret & {"SWITCHYARD_APPROVERS", "SWITCHYARD_OPERATORS", "SWITCHYARD_PRINCIPAL_KEYS"}
    assert not {name for name in secret if "PUBLIC" in name or "KMS" in name}


@pytest.mark.parametrize("settings", settings_classes(), ids=lambda settings: str(settings.__name__))
def test_variable_of_another_program_is_not_misspelt(settings: type[BaseModel]) -> None:
    own = {settings_page.variable_name(settings, name) for name in settings.model_fields}
    others = dict.fromkeys(rows().keys() - own - set(ProcessSettings.read_elsewhere), "value")
    assert misspelt_variables(own, others) == {}


def test_stale_page_fails_the_check_and_is_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "settings.md"
    page.write_text("old", encoding="utf-8")
    assert main(["--check"], page=page) == 1
    assert f"{page} differs" in capsys.readouterr().out
    assert main([], page=page) == 0
    assert page.read_text(encoding="utf-8") == Path(SETTINGS_PAGE).read_text(encoding="utf-8")
