"""How far back a comparison reaches, and what is invalid."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from switchyard.cli.app.errors import InvalidArgument
from switchyard.cli.commands.audit.reconcile import parse_since

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "moment"),
    [
        ("90s", datetime(2026, 11, 21, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 21, 11, 30, tzinfo=UTC)),
        ("24h", datetime(2026, 11, 20, 12, 0, tzinfo=UTC)),
        ("400d", datetime(2025, 10, 17, 12, 0, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_since_as_a_span_or_a_day_is_a_moment(since: str, moment: datetime) -> None:
    assert parse_since(since, NOW) == moment


@pytest.mark.parametrize("since", ["", "yesterday", "0h", "24", "h", "-1h", "2026-13-01"])
def test_invalid_since_is_refused_with_an_example(since: str) -> None:
    with pytest.raises(InvalidArgument, match="is invalid") as refused:
        parse_since(since, NOW)
    assert refused.value.remedy is not None
    assert "24h" in refused.value.remedy
