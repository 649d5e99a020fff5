"""What the broker adds to a message stays in proportion. CPU of one process, least of several repeats, no network."""

import pytest

from bench.broker.layers import measure_layers

# Measured 1.0 to 1.2. The least of seven interleaved repeats does not depend on what else the machine does.
_MOST = 1.6


@pytest.mark.slow
async def test_message_path_cost_is_close_to_faststreams_own() -> None:
    cost = await measure_layers()
    ours = cost["all of it: poll, lease, handler, delete"]
    theirs = cost["FastStream's process_message, direct call"]
    assert ours <= _MOST * theirs, cost
    assert cost["our short way to the handler"] < theirs, cost
