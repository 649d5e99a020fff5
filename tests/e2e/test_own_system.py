"""docs/start/tutorial.md and docs/build/your-own-system.md at their word, with the engine's wheels and nothing else of
ours: every block is executed in order, and what comes of it is looked at as its owner and an auditor would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import asyncpg
import pytest

from switchyard.devstack.identity.login import log_in
from switchyard.devstack.stack import running
from tests.pages import Block, Reader, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = (ROOT, ROOT / "packages" / "faststream-sqs", ROOT / "packages" / "latency-failover")
TUTORIAL = ROOT / "docs" / "start" / "tutorial.md"
PAGE = ROOT / "docs" / "build" / "your-own-system.md"
MAX_FILES, MAX_LINES, WIDTH = 8, 300, 120


def page_files() -> dict[str, str]:
    """The files that are written by hand."""
    return {block.file: block.text for block in blocks(PAGE) if block.file}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels in `dist` and, as `bin/switchyard`, the command from what is in them."""
    place = tmp_path_factory.mktemp("own")
    for project in PROJECTS:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place / "dist")]
        subprocess.run(build, cwd=project, check=True, stdout=subprocess.DEVNULL)
    for wheel in (place / "dist").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place / "engine")
    (place / "bin").mkdir()
    command = place / "bin" / "switchyard"
    run = "from switchyard.cli.app.main import run_cli; run_cli()"
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH={place}/engine exec {sys.executable} -c "{run}" "$@"\n', encoding="utf-8"
    )
    command.chmod(0o755)
    return place


def reader_in(place: Path) -> Reader:
    """Somebody with a shell in that folder."""
    kept = {name: "" for name in os.environ if name.startswith(("SWITCHYARD_", "PYTHON"))}
    ours = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable, "COLUMNS": "200", "TERM": "dumb"}
    ours["XDG_RUNTIME_DIR"] = os.environ.get("XDG_RUNTIME_DIR", str(place))
    return Reader(place, kept | ours)


@pytest.fixture(scope="module")
def claims(place: Path) -> Iterator[Reader]:
    """The claims system, built from its page, with its stack running."""
    reader = reader_in(place)
    try:
        for block in blocks(PAGE):
            # Its last line is for afterwards: the tests look at the stack.
            reader.follow(
                Block(block.language, block.file, block.text.replace(".venv/bin/switchyard stack down\n", ""))
            )
        yield reader
    finally:
        subprocess.run([".venv/bin/switchyard", "stack", "down"], cwd=reader.folder, check=False)


def exports(claims: Reader) -> dict[str, str]:
    return running.running_exports(claims.folder / ".switchyard")


def test_tutorial_runs_block_by_block(place: Path) -> None:
    reader = reader_in(place)
    try:
        for block in blocks(TUTORIAL):
            reader.follow(block)
    finally:
        if reader.folder != place:
            subprocess.run([".venv/bin/switchyard", "stack", "down"], cwd=reader.folder, check=False)
    assert reader.printed.count("0 otherwise than expected") == 1
    assert "We are open from nine to five." in reader.printed
    assert "handed_over: complaint. A person must reply." in reader.printed
    assert "chain: ok" in reader.printed
    assert "replay: no divergence" in reader.printed


def test_page_stays_within_eight_files_and_three_hundred_lines() -> None:
    files = page_files()
    assert len([block for block in blocks(PAGE) if block.file]) == len(files) <= MAX_FILES
    lines = [line for text in files.values() for line in text.splitlines()]
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= WIDTH


def test_page_replaces_no_file_of_the_engine(claims: Reader) -> None:
    assert not (claims.folder / "switchyard").exists()
    assert not (claims.folder / "packages").exists()
    assert "passed" in claims.printed
    assert "failed" not in claims.printed


def test_no_model_fast_tracks_an_expensive_claim(claims: Reader) -> None:
    # The simulated model calls the yacht plain; the page asks for it.
    asked = claims.printed[claims.printed.index("case_manager → router: ClaimOpened") :]
    assert "assessor → router: ClaimHeld" in asked
    assert "ClaimFastTracked" not in asked
    assert "accepted: covered" in asked
    forged = "from contracts.events import *; ClaimFastTracked.model_validate({'amount_cents': 100001, 'answer': None})"
    refused = claims.run(f'.venv/bin/python -c "{forged}" 2>&1 || true')
    assert "amount_cents" in refused
    assert "less than or equal to 100000" in refused


def test_answer_can_be_asked_for_and_opened(claims: Reader) -> None:
    answer = claims.run('.venv/bin/switchyard ask user_id=eve amount_cents=900 description="A broken window."')
    assert "paid_at_once: fast_track" in answer
    assert "Your claim is paid." in answer
    case_id = answer.split()[1]
    shown = claims.run(f".venv/bin/switchyard case show {case_id} --open")
    assert "A broken window." in shown
    assert "assessor: was given claim" in shown
    wrong = claims.run(".venv/bin/switchyard ask user_id=eve amount_cents=much description=x 2>&1 || true")
    assert "amount_cents" in wrong
    assert "Traceback" not in wrong


def test_log_is_complete_verified_replayed_and_exported(claims: Reader) -> None:
    assert "chain: ok" in claims.printed
    assert "replay: no divergence" in claims.printed
    assert "complete" in claims.run(".venv/bin/switchyard audit reconcile --grace 30")
    listed = json.loads(claims.run(".venv/bin/switchyard case list --json"))
    assert {row["outcome"] for row in listed} <= {"accepted", "paid_at_once"}
    exported = f".venv/bin/switchyard audit export {listed[-1]['case_id']} --out bundle.json"
    # A checkpoint covers each event within seconds.
    printed = claims.run(f"for _ in $(seq 30); do {exported} && break; sleep 1; done")
    verify = re.findall(r"verify it with: (python3 -I .*)", printed)[-1].replace("python3", sys.executable, 1)
    assert "PROVEN" in claims.run(verify)


