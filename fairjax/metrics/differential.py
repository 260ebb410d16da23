"""How far error rates of groups lie apart at one threshold, one number a measure.

Every function takes rates by group on the last axis, [..., groups]: FMR and FNMR as fractions, at
one and the same threshold. Leading axes (resamples, thresholds) go along. The largest difference,
the standard deviation, the skewed error ratio and the worst group are in `by_group`.

Rules for what is undefined. A group without data (NaN) is skipped, as `by_group` does: say so
beside the number. Fewer than two groups give NaN. A ratio with a rate of 0 below the line is NaN,
never infinite or a large number: report it as undefined, with its twin on `smoothed` rates beside.
The Gini coefficient and what is made from it and from differences are defined at 0.

All of these are 0 (or 1) only if the groups' observed rates are equal, and never below: a fair
system scores above it by chance. `gap_tests` says how much.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Num

from fairjax.metrics import by_group
from fairjax.metrics.by_group import Gap, Rates
from fairjax.metrics.classification import divide


def smoothed(errors: Num[np.ndarray, "..."], trials: Num[np.ndarray, "..."]) -> np.ndarray:
    """Rates that are never 0: (errors + 0.5) / (trials + 1), Jeffreys' posterior mean.

    NaN where there are no trials: smoothing makes no data.
    """
    trials = np.asarray(trials, np.float64)
    return divide(errors + 0.5, np.where(trials > 0, trials + 1, 0))


def max_over_min(rates: Rates) -> Gap:
    """Largest over smallest rate, 1 being equal; NaN where the smallest is 0."""
    return _compared(rates, divide(np.fmax.reduce(rates, axis=-1), np.fmin.reduce(rates, axis=-1)))


def geometric_mean(rates: Rates) -> Gap:
    """The n-th root of the product of n rates; 0 where one is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(by_group.group_mean(np.log(rates))))


def max_over_geomean(rates: Rates) -> Gap:
    """Largest rate over the geometric mean, 1 being equal; NaN where a rate is 0.

    Source: NIST, FRVT Part 8 (NISTIR 8429, draft of 2022).
    """
    return _compared(rates, divide(np.fmax.reduce(rates, axis=-1), geometric_mean(rates)))


def sum_abs_log10(rates: Rates) -> Gap:
    """sum_g |log10(rate_g / geometric mean)|, 0 being equal; NaN where a rate is 0.

    Source: NIST, FRVT Part 8 (NISTIR 8429, draft of 2022).
    """
    logs = np.log10(np.where(rates > 0, rates, np.nan))
    off = np.abs(logs - by_group.group_mean(logs)[..., None])
    zero = np.any(rates == 0, axis=-1)
    return _compared(rates, np.where(zero, np.nan, np.nansum(off, axis=-1)))


def gini(rates: Rates) -> Gap:
    """Gini coefficient in its small-sample form, in [0, 1], 0 being equal.

        G = n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean(x)),    0 where all rates are 0

    Source: Howard et al. (arXiv 2203.05051).
    """
    n = np.sum(~np.isnan(rates), axis=-1)
    apart = np.nansum(np.abs(rates[..., :, None] - rates[..., None, :]), axis=(-2, -1))
    # n (n - 1) 2 mean, as in the equation
    below = 2 * n * (n - 1) * by_group.group_mean(rates)
    return _compared(rates, np.where(np.fmax.reduce(rates, axis=-1) == 0, 0, divide(apart, below)))


def fairness_discrepancy_rate(fmrs: Rates, fnmrs: Rates, *, alpha: float = 0.5) -> Gap:
    """1 - (alpha (largest difference of FMR) + (1 - alpha) (the same of FNMR)), 1 being equal.

    At low FMR the first difference is tiny whatever the groups, so the number is near 1 for every
    system: read it beside a ratio.

    Args:
      fmrs: False match rates by group.
      fnmrs: False non-match rates by group.
      alpha: Weight of false matches, in [0, 1].

    Source: de Freitas Pereira and Marcel (arXiv 2011.02395).
    """
    a, b = (_compared(x, by_group.difference(x)) for x in (fmrs, fnmrs))
    return np.asarray(1 - (alpha * a + (1 - alpha) * b))


