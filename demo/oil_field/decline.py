"""Arps' decline (J. J. Arps, Analysis of Decline Curves, Trans. AIME 160, 1945)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decline:
    """Hyperbolic decline: `rate(t) = initial_rate / (1 + exponent * initial_decline * t) ** (1 / exponent)`."""

    initial_rate: float
    """bbl/d at first production."""
    initial_decline: float
    """Nominal, a month, at first production."""
    exponent: float
    """b, above 0 and at most 2."""

    def rate(self, months_on: float) -> float:
        """Oil rate, bbl/d, so many months after first production."""
        return float(self.initial_rate / (1 + self.exponent * self.initial_decline * months_on) ** (1 / self.exponent))
