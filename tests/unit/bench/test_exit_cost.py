"""What counts as a place of AWS, and which parts must have none."""

from __future__ import annotations

import pytest

from bench.exit_cost import list_aws_operations, measure_module, measure_packages

KNOWN = list_aws_operations()


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("import boto3\n", (1,)),
        ("from aiobotocore.config import AioConfig\n", (1,)),
        ("async def f(s3):\n    await s3.put_object(Bucket='b')\n", (2,)),
        ("async def f(kms):\n    await kms.decrypt(KeyId='k')\n", (2,)),
        ("def f(setting):\n    return setting.get_secret_value()\n", ()),
        ("def f(box):\n    return box.decrypt(b'')\n", ()),
        ("import asyncpg\n", ()),
    ],
)
def test_a_place_is_an_import_of_an_sdk_or_a_call_of_an_operation(source: str, places: tuple[int, ...]) -> None:
    assert measure_module("x.py", source, KNOWN).places == places


def test_contracts_failover_and_every_decision_know_nothing_of_aws() -> None:
    pure = ("contracts/", "services/orchestrator/", "services/drafter/agent", "services/specialists/compliance/")
    touching = [module.path for module in measure_packages() if module.places and module.path.startswith(pure)]
    assert touching == []
