"""`case show --open` names the files beside an answer, and a hostile name leads to no other place."""

from __future__ import annotations

from typing import Any

import pytest

from switchyard.cli.app.opened_artefacts import list_files


def artefact(name: str, media_type: str, digit: str) -> dict[str, Any]:
    return {"name": name, "sha256": digit * 64, "size": 9, "media_type": media_type}


def event(node: str, **payload: Any) -> dict[str, Any]:
    return {"node_from": node, "payload": payload}


def test_files_of_a_case_are_listed_once_with_names_of_their_own() -> None:
    chart, plan = artefact("chart", "image/svg+xml", "a"), artefact("plan_table", "text/csv", "b")
    events = [
        event("well_data", charts=[chart], findings=[artefact("findings", "application/json", "c")]),
        event("router", findings=[artefact("findings", "application/json", "c")]),
        event("field_routing", charts=[artefact("chart", "image/svg+xml", "d")], files=[plan]),
        event("case_manager", answer=artefact("answer", "application/json", "e")),
    ]
    assert sorted(each.file for each in list_files(events)) == [
        "1-well_data-chart.svg",
        "2-well_data-findings.json",
        "3-field_routing-chart.svg",
        "4-field_routing-plan_table.csv",
    ]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/root/x", "a\0b", ""])
def test_artefact_with_a_hostile_name_is_no_file(name: str) -> None:
    assert list_files([event("well_data", charts=[artefact(name, "image/svg+xml", "a")])]) == []