def fairness_discrepancy_rate_area(
    discrepancy: Float[np.ndarray, "*lead thresholds"], fmr: Float[np.ndarray, " thresholds"]
) -> Gap:
    """Mean of the fairness discrepancy rate over the logarithm of the overall FMR, in [0, 1].

    The area under the curve by the trapezoidal rule over log10 FMR, divided by its width so that 1
    is equal whatever the range.

    Args:
      discrepancy: The rate at each threshold.
      fmr: Overall false match rate of each threshold, ascending or descending, above 0: 1e-6 .. 0.1
        in the source.

    Source: de Freitas Pereira and Marcel (arXiv 2011.02395), who don't say the axis; log10 and
      the division are ours.
    """
    decades = np.log10(fmr)
    return np.asarray(np.trapezoid(discrepancy, decades, axis=-1) / (decades[-1] - decades[0]))


def inequity_rate(fmrs: Rates, fnmrs: Rates, *, alpha: float = 0.5) -> Gap:
    """(max FMR / min FMR)^alpha (max FNMR / min FNMR)^(1 - alpha), 1 being equal, unbounded.

    NaN where a smallest rate is 0.

    Args:
      fmrs: False match rates by group.
      fnmrs: False non-match rates by group.
      alpha: Weight of false matches, in [0, 1].

    Source: Grother (NIST), as quoted by Howard et al. (arXiv 2203.05051).
    """
    return np.asarray(max_over_min(fmrs) ** alpha * max_over_min(fnmrs) ** (1 - alpha))


def garbe(fmrs: Rates, fnmrs: Rates, *, alpha: float = 0.5) -> Gap:
    """Gini aggregation rate for biometric equitability, in [0, 1], 0 being equal.

        alpha G(FMR) + (1 - alpha) G(FNMR),    G the small-sample Gini coefficient

    Args:
      fmrs: False match rates by group.
      fnmrs: False non-match rates by group.
      alpha: Weight of false matches, in [0, 1].

    Source: Howard et al. (arXiv 2203.05051).
    """
    return np.asarray(alpha * gini(fmrs) + (1 - alpha) * gini(fnmrs))


def worst_error_rate_multiplier(
    fmrs: Rates, fnmrs: Rates, *, alpha: float = 0.5, epsilon: float = 1e-5
) -> Gap:
    """WERM: (max FMR / geo FMR)^alpha (max FNMR / geo FNMR)^(1 - alpha), 1 being equal.

    `epsilon` is added to each rate inside the geometric means and not above the line, as the
    authors' code does, so that rates of 0 have a value. The value then hangs on epsilon, and can
    be below 1: print it. At 0 the measure is NaN where a rate is 0.

    Args:
      fmrs: False match rates by group.
      fnmrs: False non-match rates by group.
      alpha: Weight of false matches, in [0, 1].
      epsilon: A rate; 1e-5 in the authors' code.

    Source: Linghu et al., IJCB 2024 (arXiv 2407.14087), and their code for epsilon.
    """
    a, b = (
        _compared(x, divide(np.fmax.reduce(x, axis=-1), geometric_mean(x + epsilon)))
        for x in (fmrs, fnmrs)
    )
    return np.asarray(a**alpha * b ** (1 - alpha))


def bias_degree(
    rates: Rates,
    *,
    denominator: Float[np.ndarray, "*lead"] | float,
    ddof: Literal[0, 1] = 1,
) -> Gap:
    """Standard deviation of the rate across groups over one reference rate, 0 being equal.

    Args:
      rates: FMR by group, or whichever rate.
      denominator: The target FMR gamma_u (as the source's successor does), the FMR reached, or
        `by_group.group_mean(rates)`; 1 for the plain standard deviation. NaN where it is 0.
      ddof: Delta degrees of freedom. Print it: published tables mix the two.

    Returns:
      A ratio, not a percentage.

    Source: the "degree of bias" of Xu et al., CVPR 2021 (arXiv 2106.05519), tables 5 and 6, which
      don't define it; this reading is that of the evaluation code of its successor.
    """
    return _compared(rates, divide(by_group.std(rates, ddof=ddof), np.asarray(denominator)))


def _compared(rates: np.ndarray, gap: np.ndarray) -> Gap:
    """The gap, NaN where fewer than two groups have a rate."""
    return np.where(np.sum(~np.isnan(rates), axis=-1) < 2, np.nan, gap)
