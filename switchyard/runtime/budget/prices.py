"""What tokens cost, in micro-dollars: a configured price, else the list price of genai-prices; never zero unsaid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from genai_prices import Usage, calc_price

from latency_failover import ModelAttempt
from switchyard.runtime.core.settings import TokenPrice

MICROS = 1_000_000
"""Micro-dollars in a dollar, and tokens in the unit of a price."""
_PROVIDERS = {"bedrock": "aws"}
"""Vendors that genai-prices names otherwise."""


class Prices:
    """Prices by model id. A configured one wins."""

    def __init__(self, configured: Mapping[str, TokenPrice]) -> None:
        self._configured = configured

    def micros(self, vendor: str, model_id: str, input_tokens: int, output_tokens: int) -> int | None:
        """The price of some tokens, rounded up; None for a model without a known price."""
        price = self._configured.get(model_id)
        if price is not None:
            dollars = (Decimal(str(price.input)) * input_tokens + Decimal(str(price.output)) * output_tokens) / MICROS
        else:
            listed = _list_price(vendor, model_id, input_tokens, output_tokens)
            if listed is None:
                return None
            dollars = listed
        return math.ceil(dollars * MICROS)

    def attempts_micros(self, attempts: Iterable[ModelAttempt]) -> int | None:
        """What a call has cost over all its attempts; None if one that used tokens has no price."""
        costs = [
            self.micros(each.vendor, each.model_id, each.input_tokens, each.output_tokens)
            for each in attempts
            if each.input_tokens or each.output_tokens
        ]
        return None if None in costs else sum(cost or 0 for cost in costs)


def _list_price(vendor: str, model_id: str, input_tokens: int, output_tokens: int) -> Decimal | None:
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return calc_price(usage, model_ref=model_id, provider_id=_PROVIDERS.get(vendor, vendor)).total_price
    except LookupError:
        return None
