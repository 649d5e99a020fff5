"""What the broker adds to a message stays in proportion. CPU of one process, no network."""

from statistics import median

import pytest

from bench.broker.layers import measure_layers

# The median over repeats in which the layers took turns: measured 1.04 to 1.2, the more the busier the machine.
_MOST = 1.5


@pytest.mark.slow
@pytest.mark.alone
async def test_message_path_cost_is_close_to_faststreams_own() -> None:
    costs = await measure_layers()
    short, theirs, ours = (
        costs[name]
        for name in (
            "our short way to the handler",
            "FastStream's process_message, direct call",
            "all of it: poll, lease, handler, delete",
        )
    )
    assert median(our / their for our, their in zip(ours, theirs, strict=True)) <= _MOST, costs
    assert median(our / their for our, their in zip(short, theirs, strict=True)) < 1, costs
