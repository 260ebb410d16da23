"""Whether a gap between groups is more than chance, and how large it may be.

A gap is never negative, so a system that treats groups alike scores above zero. Three answers:

* the noise floor, what a gap exceeds one time in twenty when groups are alike, with the same counts
  and the same people behind them;
* a p-value against the same null;
* an interval of the gap, and a verdict against a tolerance.

There are two nulls. For rates over mated pairs (FNMR, accuracy of one's own pairs) people exchange
their groups: `bootstrap.permuted_means(error, group, subject, ...)`. For FMR that is not valid:
dealing people out to other groups turns non-mated pairs across groups, which score lower than those
within a group whatever the system's fairness, into pairs within one, and tests "within equals
across" as well, which is false by nature. There rates are drawn at the pooled rate, on as many
independent trials as each group's pairs amount to: `equality.Known.null`.

An undefined ratio (a group without errors) counts as infinite in a null: it is one more way for
groups that are alike to look far apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

from fairjax.core.verdict import holm as holm
from fairjax.metrics import bootstrap, by_group
from fairjax.metrics.classification import divide

Verdict = Literal["within", "exceeds", "inconclusive"]
_TINY, _UNBOUNDED = 1e-300, 200.0  # a rate that stands for 0, and what a log ratio with it exceeds


def _same(x: np.ndarray) -> np.ndarray:
    return x


def log(rates: np.ndarray) -> np.ndarray:
    """Natural logarithm of rates; a rate of 0 is as far off as can be, and stays finite."""
    return np.log(np.maximum(rates, _TINY))


def _relative(rates: np.ndarray) -> np.ndarray:
    return divide(rates, by_group.group_mean(rates)[..., None])


def std(x: np.ndarray) -> np.ndarray:
    """Standard deviation across groups, ddof 1."""
    return by_group.std(x, ddof=1)


def _above_mean(x: np.ndarray) -> np.ndarray:
    return np.asarray(x.max(axis=-1) - x.mean(axis=-1))


def _off_mean(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(x - x.mean(axis=-1, keepdims=True)).sum(axis=-1) / np.log(10))


def _apart(x: np.ndarray) -> np.ndarray:
    n = x.shape[-1]
    total = np.abs(x[..., :, None] - x[..., None, :]).sum(axis=(-2, -1))
    return np.asarray(total / (2 * n * (n - 1)))


def _halves(size: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda fmrs, fnmrs: np.asarray((size(fmrs) + size(fnmrs)) / 2)


@dataclass(frozen=True)
class Gap:
    """A gap between groups of the form finish(S(transform(rates))), 0 at equality under S.

    S is sublinear: S(x + y) <= S(x) + S(y). That is what its interval stands on,

        |S(observed) - S(true)| <= max(S(observed - true), S(true - observed)),

    whose distribution the resamples give, as in `bootstrap.gap_interval`: it holds where groups are
    equal, too, where a percentile interval always lies above the truth.

    Attributes:
      size: S, of one array [..., groups] for each of the rates that it takes.
      transform: What S sees of the rates of all groups.
      finish: Monotone, from S to the number reported.
      high: The largest S possible.
      of_logs: Whether `transform` takes logarithms, which rates of 0 have not.
    """

    size: Callable[..., np.ndarray]
    transform: Callable[[np.ndarray], np.ndarray] = _same
    finish: Callable[[np.ndarray], np.ndarray] = _same
    high: float = np.inf
    of_logs: bool = False

    def interval(
        self,
        rates: Sequence[Float[np.ndarray, " groups"]],
        resampled: Sequence[Float[np.ndarray, "resamples groups"]],
        *,
        level: float,
    ) -> tuple[float, float] | None:
        """Conservative interval of the gap: its coverage is at least `level`, but for sampling.

        Groups without a rate (NaN) are left out, and resamples in which another group lacks one.

        Args:
          rates: The observed rates by group: one array, or FMR and FNMR for a joint gap.
          resampled: Rates by group in each resample.
          level: Nominal coverage, a fraction in (0, 1).

        Returns:
          Ends of the interval in ascending order. None where the gap is undefined or unbounded: a
          ratio where a group has no error, or none in too many of the resamples.
        """
        known = np.all([~np.isnan(rate) for rate in rates], axis=0)
        whole = np.all([~np.isnan(drawn[:, known]).any(axis=1) for drawn in resampled], axis=0)
        seen = [self.transform(rate[known]) for rate in rates]
        if known.sum() < 2 or not whole.any() or np.isnan(seen).any():
            return None
        if self.of_logs and any((rate[known] == 0).any() for rate in rates):
            return None
        off = [
            self.transform(drawn[whole][:, known]) - x
            for drawn, x in zip(resampled, seen, strict=True)
        ]
        reach = np.maximum(self.size(*off), self.size(*(-x for x in off)))
        # Not between a resample with an error in each group and one without: that is no number
        if np.quantile(reach, level, method="higher") > _UNBOUNDED:
            return None
        ends = bootstrap.gap_interval(float(self.size(*seen)), reach, level=level)
        if ends is None or ends[1] > _UNBOUNDED:
            return None
        low, high = sorted(float(end) for end in self.finish(np.clip(ends, 0, self.high)))
        return low, high


GAPS: Mapping[str, Gap] = MappingProxyType(
    {
        "difference": Gap(by_group.difference, high=1.0),
        "std": Gap(std, high=1.0),
        "max_over_min": Gap(by_group.difference, log, np.exp, of_logs=True),
        "max_over_geomean": Gap(_above_mean, log, np.exp, of_logs=True),
        "sum_abs_log10": Gap(_off_mean, log, of_logs=True),
        "gini": Gap(_apart, _relative, high=1.0),
        "fairness_discrepancy_rate": Gap(
            _halves(by_group.difference), finish=lambda x: 1 - x, high=1.0
        ),
        "inequity_rate": Gap(_halves(by_group.difference), log, np.exp, of_logs=True),
        "garbe": Gap(_halves(_apart), _relative, high=1.0),
    }
)
"""The gaps of `by_group` and `differential` that have an interval, joint ones at alpha = 0.5."""


def noise_floor(null: Float[np.ndarray, " draws"], *, level: float = 0.95) -> float:
    """What a gap exceeds with chance 1 - level where groups are alike; inf where undefined.

    Args:
      null: The gap's values under a null, larger meaning farther apart; NaN counts as infinite.
      level: A fraction in (0, 1).
    """
    return float(np.quantile(_infinite(null), level, method="higher"))


def p_value(observed: float, null: Float[np.ndarray, " draws"]) -> float:
    """(1 + #{null >= observed}) / (1 + draws), a NaN of either counting as infinite.

    Args:
      observed: The gap, larger meaning farther apart.
      null: Values of the gap under a null.
    """
    return bootstrap.p_value(float(_infinite(np.asarray(observed))), _infinite(null))


def benjamini_hochberg(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """P-values adjusted so that the expected share of false ones among the claims is held down.

    For screening. NaN stays NaN and is no test.

    Source: Benjamini and Hochberg, JRSS B 1995; SciPy's implementation.
    """
    from scipy import stats  # slow to import

    adjusted = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p_values[known])
    return adjusted


def verdict(
    interval: tuple[float, float] | None, tolerance: float, *, larger_is_fairer: bool = False
) -> Verdict:
    """Whether a gap is within a tolerance, exceeds it, or cannot be told apart from it.

    Args:
      interval: Interval of the gap; None says nothing.
      tolerance: The largest gap that is accepted, in the gap's unit (the smallest value for a
        number that is larger for fairer systems, such as the fairness discrepancy rate).
      larger_is_fairer: Whether it is such a number.

    Returns:
      "within" if the whole interval is at most the tolerance, "exceeds" if it is above, else
      "inconclusive".
    """
    if interval is None:
        return "inconclusive"
    low, high = interval
    if larger_is_fairer:
        low, high, tolerance = -high, -low, -tolerance
    if high <= tolerance:
        return "within"
    return "exceeds" if low > tolerance else "inconclusive"


def _infinite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), np.inf, values)
