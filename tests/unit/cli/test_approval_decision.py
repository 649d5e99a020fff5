from __future__ import annotations

import pytest

from switchyard.cli.app.errors import CommandFailed
from switchyard.cli.commands.approval import MAX_REASON, check_decision


@pytest.mark.parametrize("approver", ["", "on call", "oncall\n", "o" * 151, "ончолл", "\x00"])
def test_decision_of_a_name_that_the_table_refuses_names_the_option_and_the_remedy(approver: str) -> None:
    with pytest.raises(CommandFailed, match="--operator") as caught:
        check_decision(approver, "")
    assert caught.value.remedy
    assert "visible ASCII" in caught.value.remedy


@pytest.mark.parametrize("reason", ["r" * (MAX_REASON + 1), "a\x00b"])
def test_decision_of_a_reason_that_the_table_refuses_names_the_option_and_the_remedy(reason: str) -> None:
    with pytest.raises(CommandFailed, match="--reason") as caught:
        check_decision("oncall", reason)
    assert caught.value.remedy


def test_decision_that_the_table_takes_passes() -> None:
    check_decision("o" * 150, "r" * MAX_REASON)