async def test_goal_success_counts_with_the_outcomes_own_classes(claims: Reader) -> None:
    connection = await asyncpg.connect(exports(claims)["SWITCHYARD_AUDIT_DB_URL"])
    try:
        row = await connection.fetchrow(
            "select sum(cases) cases, sum(reached) reached, sum(failed) failed from audit.goal_success "
            "where playbook = 'claims'"
        )
        stored = await connection.fetch("select outcome, class from audit.outcome_class")
        classes = {each["outcome"]: each["class"] for each in stored}
    finally:
        await connection.close()
    assert row is not None
    assert row["cases"] == row["reached"] > 0
    assert row["failed"] == 0
    assert classes.items() >= {"paid_at_once": "reached", "accepted": "reached", "declined": "stopped"}.items()


async def test_console_shows_the_cases_to_a_person_who_logs_in(claims: Reader) -> None:
    ports = running.running_ports(claims.folder / ".switchyard")
    console = f"http://127.0.0.1:{ports['console_http']}"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{console}/login") as page:
            text, address = await page.text(), str(page.url)
        transaction = re.search(r'name="transaction_id" value="([^"]+)"', text)
        form = {"username": "oncall", "password": "oncall"} | (
            {"transaction_id": transaction[1]} if transaction else {}
        )
        async with browser.post(urljoin(address, "/authorize"), data=form) as page:
            assert page.status == 200, await page.text()
        async with browser.get(f"{console}/cases") as page:
            cases = await page.text()
            assert page.status == 200
    assert "paid_at_once" in cases
    assert "claims/1" in cases


async def test_user_asks_over_the_api_and_follows_the_case_to_its_answer(claims: Reader) -> None:
    reach = exports(claims)
    api = reach["SWITCHYARD_API_URL"]
    tokens = await log_in(reach["SWITCHYARD_LOGIN_URL"], reach["SWITCHYARD_LOGIN_CLIENT_SECRET"], "ada", "ada")
    user = {"Authorization": f"Bearer {tokens.access_token}"}
    body = {"amount_cents": 900, "description": "A broken window.", "idempotency_key": "api-1"}
    async with aiohttp.ClientSession() as caller:
        async with caller.get(f"{api}/v1/openapi.json") as answer:
            document = await answer.json()
        assert set(document["components"]["schemas"]["CaseBody"]["properties"]) == {*body, "deadline_ms"}
        assert not {"/v1/consents", "/v1/revocations", "/v1/forgettings"} & document["paths"].keys()
        async with caller.post(f"{api}/v1/cases", json=body, headers=user | {"X-Session-Id": "s-1"}) as answer:
            assert answer.status == 202, await answer.text()
            case_id = (await answer.json())["case_id"]
        seen = []
        for _ in range(60):
            async with caller.get(f"{api}/v1/cases/{case_id}/events", headers=user) as stream:
                if stream.status == 404:  # not yet recorded
                    await asyncio.sleep(0.5)
                    continue
                seen = [line.decode().strip() async for line in stream.content if line.startswith((b"id:", b"event:"))]
                break
        assert [line for line in seen if line.startswith("id:")][:2] == ["id: 1", "id: 2"]
        assert seen[-1] == "event: end"
        async with caller.get(f"{api}/v1/cases/{case_id}", headers=user) as answer:
            case = await answer.json()
        assert (case["status"], case["outcome"]) == ("closed", "paid_at_once")
        assert "Your claim is paid." in json.dumps(case["answer"])
        for changed, expected in (({"user_id": "mallory"}, 400), ({"amount_cents": "much"}, 400)):
            async with caller.post(f"{api}/v1/cases", json=body | changed, headers=user | {"X-Session-Id": "s"}) as no:
                assert (no.status, no.content_type) == (expected, "application/problem+json")
        other = await log_in(reach["SWITCHYARD_LOGIN_URL"], reach["SWITCHYARD_LOGIN_CLIENT_SECRET"], "oncall", "oncall")
        foreign = {"Authorization": f"Bearer {other.access_token}"}
        async with caller.get(f"{api}/v1/cases/{case_id}", headers=foreign) as answer:
            assert answer.status == 404
    proven = claims.run(f".venv/bin/switchyard audit verify-principal {case_id}")
    assert "upstream.ingress" in proven


def test_terraform_compose_and_settings_follow_from_the_app(claims: Reader) -> None:
    topology = json.loads((claims.folder / "terraform" / "generated" / "topology.json").read_text(encoding="utf-8"))
    assert {"assessor", "examiner"} <= topology["consumers"].keys()
    assert "assistant" not in topology["consumers"]
    assert topology["outcomes"]["declined"] == "stopped"
    policy = (claims.folder / "terraform" / "generated" / "iam" / "assessor.task.json").read_text(encoding="utf-8")
    assert "switchyard.assessor" in policy
    compose = (claims.folder / "docker-compose.yml").read_text(encoding="utf-8")
    assert "SERVICE: examiner" in compose
    settings = (claims.folder / "docs" / "operate" / "settings.md").read_text(encoding="utf-8")
    assert "SWITCHYARD_MODEL_BEDROCK_ID" in settings
