"""Arps and modified hyperbolic declines: least squares on the logarithm of the rate, and an interval by bootstrap.

The rates and volumes are petbox-dca's. Only the computation of a fit imports this: numpy, SciPy and petbox-dca take
0.45 s of CPU. Nominal declines are per year, rates per day, times in days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from petbox.dca import MH
from scipy.optimize import least_squares

from services.specialists.well_data.decline_data import (
    DAYS_PER_YEAR,
    RESAMPLES,
    TERMINAL_DECLINE,
    DeclineData,
    DeclineModel,
)
from services.specialists.well_data.results import NotComputable

MAX_B = 2.0
MIN_HYPERBOLIC_B = 1e-4
MAX_NOMINAL = 40.0
SEED = 20_260_630
LOW, HIGH = 10.0, 90.0
MIN_T_STATISTIC = 2.0
REFIT_ACCURACY = 1e-5
"""Of the parameters, relative: far below the spread between refits."""
MAX_SCATTER = 0.5
"""Root mean square of the residuals of ln q: above, one curve does not describe the months."""
_FIXED_B: dict[str, float] = {"exponential": 0.0, "harmonic": 1.0}


@dataclass(frozen=True, slots=True)
class Decline:
    """A fitted decline: initial rate per day, nominal decline per year, b exponent."""

    qi: float
    nominal: float
    b: float
    terminal: float
    """Effective terminal decline per year; 0 without one."""

    @property
    def effective(self) -> float:
        """The secant effective decline of the first year."""
        return float(MH.secant_from_nominal(self.nominal, self.b))

    def rates(self, days: Any) -> Any:
        """Rates at times."""
        return self._curve().rate(np.asarray(days, dtype=float))

    def volume(self, first_day: float, last_day: float) -> float:
        """The volume between two times."""
        return self.volumes([first_day, last_day])[0]

    def volumes(self, days: Sequence[float]) -> list[float]:
        """The volume between each time and the next one."""
        cumulative = self._curve().cum(np.array([max(day, 1e-9) for day in days]))
        return [float(volume) for volume in np.diff(cumulative)]

    def days_at(self, rate: float) -> float:
        """When the rate has fallen to this one; infinity if it never does."""
        found = float(self._curve().time_at_rate([rate])[0])
        return math.inf if math.isnan(found) else max(found, 0.0)

    def _curve(self) -> MH:
        # petbox-dca warns of a terminal decline that an exponential one never reaches.
        terminal = self.terminal if self.b > MIN_HYPERBOLIC_B else 0.0
        return MH(self.qi, self.effective, self.b, terminal, validate_params=(False,) * 4)


@dataclass(frozen=True, slots=True)
class DeclineFit:
    """A decline with its diagnostics; `samples` are the refits of the bootstrap."""

    decline: Decline
    scatter: float
    """Root mean square of the residuals of ln q."""
    r_squared: float
    samples: tuple[Decline, ...]

    def interval(self, of: Any) -> tuple[float, float]:
        """The 10th and the 90th percentile of a function of the decline."""
        low, high = np.percentile([of(sample) for sample in self.samples], [LOW, HIGH])
        return float(low), float(high)

    def rate_band(self, days: Any) -> list[tuple[float, float]]:
        """The interval of the rate at each time."""
        low, high = np.percentile([sample.rates(days) for sample in self.samples], [LOW, HIGH], axis=0)
        return [(float(least), float(most)) for least, most in zip(low, high, strict=True)]


def fit_decline(data: DeclineData, model: DeclineModel = "modified_hyperbolic") -> DeclineFit:
    """Fit and resample. The same months give the same fit. Raises `NotComputable` if they do not decline."""
    days = np.array([point.days for point in data.points])
    logs = np.log([point.rate for point in data.points])
    _check_decline(data, days, logs)
    best = _best_fit(days, logs, model)
    fitted = np.log(best.rates(days))
    residuals = logs - fitted
    scatter = float(np.sqrt(np.mean(residuals**2)))
    if scatter > MAX_SCATTER:
        message = f"{data.well.label}: the months scatter too much about one decline ({scatter:.2f} in ln q)"
        raise NotComputable("no_single_decline", f"{message}: name a first month after the last change")
    total = float(np.sum((logs - logs.mean()) ** 2))
    random = np.random.default_rng(SEED)
    inflated = residuals * math.sqrt(len(days) / max(1, len(days) - 3))
    samples = tuple(
        _fit(days, fitted + random.choice(inflated, len(days)), model, best, accuracy=REFIT_ACCURACY)
        for _ in range(RESAMPLES)
    )
    return DeclineFit(best, scatter, 1.0 - float(np.sum(residuals**2)) / total, samples)


def _check_decline(data: DeclineData, days: Any, logs: Any) -> None:
    centred = days - days.mean()
    slope = float(np.sum(centred * (logs - logs.mean())) / np.sum(centred**2))
    rest = logs - logs.mean() - slope * centred
    error = math.sqrt(float(np.sum(rest**2)) / max(1, len(days) - 2) / float(np.sum(centred**2)))
    if slope >= 0 or abs(slope) < MIN_T_STATISTIC * error:
        change = math.expm1(slope * DAYS_PER_YEAR)
        message = f"{data.well.label} does not decline: the trend of its {data.stream} rate is {change:+.0%} a year"
        raise NotComputable("no_decline", message)


def _best_fit(days: Any, logs: Any, model: DeclineModel) -> Decline:
    fits = [
        _fit(days, logs, model, Decline(math.exp(logs[0]), nominal, b, 0.0))
        for nominal in (0.3, 1.5)
        for b in (0.4, 1.2)
    ]
    return min(fits, key=lambda fit: float(np.sum((logs - np.log(fit.rates(days))) ** 2)))


def _fit(days: Any, logs: Any, model: DeclineModel, start: Decline, *, accuracy: float = 1e-8) -> Decline:
    terminal = TERMINAL_DECLINE if model == "modified_hyperbolic" else 0.0
    # Below the terminal decline the curve has no hyperbolic part.
    least = -math.log1p(-terminal) * 1.0001 if terminal else 1e-3
    fixed = _FIXED_B.get(model)

    def made(parameters: Any) -> Decline:
        b = fixed if fixed is not None else float(parameters[2])
        return Decline(math.exp(parameters[0]), math.exp(parameters[1]), b, terminal)

    def residuals(parameters: Any) -> Any:
        return np.log(made(parameters).rates(days)) - logs

    bounds = [(-20.0, 30.0), (math.log(least), math.log(MAX_NOMINAL)), (0.0, MAX_B)]
    guess = [
        math.log(start.qi),
        math.log(min(max(start.nominal, least * 1.01), MAX_NOMINAL * 0.99)),
        min(max(start.b, 0.01), MAX_B - 0.01),
    ]
    used = 3 if fixed is None else 2
    found = least_squares(
        residuals,
        guess[:used],
        bounds=tuple(zip(*bounds[:used], strict=True)),
        method="trf",
        xtol=accuracy,
        ftol=accuracy,
    )
    return made(found.x)
