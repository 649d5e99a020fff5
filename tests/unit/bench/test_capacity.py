"""What a case costs follows from the playbooks, and what the docs say is what the script prints."""

from __future__ import annotations

from pathlib import Path

from bench.capacity.__main__ import binding_quotas, capacity_report, cost_per_million, idle_cost
from bench.capacity.cases import list_case_paths
from services.orchestrator.graph import CURRENT

DOCS = Path(__file__).parents[3] / "docs" / "operate" / "capacity.md"


def test_question_with_agent_takes_ten_events_and_without_twelve() -> None:
    assist = [way for way in list_case_paths() if way.playbook == CURRENT["assist"]]
    assert [[step.name for step in way.steps] for way in assist] == [
        ["specialist", "drafter"],
        ["triage", "specialist", "drafter"],
    ]
    # The audit log of the demo has one event fewer: it never gets upstream's submission.
    assert [(way.events, way.queues["audit"], way.model_calls) for way in assist] == [(10, 9, 2), (12, 11, 3)]


def test_playbook_has_a_priced_path_to_its_goal() -> None:
    assert {way.playbook for way in list_case_paths()} == set(CURRENT.values())
    for way in list_case_paths():
        assert cost_per_million(way)["EventBridge"] == way.events
        assert binding_quotas(way)[0][0] > 0
    assert sum(idle_cost("prod").values()) > sum(idle_cost("dev").values()) > 0


def test_idle_dev_costs_less_than_400_dollars_with_everything_that_it_runs() -> None:
    dev, prod = idle_cost("dev"), idle_cost("prod")
    assert sum(dev.values()) < 400
    assert dev.keys() == prod.keys()
    # Only what dev switches off costs nothing; prod has all of it.
    assert {name for name, cost in dev.items() if cost == 0} == {"Container Insights"}
    assert min(prod.values()) > 0


def test_docs_have_the_tables_of_the_script() -> None:
    assert capacity_report() in DOCS.read_text()
