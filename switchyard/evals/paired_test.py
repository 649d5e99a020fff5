"""Statistics of two runs over the same cases: is the second worse, and what could the comparison have seen?

The unit is the cluster: paraphrases of one case rise and fall together. If nothing changed, either run could have
been the first, so each cluster's difference is as likely with the other sign. The share of all sign patterns whose sum
is at most the observed one is the p-value: exact for any number of cases, where a bootstrap rejects too often at few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, comb, lcm, log2, sqrt
from random import Random
from statistics import NormalDist

ALPHA = 0.05
POWER = 0.8
RESAMPLES = 10_000
BOOTSTRAP_SEED = 7


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much a second run differs from a first, over cases in clusters."""

    mean: float
    low: float
    high: float
    """The 95 % interval of the mean, from a bootstrap over the clusters."""
    p_worse: float
    """The chance of a difference this low or lower if nothing has changed."""


def compare_pairs(before: Sequence[Fraction], after: Sequence[Fraction], clusters: Sequence[str]) -> PairedDifference:
    """Compare the values of the same cases in two runs; `clusters` names the cluster of each."""
    if not before:
        return PairedDifference(0.0, 0.0, 0.0, 1.0)
    sums: dict[str, Fraction] = defaultdict(Fraction)
    sizes: dict[str, int] = defaultdict(int)
    for first, second, cluster in zip(before, after, clusters, strict=True):
        sums[cluster] += second - first
        sizes[cluster] += 1
    differences = list(sums.values())
    low, high = _interval([float(each) for each in differences], list(sizes.values()))
    return PairedDifference(float(sum(differences) / len(before)), low, high, _sign_flip_p(differences))


def _sign_flip_p(differences: Sequence[Fraction]) -> float:
    scale = lcm(*(each.denominator for each in differences))
    units = [abs(int(each * scale)) for each in differences if each]
    chances = {0: 1.0}
    for unit in units:
        spread: dict[int, float] = defaultdict(float)
        for total, chance in chances.items():
            spread[total - unit] += chance / 2
            spread[total + unit] += chance / 2
        chances = spread
    observed = int(sum(differences) * scale)
    return min(1.0, sum(chance for total, chance in chances.items() if total <= observed))


def _interval(sums: list[float], sizes: list[int]) -> tuple[float, float]:
    if not any(sums):
        return 0.0, 0.0
    rng, numbers = Random(BOOTSTRAP_SEED), range(len(sums))
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(numbers, k=len(sums))
        means.append(sum(sums[each] for each in drawn) / sum(sizes[each] for each in drawn))
    means.sort()
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def smallest_visible_fall(
    scores: Sequence[tuple[float, int]], clusters: Sequence[str], runs: int, hypotheses: int = 1
) -> float | None:
    """The fall of the mean score that is found with 80 % power, or None if not even a fall to zero is.

    `scores` are the first run's passes and runs of each case; `runs` is what the second run has of each. The fall is
    taken in its widest form, in which whole clusters go from right to wrong, on top of both runs' own noise.
    """
    sizes: dict[str, int] = defaultdict(int)
    for cluster in clusters:
        sizes[cluster] += 1
    cases = len(scores)
    if not cases:
        return None
    units = cases**2 / sum(size**2 for size in sizes.values())
    noise = 0.0
    for passes, before in scores:
        likely = (passes + 0.5) / (before + 1)
        noise += likely * (1 - likely) * (1 / before + 1 / runs) / cases
    alpha = ALPHA / hypotheses
    needed = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(POWER)
    fall = _flips_needed(int(units), ceil(log2(1 / alpha)))
    while fall < 1 and fall < needed * sqrt((fall * (1 - fall) + noise) / units):
        fall += 0.001
    return fall if fall < 1 else None


def _flips_needed(units: int, flips: int) -> float:
    """The share of units that must fall so that at least so many do with 80 % chance: fewer prove nothing."""
    share = 0.0
    while share < 1:
        fewer = sum(comb(units, count) * share**count * (1 - share) ** (units - count) for count in range(flips))
        if 1 - fewer >= POWER:
            break
        share += 0.001
    return share


def reject_by_holm(p_values: Sequence[float]) -> list[bool]:
    """Which hypotheses fall if the chance of any false alarm among all of them is to stay at 5 % (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > ALPHA / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected
