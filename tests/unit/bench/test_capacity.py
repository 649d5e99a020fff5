"""What a case costs follows from the playbooks, and what the docs say is what the script prints."""

from __future__ import annotations

from pathlib import Path

from bench.capacity.__main__ import idle, per_million, quotas, report
from bench.capacity.cases import ways
from services.orchestrator.graph import CURRENT

DOCS = Path(__file__).parents[3] / "docs" / "capacity.md"


def test_a_question_that_names_its_agent_takes_eight_events_and_one_that_does_not_takes_ten() -> None:
    assist = [way for way in ways() if way.playbook == CURRENT["assist"]]
    assert [[step.name for step in way.steps] for way in assist] == [
        ["specialist", "drafter"],
        ["triage", "specialist", "drafter"],
    ]
    # The audit log of the demo has one event fewer: it never gets upstream's submission.
    assert [(way.events, way.queues["audit"], way.model_calls) for way in assist] == [(8, 7, 2), (10, 9, 3)]


def test_every_playbook_has_a_way_to_its_goal_that_quotas_and_prices_apply_to() -> None:
    assert {way.playbook for way in ways()} == set(CURRENT.values())
    for way in ways():
        assert per_million(way)["EventBridge"] == way.events
        assert quotas(way)[0][0] > 0
    assert sum(idle("prod").values()) > sum(idle("dev").values()) > 0


def test_the_docs_have_the_tables_that_the_script_prints() -> None:
    assert report() in DOCS.read_text()
