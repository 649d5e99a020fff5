"""The labelled set of memory: enough probes, each with its note; texts that must persist nowhere."""

from __future__ import annotations

import yaml

from evals.cases import DATASETS
from evals.memory_suite import wilson
from services.memory.statements import read_statements

DATA = yaml.safe_load((DATASETS / "memory.yaml").read_text(encoding="utf-8"))


def test_each_of_at_least_60_probes_names_a_note_that_the_rules_read() -> None:
    assert sum(len(group["probes"]) for group in DATA["users"]) >= 60
    for group in DATA["users"]:
        assert {probe["note"] for probe in group["probes"]} == set(range(1, len(group["notes"]) + 1))
        for note in group["notes"]:
            assert [(each.value, each.quarantined) for each in read_statements(f"Remember that {note}.")] == [
                (note, False)
            ]


def test_interval_of_a_share_is_wilsons() -> None:
    assert wilson(62, 62) == (0.9417, 1.0)
    assert wilson(50, 100) == (0.4038, 0.5962)
