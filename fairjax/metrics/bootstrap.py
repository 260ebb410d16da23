"""Intervals that respect clusters, and the gap that equal groups would show by chance.

Rows that are not independent (copies of one picture, pictures of one person) share a cluster.
A resample draws as many clusters as there are, with replacement, and takes each with all its rows,
across all groups: nothing is stratified. One set of draws serves every number and every system
scored on the same rows, so that an interval of a difference between two systems is the percentile
interval of the difference of their resampled values.

A group may be absent from a resample; its rate there is NaN. Intervals leave such resamples out.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num, UInt8
from scipy import sparse

from fairjax.core.blocks import blocks

_BLOCK = 256  # resamples handled at a time: bounds the memory
_DRAWS, _PERMUTATIONS = 0, 1  # the purposes that a seed is split by


@dataclass(frozen=True)
class Draws:
    """Which clusters each resample holds, and how often.

    Attributes:
      weights: How often the resample (column) holds the cluster (row); columns add up to the
        number of clusters.
      position: The row of each example's cluster.
    """

    weights: UInt8[np.ndarray, "clusters resamples"]
    position: Int[np.ndarray, " examples"]


def draw(cluster: Int[np.ndarray, " examples"], *, resamples: int, seed: int) -> Draws:
    """Draws clusters with replacement.

    Resample b counts the b-th run of `clusters` integers of numpy's `default_rng([seed, 0])`
    (PCG64); clusters are numbered in ascending order, so the order of rows plays no part.

    Args:
      cluster: Cluster of each example; any integers.
      resamples: How many resamples; 2,000 or more for a 95 % interval.
      seed: Non-negative.

    Raises:
      ValueError: If there is no example or no resample.
    """
    if not len(cluster) or resamples < 1:
        raise ValueError(
            f"a bootstrap needs examples and resamples; got {len(cluster)} and {resamples}."
        )
    names, position = np.unique(cluster, return_inverse=True)
    rng = np.random.default_rng([seed, _DRAWS])
    # A cluster drawn more than 255 times out of more than 255 draws won't happen (p < 1e-500).
    weights = np.empty((len(names), resamples), np.uint8)
    for b in range(resamples):
        taken = rng.integers(len(names), size=len(names))
        weights[:, b] = np.bincount(taken, minlength=len(names))
    return Draws(weights, position)


def resampled_sums(
    rows: Num[np.ndarray, " examples *shape"],
    group: Int[np.ndarray, " examples"],
    draws: Draws,
    *,
    groups: int,
) -> Float[np.ndarray, "resamples groups *shape"]:
    """`by_group.group_sums` in every resample: the sums that a metric's value is made from.

    Args:
      rows: What each example adds; finite.
      group: Group of each example, in 0 .. groups - 1.
      draws: From `draw` over the same examples.
      groups: How many groups there are.
    """
    flat = rows.reshape(len(rows), -1)
    width = flat.shape[1]
    example, column = np.nonzero(flat)
    clusters, resamples = draws.weights.shape
    by_cluster = sparse.csr_array(
        (
            flat[example, column].astype(np.float64),
            (group[example].astype(np.int64) * width + column, draws.position[example]),
        ),
        shape=(groups * width, clusters),
    )
    sums = np.empty((groups * width, resamples))
    for block in blocks(resamples, _BLOCK):
        sums[:, block] = by_cluster @ draws.weights[:, block].astype(np.float64)
    return np.ascontiguousarray(sums.T).reshape(resamples, groups, *rows.shape[1:])


def percentile_interval(
    values: Float[np.ndarray, " resamples"], *, level: float
) -> tuple[float, float] | None:
    """The middle `level` of the resampled values, NaN left out; None where all are NaN.

    Ends are interpolated linearly between order statistics. `level` is a fraction in (0, 1).
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def recentred_interval(
    value: float, values: Float[np.ndarray, " resamples"], *, level: float
) -> tuple[float, float] | None:
    """`value` minus the middle `level` of the resampled values about their own mean.

    For statistics whose resampled values lie on one side of the estimate, such as a calibration
    error: the percentile interval would add that bias once more.

    Source: Conti and Clemencon, ICLR 2024 (arXiv 2211.07245).
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values - values.mean(), [(1 - level) / 2, (1 + level) / 2])
    return float(value - high), float(value - low)


def gap_interval(
    value: float, deviations: Float[np.ndarray, " resamples"], *, level: float
) -> tuple[float, float] | None:
    """An interval of a gap S(rates) between groups that holds when groups are equal, too.

    For S a seminorm (largest minus smallest, standard deviation, equalized odds difference) or the
    maximum, which moves no more than the largest rate does:

        |S(observed) - S(true)| <= S(observed - true),

    whose distribution the resamples give as S(resampled - observed). The interval is the value
    plus and minus its `level` quantile: conservative, never below its nominal coverage but for
    sampling. The percentile interval of such a gap lies above the truth, entirely so where groups
    are equal: the tests simulate that, and hold this interval to its level.

    Args:
      value: S(observed).
      deviations: S(resampled - observed); NaN is left out.
      level: A fraction in (0, 1).
    """
    deviations = deviations[~np.isnan(deviations)]
    if not len(deviations):
        return None
    reach = float(np.quantile(deviations, level))
    return value - reach, value + reach


def exact_interval(*, all_counted: bool, trials: int | float, level: float) -> tuple[float, float]:
    """Clopper-Pearson for a rate of 0 or 1, where every resample says the same.

    Args:
      all_counted: Whether the rate is 1 (else 0).
      trials: Independent trials: clusters, not rows; effective ones need not be whole. At least 1.
      level: A fraction in (0, 1).
    """
    reach = ((1 - level) / 2) ** (1 / trials)
    return (reach, 1.0) if all_counted else (0.0, 1 - reach)


def permuted_means(
    values: Num[np.ndarray, " examples"] | Bool[np.ndarray, " examples"],
    group: Int[np.ndarray, " examples"],
    cluster: Int[np.ndarray, " examples"],
    *,
    groups: int,
    permutations: int,
    seed: int,
) -> Float[np.ndarray, "permutations groups"]:
    """Means by group when group labels are dealt out anew to whole clusters.

    This is what equal groups of these sizes and clusters would show: the 95th percentile of a gap
    of these means is its noise floor. For a false positive rate pass the negatives' rows alone,
    so that it is compared among examples of one label.

    A cluster whose rows lie in several groups counts to the commonest (of equals the first).
    Drawn from numpy's `default_rng([seed, 1])`.

    Args:
      values: The values whose means are compared.
      group: Group of each example, in 0 .. groups - 1.
      cluster: Cluster of each example.
      groups: How many groups there are; one without a cluster has NaN.
      permutations: How many times labels are dealt out.
      seed: Non-negative.
    """
    names, position = np.unique(cluster, return_inverse=True)
    votes = np.bincount(position * groups + group, minlength=len(names) * groups)
    members = np.bincount(votes.reshape(-1, groups).argmax(axis=1), minlength=groups)
    ends = np.concatenate([[0], np.cumsum(members)])
    totals = np.bincount(position, weights=values, minlength=len(names))
    counts = np.bincount(position, minlength=len(names)).astype(np.float64)
    rng = np.random.default_rng([seed, _PERMUTATIONS])
    means = np.full((permutations, groups), np.nan)
    filled = members > 0
    for b in range(permutations if len(names) else 0):
        order = rng.permutation(len(names))
        # reduceat needs the starts of non-empty runs only
        starts = ends[:-1][filled]
        means[b, filled] = np.add.reduceat(totals[order], starts) / np.add.reduceat(
            counts[order], starts
        )
    return means


def p_value(observed: float, null: Float[np.ndarray, " permutations"]) -> float:
    """(1 + #{null >= observed}) / (1 + permutations), for a statistic that grows with the gap."""
    return float((1 + np.sum(null >= observed - 1e-12)) / (1 + len(null)))  # rounding is no gap
