"""Sessions never see each other's rows or text, and processes never hold each other's secrets."""

from __future__ import annotations

import os

import psutil
import pytest

from services.app import APP
from switchyard.app.application import API
from switchyard.app.console_process import CONSOLE
from switchyard.audit.records.roles import CALLERS, READER
from switchyard.devstack.identity.exchange import EXCHANGE_SECRET_VARIABLE
from switchyard.devstack.identity.provider import CONSOLE_SECRET_VARIABLE, FRONT_END_SECRET_VARIABLE
from switchyard.devstack.stack.identity import EXCHANGE, PROVIDER
from switchyard.infra.settings_page import process_settings, variable_name
from tests.e2e.conftest import Deployment
from tests.holdings import SIMULATED, secrets_in
from tests.reference import needs

pytestmark = pytest.mark.e2e

BASINS = {"FIELD_PERMIAN": "Permian", "FIELD_WILLISTON": "Williston", "FIELD_EAGLE_FORD": "Eagle Ford"}


async def test_question_of_two_users_interleaved_answers_in_each_role(deployment: Deployment) -> None:
    asked = [
        (
            role,
            deployment.question(
                f"e2e wells by basin of {role} {turn}", session_id=f"{role}-session", role=role, user_id=role
            ),
        )
        for turn in range(4)
        for role in BASINS
    ]
    cases = await deployment.submit([question for _, question in asked])
    await deployment.closed(cases)
    for (role, question), case in zip(asked, cases, strict=True):
        text = (await deployment.answer(case))["text"]
        assert BASINS[role] in text
        for other, basin in BASINS.items():
            if other != role:
                assert basin not in text
        assert {event["session_id"] for event in await deployment.events(case)} == {question["session_id"]}


async def test_data_key_of_each_user_is_their_own(deployment: Deployment) -> None:
    cases = await deployment.submit(
        [deployment.question("e2e wells by basin", user_id=name) for name in ("ann", "bob", "ann")]
    )
    await deployment.closed(cases)
    subjects = [(await deployment.events(case))[0]["principal"]["subject"] for case in cases]
    assert subjects[0] == subjects[2] != subjects[1]


OF_THE_IDENTITY_SERVERS = {
    PROVIDER: {FRONT_END_SECRET_VARIABLE, CONSOLE_SECRET_VARIABLE},
    EXCHANGE: {EXCHANGE_SECRET_VARIABLE, "AUTHGENT_SECRET_KEY"},
}
"""Secrets of programs that are no processes of ours; the second is the first, as the program calls it."""

INHERITED = {"PATH", "PYTHONPATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"}
"""What a process may take over from the shell that started the stack."""


def family_of(pid: int) -> list[psutil.Process]:
    """A process, its watchdog, and what it has started."""
    process = psutil.Process(pid)
    watchdog = process.parent()
    assert watchdog is not None
    return [watchdog, process, *process.children(recursive=True)]


def test_process_holds_the_secrets_of_its_role_and_no_other(deployment: Deployment) -> None:
    running = {row.name: family_of(row.pid or 0) for row in deployment.stack.status()}
    held = {name: [secrets_in(each.environ()) for each in family] for name, family in running.items()}
    known = {text for found in held.values() for each in found for texts in each.values() for text in texts}
    known |= {text for texts in secrets_in(deployment.exports).values() for text in texts}
    known |= {login.partition(":")[2] for login in known if ":" in login}
    known = {text for text in known if len(text) >= 32}
    for name, family in running.items():
        needed = needs().get(name)
        wanted = set(needed.held) if needed else OF_THE_IDENTITY_SERVERS.get(name, set())
        assert set(held[name][1]) == wanted, name
        for process, found in zip(family, held[name], strict=True):
            assert set(found) <= wanted, f"{name}: {process.cmdline()}"
            text = "\n".join([*process.cmdline(), *(f"{key}={value}" for key, value in process.environ().items())])
            own = {part for parts in found.values() for part in parts}
            own |= {login.partition(":")[2] for login in own if ":" in login}
            assert {secret for secret in known if secret in text} - own == set(), name


def test_secret_of_a_role_is_held_by_no_process_of_another(deployment: Deployment) -> None:
    shared: dict[str, set[str]] = {}
    for row in deployment.stack.status():
        for variable, texts in secrets_in(psutil.Process(row.pid).environ()).items():
            if variable.endswith("_DB_URL"):
                # Console and API read the log as its readers and callers do, and have roles of their own for all else.
                reader = (
                    {CONSOLE: READER, API: CALLERS}.get(row.name) if variable.startswith("SWITCHYARD_AUDIT") else None
                )
                assert {text.partition(":")[0] for text in texts} == {reader or row.name}, "a role each"
            for text in texts if not SIMULATED.fullmatch(variable) else ():
                shared.setdefault(text, set()).add(row.name)
    # The vault's key is that of all who seal persons' data, or open it for a person; who signs opt-out links and who
    # checks them share theirs.
    with_inbox = {node for node, needed in needs().items() if needed.has_inbox}
    assert {frozenset(names) for names in shared.values() if len(names) > 1} == {
        frozenset({*with_inbox, CONSOLE, API}),
        # Both find a person by the fingerprint of their name.
        frozenset({"case_manager", API}),
        frozenset({"drafter", "email_feedback"}),
        # A client and the server that it logs in to.
        frozenset({"identity", PROVIDER}),
        frozenset({CONSOLE, PROVIDER}),
    }


def test_process_inherits_the_path_of_programs_only(deployment: Deployment) -> None:
    pids = {row.name: row.pid for row in deployment.stack.status()}
    for node, classes in process_settings(APP).items():
        known = {variable_name(settings, name) for settings in classes for name in settings.model_fields}
        given = {name for name in psutil.Process(pids[node]).environ() if not name.startswith("AWS_")}
        assert given - known - INHERITED == set(), node
        assert not given & {name for name in os.environ if "TOKEN" in name or "SECRET" in name}
