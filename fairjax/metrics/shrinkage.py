"""Rates of many small groups, each drawn towards what all of them have in common.

The worst of many observed rates is mostly one that was unlucky. With k errors (perhaps not whole)
in n effective trials of each group, true rates are taken to come from one beta distribution of mean
m and strength s. The posterior of a group is, given s,

    Beta(k + m s, n - k + (1 - m) s),    mean (k + m s) / (n + s)

m and s are not known: both are averaged over, weighed by the beta-binomial likelihood, ln m from an
eighth to eight times the rate of all groups together, ln s from 1 trial to as many as all groups
have. Where groups hardly differ by more than chance s is large and small groups are drawn far.

Source: Efron and Morris, JASA 1975 for the idea; the beta-binomial form is standard.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

_GRID = 48  # values of m, and of s


@dataclass(frozen=True)
class Shrunk:
    """What the posterior says of several groups' rates.

    Attributes:
      rates: Posterior means.
      low: Lower ends of equal-tailed credible intervals.
      high: Upper ends.
      worst: Chance of each group to have the highest true rate of all.
      strength: Posterior mean of ln s, as s: how many trials the common rate is worth.
    """

    rates: Float[np.ndarray, " groups"]
    low: Float[np.ndarray, " groups"]
    high: Float[np.ndarray, " groups"]
    worst: Float[np.ndarray, " groups"]
    strength: float


def shrink(
    rates: Float[np.ndarray, " groups"],
    trials: Float[np.ndarray, " groups"],
    *,
    draws: int,
    level: float,
    seed: int,
) -> Shrunk:
    """Draws rates towards their common one.

    Args:
      rates: Observed rate of each group, a fraction.
      trials: Effective trials of each group, above 0.
      draws: How many times rates are drawn from the posterior.
      level: Probability inside the intervals, a fraction in (0, 1).
      seed: Non-negative.

    Raises:
      ValueError: If there is no group.
    """
    if not len(rates):
        raise ValueError("nothing to shrink: no group has a rate.")
    k, total = rates * trials, float(trials.sum())
    # never exactly 0 or 1, where no error, or nothing else, was seen
    pooled = float((k.sum() + 0.5) / (total + 1))
    odds = pooled / (1 - pooled) * np.geomspace(1 / 8, 8, _GRID)
    mean, strength = (
        grid.ravel()
        for grid in np.meshgrid(odds / (1 + odds), np.geomspace(1.0, max(total, 2.0), _GRID))
    )
    a, b = mean * strength, (1 - mean) * strength
    likelihood = np.zeros(len(a))
    for errors, trial in zip(k, trials, strict=True):  # one group at a time bounds the memory
        likelihood += special.betaln(errors + a, trial - errors + b) - special.betaln(a, b)
    weight = np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    rng = np.random.default_rng([seed, 9])
    chosen = rng.choice(len(a), draws, p=weight)
    drawn = rng.beta(k + a[chosen, None], trials - k + b[chosen, None])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    likely = weight > 1e-9
    means = weight[likely] @ ((k + a[likely, None]) / (trials + strength[likely, None]))
    worst = np.bincount(drawn.argmax(axis=1), minlength=len(rates)) / draws
    return Shrunk(means, low, high, worst, float(np.exp(weight @ np.log(strength))))
