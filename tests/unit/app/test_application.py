"""An application is checked where it is put together, and the engine knows none."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import CATALOGUE
from services.app import APP
from switchyard.app import application
from switchyard.app.application import DEFAULT_APP, IdentityDescriptor, ProcessDescriptor, load_app, load_reference
from switchyard.app.asyncapi import build_asyncapi
from switchyard.app.generate import schema_files
from switchyard.infra.generate import topology
from switchyard.infra.iam import task_policy
from switchyard.infra.nodes import needs
from switchyard.protocol.catalogue import AUDIT, CASE_MANAGER, ROUTER, Catalogue, EventType, command_types
from switchyard.protocol.events.router import CloseCase
from switchyard.scaffold.repository import TEMPLATES
from tests.echo_app import echo

ENGINE = Path(application.__file__).parents[1]


def test_application_of_one_agent_has_nodes_queues_and_events() -> None:
    assert echo.APP.catalogue.nodes == (ROUTER, CASE_MANAGER, "echo", AUDIT)
    assert [consumer.queue for consumer in echo.APP.consumers] == [
        "switchyard-router",
        "switchyard-case-manager",
        "switchyard-echo",
        "switchyard-audit",
    ]
    assert [type_.name for type_ in echo.CATALOGUE.types_for("echo")] == ["Echo"]
    assert {type_.name for type_ in echo.CATALOGUE.types_emitted_by("echo")} == {"Echoed", "TaskFailed"}
    assert echo.CATALOGUE.find("CaseClosed", 1) is not None
    assert set(build_asyncapi(echo.CATALOGUE)["channels"]) == {"bus", *echo.CATALOGUE.nodes}
    assert {"Echo.v1.json", "CaseClosed.v1.json"} <= schema_files(echo.CATALOGUE).keys()


def test_process_without_events_is_a_server_with_needs_and_without_a_queue() -> None:
    server = ProcessDescriptor(
        "server_one", "echo:run", database=True, http="SWITCHYARD_SERVER_ONE", egress=("outside",)
    )
    app = replace(echo.APP, processes=(*echo.APP.processes, server))
    assert app.servers == (server,)
    assert "server_one" not in {consumer.node for consumer in app.consumers}
    needed = needs(app)["server_one"]
    assert (needed.consumer, needed.database, needed.has_inbox, needed.egress) == (None, "work", False, ("outside",))
    assert (needed.emits, needed.quarantines, needed.decrypts_artefacts) == ((), False, False)
    assert "sqs" not in str(task_policy(needed))
    assert topology(app)["servers"]["server_one"]["databases"] == ["work"]
    assert "server_one" not in topology(app)["consumers"]


def test_clients_of_the_exchange_have_the_scopes_that_their_patterns_name() -> None:
    identity = IdentityDescriptor(
        "identity",
        users="",
        scopes=("read:a", "read:b", "write:a"),
        role_scope="read:",
        agents={"reader": {"https://one": ("read:*",)}, "none": {}},
        sources={"upstream.x": {"scopes": ("read:a",), "agents": ("reader",), "audiences": ("https://one",)}},
    )
    assert identity.exchange_clients() == {
        "reader": {"scopes": ["read:a", "read:b"], "audiences": ["https://one"]},
        "none": {"scopes": [], "audiences": []},
        "upstream.x": {"scopes": ["read:a"], "audiences": []},
    }


def test_catalogue_with_a_type_twice_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"declared twice.*Echo version 1"):
        Catalogue(["echo"], (*command_types("echo", echo.Echo), *command_types("echo", echo.Echo)))
    with pytest.raises(ValueError, match=r"declared twice.*CloseCase"):
        Catalogue(["echo"], command_types("echo", CloseCase))


def test_catalogue_with_an_unknown_node_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"Echo travels between nodes that have no card: .'echo'"):
        Catalogue([], (EventType(echo.Echo, ((ROUTER, "echo"),)),))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cards": {}}, "the catalogue's agents"),
        ({"cards": {"echo": echo.CARD.model_copy(update={"emits": ("Echoed",)})}}, r"card of echo.*TaskFailed"),
        ({"processes": ()}, r"agents without a process: \['echo'\]"),
        (
            {"identity": IdentityDescriptor("identity", "", (), "role:", {})},
            "the identity service identity is not a process",
        ),
        ({"identity": IdentityDescriptor("echo", "", (), "role:", {"ghost": {}})}, r"without a card: \['ghost'\]"),
        ({"processes": (ProcessDescriptor("echo", "echo:run", database=True),)}, "its card says that"),
        ({"what_if": {"ghost": "ghost:WHAT_IF"}}, r"what-ifs of agents without a card: \['ghost'\]"),
        ({"current": {"echo": "echo/2"}}, "not released"),
        ({"current": {}}, "TextSubmitted opens the playbook echo, which has no current version"),
        ({"outcomes": {}}, r"echo/1 has outcomes without a class: \['answered'\]"),
    ],
)
def test_application_that_contradicts_itself_is_rejected(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"the application contradicts itself: .*{problem}"):
        replace(echo.APP, **changes)


def test_reference_application_is_the_default_with_outcome_classes() -> None:
    assert load_app() is APP is load_reference(DEFAULT_APP)
    assert APP.catalogue is CATALOGUE
    assert {name for name, kind in APP.all_outcomes.items() if kind == "reached"} == {"answered", "sent"}
    for process in APP.processes:
        assert callable(load_reference(process.run))


@pytest.mark.parametrize(("reference", "error"), [("services.app", ValueError), ("services.app:NONE", ImportError)])
def test_reference_that_names_nothing_is_rejected(reference: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=re.escape("services.app")):
        load_reference(reference)


def test_engine_names_application_modules_in_defaults_only() -> None:
    pattern = re.compile(r"(contracts|services|demo)(\.\w+)+(:\w+)?|(services|demo)/.*")
    found = {
        node.value
        for path in ENGINE.rglob("*.py")
        if not path.is_relative_to(TEMPLATES)  # those are an application
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.fullmatch(node.value)
    }
    assert found == {DEFAULT_APP}
