"""A pair of models that are never asked: what matters is what is known of them."""

from __future__ import annotations

from pydantic_ai.models.test import TestModel

from latency_failover import FailoverModel


def pair() -> FailoverModel:
    """Two models, `test:primary` and `test:fallback`."""
    return FailoverModel(TestModel(model_name="primary"), TestModel(model_name="fallback"))
