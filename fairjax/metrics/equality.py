"""The test that groups share one rate, and what it would find.

Statistic, for rates x_g known as well as by w_g independent trials each, m their weighted mean:

    X = sum_g w_g (x_g - m)^2 / (m (1 - m))

For means of positive numbers, known with variance v_g, w_g = m^2 / v_g and the square of m stands
below the line. Few errors and unequal groups are no obstacle: nothing is divided by a group's own
rate, and each group counts as much as is known of it.

People cannot exchange their groups where pairs across groups exist (FMR), so there the null is
drawn: binomial counts at the pooled rate on the effective trials, whose own uncertainty is drawn
as the chi-squared variable of Student's t. At a level of 5 % the test rejects 3 to 7 % of
simulated fair audits, down to one error a group (`benchmarks/coverage.py`).
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import special

from fairjax.core.results import FEW
from fairjax.metrics.classification import divide

_NULL, _POWER = 3, 4  # the purposes of draws; `bootstrap` has 0 and 1, `subject_bootstrap` 2
_POWER_DRAWS = 400
POWER = 0.8  # share of audits that show a detectable ratio
RATIOS = np.geomspace(1.05, 20, 72)  # tried for the detectable one
FACTORS = np.geomspace(1e-2, 1e4, 49)  # times as many people, tried for the people needed


@dataclass(frozen=True)
class Known:
    """How much is known of each group's rate.

    Attributes:
      pooled: The rate of all groups taken together.
      trials: Effective independent trials of each group, all above 0.
      freedom: Degrees of freedom behind the effective trials; infinite where they are no estimate.
      is_rate: Whether trials are errors or not; else they are positive numbers, and a group's mean
        is normal with standard deviation mean / sqrt(trials).
    """

    pooled: float
    trials: Float[np.ndarray, " groups"]
    freedom: float = math.inf
    is_rate: bool = True

    def statistic(self, rates: Float[np.ndarray, "*lead groups"]) -> Float[np.ndarray, "*lead"]:
        """X of rates by group; 0 where all are 0, or all 1."""
        return equality(rates, self.trials, is_rate=self.is_rate)

    def draw(
        self, rng: np.random.Generator, rates: Float[np.ndarray, "*lead groups"]
    ) -> Float[np.ndarray, "*lead groups"]:
        """Rates that such data would give, were these the true ones."""
        if self.is_rate:
            whole = np.maximum(np.rint(self.trials), 1).astype(np.int64)
            return rng.binomial(whole, np.minimum(rates, 1.0)) / whole
        return rates * (1 + rng.standard_normal(rates.shape) / np.sqrt(self.trials))

    def null(self, draws: int, *, seed: int) -> Float[np.ndarray, "draws groups"]:
        """Rates by group when all groups have the pooled rate.

        Args:
          draws: How many times to draw.
          seed: Non-negative.
        """
        rng = np.random.default_rng([seed, _NULL])
        return self.draw(rng, np.full((draws, len(self.trials)), self.pooled))

    def p_value(
        self,
        rates: Float[np.ndarray, " groups"],
        null: Float[np.ndarray, "draws groups"],
        *,
        seed: int,
    ) -> float:
        """(1 + #{X of null >= X of rates}) / (1 + draws).

        Args:
          rates: The observed rates.
          null: From `null`.
          seed: Non-negative; of what stands for the estimated effective trials.
        """
        under = self._scaled(self.statistic(null), np.random.default_rng([seed, _NULL, 1]))
        reached = np.sum(under >= float(self.statistic(rates)) - 1e-12)
        return float((1 + reached) / (1 + len(null)))

    def large_sample_p_value(self, rates: Float[np.ndarray, " groups"]) -> float | None:
        """P-value without draws; None where a group has fewer than 30 errors, or others.

        It has no smallest value, which draws have, so that it serves where tests are many.

        Args:
          rates: The observed rates.
        """
        if not self._is_large:
            return None
        x, more = float(self.statistic(rates)), len(self.trials) - 1
        if math.isinf(self.freedom):
            return float(special.chdtrc(more, x))
        return float(special.fdtrc(more, self.freedom, x / more))

    def detectable_ratio(self, *, alpha: float, seed: int) -> float | None:
        """Smallest ratio of one group's rate to the others' that is shown with `POWER`.

        Whichever group it is, on average; the pooled rate stays. Between the `RATIOS` tried it is
        interpolated in log ratio.

        Args:
          alpha: Size of the test, after adjustment for others.
          seed: Non-negative.

        Returns:
          The ratio; None where even the largest one tried is not shown.
        """
        rng = np.random.default_rng([seed, _POWER])
        critical = self._critical(rng, alpha)
        return first_shown(RATIOS, lambda ratio: self._power(rng, ratio, critical))

    def power(self, ratio: float, *, alpha: float, seed: int) -> float:
        """Chance that these data show a ratio, a fraction in [0, 1].

        Args:
          ratio: Rate of one group, whichever it is, over that of the others; above 1.
          alpha: Size of the test, after adjustment for others.
          seed: Non-negative.
        """
        rng = np.random.default_rng([seed, _POWER, 2])
        return self._power(rng, ratio, self._critical(rng, alpha))

    def people_factor(self, ratio: float, *, alpha: float, seed: int) -> float | None:
        """How many times as many people would show a ratio with `POWER`.

        More people are as many times more effective trials: pairs grow with the square of people,
        and so does the number of pairs that each depends on, relative to it.

        Args:
          ratio: Rate of one group, whichever it is, over that of the others; above 1.
          alpha: Size of the test, after adjustment for others.
          seed: Non-negative.

        Returns:
          The factor; None above the largest one tried.
        """
        rng = np.random.default_rng([seed, _POWER, 1])

        def power(factor: float) -> float:
            more = replace(self, trials=self.trials * factor, freedom=self.freedom * factor)
            return more._power(rng, ratio, more._critical(rng, alpha))

        return first_shown(FACTORS, power)

    @property
    def _is_large(self) -> bool:
        """Whether the chi-squared distribution serves: 30 errors, and others, in every group."""
        rarer = min(self.pooled, 1 - self.pooled)
        return not self.is_rate or bool((self.trials * rarer >= FEW).all())

    def _critical(self, rng: np.random.Generator, alpha: float) -> float:
        if self._is_large:
            groups = len(self.trials)
            if math.isinf(self.freedom):
                return float(special.chdtri(groups - 1, alpha))
            return float(special.fdtri(groups - 1, self.freedom, 1 - alpha)) * (groups - 1)
        null = self.draw(rng, np.full((4 * _POWER_DRAWS, len(self.trials)), self.pooled))
        return float(np.quantile(self._scaled(self.statistic(null), rng), 1 - alpha))

    def _power(self, rng: np.random.Generator, ratio: float, critical: float) -> float:
        """Share of audits that exceed the critical value, over whichever group is apart."""
        groups = len(self.trials)
        times = np.where(np.eye(groups, dtype=bool), ratio, 1.0)
        others = self.pooled * self.trials.sum() / (times @ self.trials)
        true = times * others[:, None]
        if self._is_large:
            apart = self.statistic(np.minimum(true, 1.0) if self.is_rate else true)
            apart = np.minimum(apart, 1e4)  # found for certain; SciPy gives NaN far above
            return float(np.mean(1 - special.chndtr(critical, groups - 1, apart)))
        drawn = self.draw(rng, np.repeat(true, -(-_POWER_DRAWS // groups), axis=0))
        return float(np.mean(self.statistic(drawn) > critical))

    def _scaled(self, statistic: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The null's X as estimated effective trials spread it."""
        if math.isinf(self.freedom):
            return statistic
        return statistic * self.freedom / rng.chisquare(self.freedom, statistic.shape)


def equality(
    rates: Float[np.ndarray, "*lead groups"],
    weights: Float[np.ndarray, " groups"],
    *,
    is_rate: bool,
) -> Float[np.ndarray, "*lead"]:
    """The statistic X; 0 where all rates are 0, or all 1, and NaN where a group has none.

    Args:
      rates: By group.
      weights: How much is known of each group.
      is_rate: Whether `mean (1 - mean)` stands below the line, else the mean's square.
    """
    mean = rates @ (weights / weights.sum())
    below = mean * (1 - mean) if is_rate else mean**2
    apart = (rates - mean[..., None]) ** 2 @ weights
    return np.where(np.abs(below) < 1e-15, 0.0, divide(apart, below))


def first_shown(
    values: np.ndarray, power: Callable[[float], float], *, wanted: float = POWER
) -> float | None:
    """The value at which a power that grows with the values reaches the one wanted.

    Between two values the probit of the power is interpolated in the logarithm of the value.

    Args:
      values: Ascending and positive.
      power: Power at a value, a fraction in [0, 1].
      wanted: Power to reach, a fraction in (0, 1).

    Returns:
      The value; None where even the last one has less power.
    """
    powers: dict[int, float] = {}

    def reached(place: int) -> bool:
        powers[place] = power(float(values[place]))
        return powers[place] >= wanted

    last = len(values) - 1
    if not reached(last):
        return None
    first = bisect.bisect_left(range(last), True, key=reached)
    if first - 1 not in powers or first not in powers:
        return float(values[first])
    low, goal, high = special.ndtri(
        np.clip([powers[first - 1], wanted, powers[first]], 1e-3, 1 - 1e-3)
    )
    share = (goal - low) / (high - low)
    return float(values[first - 1] * (values[first] / values[first - 1]) ** share)
