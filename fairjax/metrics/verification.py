"""Error rates of a verification system, and the thresholds they are read at.

Scores grow with likeness and a pair is accepted iff its score is at least the threshold:

    FMR(t)  = #{non-mated scores >= t} / #{non-mated}        (false match rate)
    FNMR(t) = #{mated scores < t} / #{mated}                 (false non-match rate)

Nothing here has ever heard of a group: pass one group's scores. Scores and thresholds are compared
in float64, whatever the scores' own precision; a threshold found here is exact in either. Scores
that are NaN are refused. A rate without pairs is NaN.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from fairjax.core.names import counted
from fairjax.metrics.classification import divide

ThresholdRule = Literal["at_most", "ceil_ge", "cifp_strict"]
Thresholds = Float[np.ndarray, "*thresholds"] | float
_ROUNDING = 1e-12  # 0.29 * 100 pairs are 29, not 28.999999999999996


class InsufficientDataError(ValueError):
    """The pairs at hand are too few for the rate asked for."""


@dataclass(frozen=True)
class Curve:
    """Both error rates over ascending thresholds: what DET and ROC curves draw.

    Attributes:
      threshold: Ascending; the last one is above every score, so that nothing is accepted.
      fmr: False match rate there, falling from 1 to 0.
      fnmr: False non-match rate there, rising from 0 to 1.
    """

    threshold: Float[np.ndarray, " points"]
    fmr: Float[np.ndarray, " points"]
    fnmr: Float[np.ndarray, " points"]


def fmr(nonmated: Float[np.ndarray, " nonmated_pairs"], threshold: Thresholds) -> np.ndarray:
    """False match rate: the fraction of non-mated pairs with a score of at least the threshold.

    Args:
      nonmated: Scores of different-identity pairs.
      threshold: One or many, in the scores' unit.

    Returns:
      Fractions in [0, 1] in the thresholds' shape; NaN without pairs.
    """
    return divide(len(nonmated) - _below(nonmated, threshold), np.float64(len(nonmated)))


def fnmr(mated: Float[np.ndarray, " mated_pairs"], threshold: Thresholds) -> np.ndarray:
    """False non-match rate: the fraction of mated pairs with a score below the threshold.

    Args:
      mated: Scores of same-identity pairs.
      threshold: One or many, in the scores' unit.

    Returns:
      Fractions in [0, 1] in the thresholds' shape; NaN without pairs.
    """
    return divide(_below(mated, threshold), np.float64(len(mated)))


def allowed(fmr: float, pairs: int | float, *, rule: ThresholdRule = "at_most") -> int:
    """How many of `pairs` non-mated pairs a target rate counts off, k = floor or ceil(fmr pairs).

    A product within 1e-12 (relative) of an integer is that integer.

    Args:
      fmr: Target false match rate, a fraction in (0, 1).
      pairs: How many non-mated pairs there are, or their total weight in a resample.
      rule: "at_most" rounds down, the others up.

    Raises:
      ValueError: If `fmr` is no fraction in (0, 1).
      InsufficientDataError: If the target is less than one pair.
    """
    if not 0 < fmr < 1:
        raise ValueError(f"a target FMR is a fraction in (0, 1); got {fmr:g}.")
    exact = fmr * pairs
    if exact * (1 + _ROUNDING) < 1:
        raise InsufficientDataError(
            f"insufficient data: FMR {fmr:g} of {pairs:.0f} non-mated pairs is less than one "
            f"pair; {math.ceil(1 / fmr * (1 - _ROUNDING))} are needed to resolve it."
        )
    if rule == "at_most":
        return math.floor(exact * (1 + _ROUNDING))
    return math.ceil(exact * (1 - _ROUNDING))


def threshold_at_fmr(
    nonmated: Float[np.ndarray, " nonmated_pairs"],
    *,
    fmr: float,
    rule: ThresholdRule = "at_most",
) -> float:
    """The threshold at which a target fraction of the non-mated pairs is accepted.

    Never interpolated: it is a non-mated score, or the next number after one. With the N scores
    in descending order:

    * "at_most": the smallest score whose FMR doesn't exceed the target; ties are accepted or
      rejected together. Where more than the target tie at the top, the next number above them.
    * "ceil_ge": the k-th largest score, k = ceil(fmr N); ties can exceed the target.
    * "cifp_strict": pairs strictly above that k-th score are accepted, so the threshold is the
      next number after it (in the scores' precision): k - 1 pairs are accepted, or fewer.

    Args:
      nonmated: Scores of different-identity pairs.
      fmr: Target false match rate, a fraction in (0, 1), not a percentage.
      rule: One of the above.

    Returns:
      The threshold, in the scores' unit, exact in their precision: accept iff score >= threshold.

    Raises:
      InsufficientDataError: If `fmr` asks for less than one pair, whatever the rule.
      ValueError: If `fmr` is no fraction, or a score is NaN.

    Source: "at_most" is Idiap's rule; "cifp_strict" Xu et al., CVPR 2021 (arXiv 2106.05519),
      section 3; "ceil_ge" the evaluation code of its successor.
    """
    count = min(allowed(fmr, len(nonmated)) + 1, len(nonmated))
    tail = np.partition(nonmated, len(nonmated) - count)[-count:]
    return threshold_in_tail(np.sort(tail)[::-1], pairs=len(nonmated), fmr=fmr, rule=rule)


def threshold_in_tail(
    largest: Float[np.ndarray, " tail"],
    *,
    pairs: int,
    fmr: float,
    rule: ThresholdRule = "at_most",
    skipped: int = 0,
) -> float:
    """`threshold_at_fmr` from some of the largest scores.

    Args:
      largest: Scores in descending order, without a gap, that reach down to the
        (floor(fmr pairs) + 1)-th largest one (or to the last) and up to one larger than it.
      pairs: How many non-mated pairs there are in all.
      fmr: Target false match rate, a fraction in (0, 1).
      rule: Rule of `threshold_at_fmr`.
      skipped: How many scores are larger than all of these.

    Raises:
      InsufficientDataError: If `fmr` asks for less than one pair.
      ValueError: If `fmr` is no fraction, or a score is NaN.
    """
    check_scores(largest)
    k = min(allowed(fmr, pairs, rule=rule), pairs) - skipped
    if rule == "ceil_ge":
        return float(largest[k - 1])
    if rule == "cifp_strict":
        return next_above(largest[k - 1])
    if k == len(largest):  # every pair may be accepted
        return float(largest[-1])
    above = largest[:k][largest[:k] > largest[k]]
    return float(above[-1]) if len(above) else next_above(largest[k])


def next_above(score: np.floating) -> float:
    """The next number of the score's own precision: `>=` it is `>` the score."""
    return float(np.nextafter(score, score.dtype.type(np.inf)))


def check_scores(scores: Float[np.ndarray, " pairs"]) -> None:
    """Raises ValueError where a score is NaN, which is neither below nor above a threshold."""
    if (bad := np.isnan(scores)).any():
        raise ValueError(
            f"score {np.argmax(bad)} is NaN ({counted(int(bad.sum()), 'such score')})."
        )


def true_match_rate(
    mated: Float[np.ndarray, " mated_pairs"],
    nonmated: Float[np.ndarray, " nonmated_pairs"],
    *,
    fmr: float,
) -> tuple[float, float]:
    """Fraction of mated pairs accepted when at most a fraction `fmr` of non-mated pairs is.

    A pair is accepted when its score is at least the threshold. The threshold is the smallest
    non-mated score at which the rate reached does not exceed the rate asked for ("at_most").

    Args:
      mated: Scores of same-identity pairs, such as cosines in [-1, 1].
      nonmated: Scores of different-identity pairs.
      fmr: Target false match rate, a fraction in (0, 1), not a percentage.

    Returns:
      The true match rate, a fraction in [0, 1] (NaN without mated pairs), and the threshold.

    Raises:
      InsufficientDataError: If `fmr` asks for less than one non-mated pair.
      ValueError: If `fmr` is no fraction, or a score is NaN.
    """
    threshold = threshold_at_fmr(nonmated, fmr=fmr)
    return float(1 - fnmr(mated, threshold)), threshold


def error_curve(
    mated: Float[np.ndarray, " mated_pairs"], nonmated: Float[np.ndarray, " nonmated_pairs"]
) -> Curve:
    """Both error rates at every distinct score, and above the largest one.

    Args:
      mated: Scores of same-identity pairs, at least one.
      nonmated: Scores of different-identity pairs, at least one.

    Raises:
      InsufficientDataError: If there is no mated or no non-mated pair.
    """
    return curve_at(mated, nonmated, np.concatenate([mated, nonmated]))


def curve_at(
    mated: Float[np.ndarray, " mated_pairs"],
    nonmated: Float[np.ndarray, " nonmated_pairs"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> Curve:
    """Both error rates at the distinct ones of some thresholds, and above the largest score.

    Args:
      mated: Scores of same-identity pairs, at least one.
      nonmated: Scores of different-identity pairs, at least one.
      thresholds: Thresholds in any order, at least one.

    Raises:
      InsufficientDataError: If there is no mated or no non-mated pair.
    """
    _check_both(mated, nonmated)
    largest = max(mated.max(), nonmated.max(), key=float)
    threshold = np.unique(np.append(thresholds.astype(np.float64), next_above(largest)))
    return Curve(threshold, fmr(nonmated, threshold), fnmr(mated, threshold))


def thin(curve: Curve, *, points: int, keep: Float[np.ndarray, " kept"] | None = None) -> Curve:
    """The ends of a curve and points between them, evenly spread as a DET plot shows them.

    Points are chosen, never made: evenly along the curve's length in (logit FMR, logit FNMR),
    where rates of 0 and 1 stand half of the curve's smallest step away from them.

    Args:
      curve: From `error_curve` or `curve_at`.
      points: The most to keep, at least 2 more than `keep`.
      keep: Thresholds of the curve to keep in any case.
    """
    if len(curve.threshold) <= points:
        return curve
    always = np.searchsorted(curve.threshold, np.zeros(0) if keep is None else keep)
    length = np.concatenate(
        [[0.0], np.cumsum(np.hypot(*map(_logit_steps, (curve.fmr, curve.fnmr))))]
    )
    wanted = np.linspace(0, length[-1], points - len(always))
    evenly = np.minimum(np.searchsorted(length, wanted), len(length) - 1)
    chosen = np.union1d(evenly, always)
    return Curve(curve.threshold[chosen], curve.fmr[chosen], curve.fnmr[chosen])


def equal_error_rate(
    mated: Float[np.ndarray, " mated_pairs"], nonmated: Float[np.ndarray, " nonmated_pairs"]
) -> tuple[float, float]:
    """The rate where FMR and FNMR meet.

    Over the distinct scores the one with the smallest |FMR - FNMR| is taken (the lowest of equals),
    and the mean of its two rates. The EER of the ROC's convex hull is another number.

    Args:
      mated: Scores of same-identity pairs, at least one.
      nonmated: Scores of different-identity pairs, at least one.

    Returns:
      The rate, a fraction in [0, 1], and the threshold.

    Raises:
      InsufficientDataError: If there is no mated or no non-mated pair.
    """
    curve = error_curve(mated, nonmated)
    # in whole pairs, so that rounding doesn't choose among equals
    accepted, rejected = np.rint(curve.fmr * len(nonmated)), np.rint(curve.fnmr * len(mated))
    best = int(np.argmin(np.abs(accepted * len(mated) - rejected * len(nonmated))))
    return float(curve.fmr[best] + curve.fnmr[best]) / 2, float(curve.threshold[best])


def auc(
    mated: Float[np.ndarray, " mated_pairs"], nonmated: Float[np.ndarray, " nonmated_pairs"]
) -> float:
    """P(mated score > non-mated score) + P(equal) / 2: the area under the ROC, in [0, 1].

    A sanity check rather than a headline: it averages over operating points that nobody uses.

    Raises:
      InsufficientDataError: If there is no mated or no non-mated pair.
    """
    _check_both(mated, nonmated)
    ordered = np.sort(nonmated)
    beaten = np.searchsorted(ordered, mated, side="left")
    reached = np.searchsorted(ordered, mated, side="right")
    return float(np.sum(beaten + reached, dtype=np.float64) / 2 / len(mated) / len(nonmated))


def d_prime(
    mated: Float[np.ndarray, " mated_pairs"], nonmated: Float[np.ndarray, " nonmated_pairs"]
) -> float:
    """Distance of the two mean scores in standard deviations: how well the two kinds separate.

        d' = (mean_m - mean_n) / sqrt((var_m + var_n) / 2),  variances with ddof 0

    Returns:
      The distance; NaN where both variances are 0.

    Raises:
      InsufficientDataError: If there is no mated or no non-mated pair.
    """
    _check_both(mated, nonmated)
    ours, others = mated.astype(np.float64), nonmated.astype(np.float64)
    return float(divide(ours.mean() - others.mean(), np.sqrt((ours.var() + others.var()) / 2)))


def _below(scores: np.ndarray, threshold: Thresholds) -> np.ndarray:
    """How many scores are smaller than each threshold."""
    check_scores(scores)
    ordered = np.sort(scores)
    return np.asarray(np.searchsorted(ordered, np.asarray(threshold, np.float64), side="left"))


def _check_both(mated: np.ndarray, nonmated: np.ndarray) -> None:
    if not len(mated) or not len(nonmated):
        raise InsufficientDataError(
            f"insufficient data: {len(mated)} mated and {len(nonmated)} non-mated pairs; "
            "at least one of each is needed."
        )


def _logit_steps(rate: np.ndarray) -> np.ndarray:
    """Differences of neighbours' logits."""
    inside = (rate > 0) & (rate < 1)
    reach = np.min(np.minimum(rate, 1 - rate), initial=0.5, where=inside) / 2
    clipped = np.clip(rate, reach, 1 - reach)
    return np.diff(np.log(clipped / (1 - clipped)))
