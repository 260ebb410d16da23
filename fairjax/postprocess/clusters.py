"""FSN and FairCal: statistics by cluster of embeddings instead of by group; no labels are needed.

Both find clusters of the calibration images by k-means, and treat the pairs that touch a cluster
like the pairs of a group. A cluster with too few pairs takes what all pairs have.

Source: Terhörst et al., Pattern Recognition Letters 2020 (arXiv 2002.03592) for FSN; Salvador et
  al., ICLR 2022 (arXiv 2106.03761) for FairCal; Kull et al., AISTATS 2017 for beta calibration.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse, special

from fairjax.core.comparisons import unit_length
from fairjax.metrics.logistic import fit_logistic
from fairjax.metrics.verification import InsufficientDataError, threshold_at_fmr
from fairjax.postprocess.scores import Scores

_ROUNDS = 50
_RIDGE = 1e-5  # keeps coefficients finite where a cluster's pairs are told apart without an error
_EDGE = 1e-6  # how near to 0 and 1 a cosine mapped to [0, 1] may come
_FEW = 30  # pairs of each kind below which a cluster has no calibration of its own


def fit_fsn(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Centres, and how far each cluster's threshold lies above that of all pairs.

    Raises:
      ValueError: If all pairs together are too few for the target FMR.
    """
    centres, cluster = _clustered(scores, settings)
    fmr = float(settings["fmr"])
    nonmated = ~scores.mated
    common = threshold_at_fmr(scores.score[nonmated], fmr=fmr)
    offset = np.zeros(len(centres))
    for k in range(len(centres)):
        own = scores.score[nonmated & (cluster == k).any(axis=1)]
        try:
            offset[k] = threshold_at_fmr(own, fmr=fmr) - common
        except InsufficientDataError:
            continue
    return {"centres": centres, "offset": offset}


def apply_fsn(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """The score less the mean of its two clusters' offsets."""
    cluster = _clusters_of(scores, arrays["centres"])
    return scores.score - arrays["offset"][cluster].mean(axis=1)


def fit_faircal(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Centres, the beta calibration of each cluster, and how many pairs are behind it."""
    centres, cluster = _clustered(scores, settings)
    common = fit_beta(scores.score, scores.mated)
    curves = np.tile(common, (len(centres), 1))
    pairs = np.zeros(len(centres))
    for k in range(len(centres)):
        own = (cluster == k).any(axis=1)
        pairs[k] = own.sum()
        mated = int(scores.mated[own].sum())
        if min(mated, int(pairs[k]) - mated) >= _FEW:
            curves[k] = fit_beta(scores.score[own], scores.mated[own])
    return {"centres": centres, "curves": curves, "pairs": pairs}


def apply_faircal(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """The mean of the two clusters' probabilities, weighed by their numbers of pairs."""
    cluster = _clusters_of(scores, arrays["centres"])
    sides = [beta_probability(scores.score, arrays["curves"][cluster[:, side]]) for side in (0, 1)]
    weight = np.maximum(arrays["pairs"][cluster], 1)
    return (weight[:, 0] * sides[0] + weight[:, 1] * sides[1]) / weight.sum(axis=1)


def fit_beta(
    cosine: Float[np.ndarray, " pairs"], mated: Bool[np.ndarray, " pairs"]
) -> Float[np.ndarray, "3"]:
    """a, b, c of a beta calibration, a and b at least 0, so that the curve never falls.

    Args:
      cosine: Scores in [-1, 1].
      mated: Whether each pair shows one person.

    Raises:
      ValueError: If a kind of pair is missing.
    """
    low, high = _logs(cosine)
    both = np.column_stack([low, -high])
    (a, b), c = fit_logistic(both, mated, penalty=_RIDGE)
    if a < 0 or b < 0:
        kept = 1 if a < b else 0
        (one,), c = fit_logistic(both[:, [kept]], mated, penalty=_RIDGE)
        a, b = (max(one, 0.0), 0.0) if kept == 0 else (0.0, max(one, 0.0))
    return np.array([a, b, c])


def beta_probability(
    cosine: Float[np.ndarray, " pairs"], curve: Float[np.ndarray, "pairs 3"]
) -> Float[np.ndarray, " pairs"]:
    """sigmoid(a ln x - b ln(1 - x) + c), x the cosine mapped to [0, 1].

    Args:
      cosine: Scores in [-1, 1].
      curve: a, b and c for each pair.
    """
    low, high = _logs(cosine)
    return special.expit(curve[:, 0] * low - curve[:, 1] * high + curve[:, 2])


def k_means(
    points: Float[np.ndarray, "points dim"], *, clusters: int, seed: int
) -> Float[np.ndarray, "clusters dim"]:
    """Centres of clusters: k-means++ starts, then Lloyd's rounds until nothing moves.

    Args:
      points: One a row; at least as many different ones as clusters.
      clusters: How many, 1 or more.
      seed: Non-negative.
    """
    rng = np.random.default_rng(seed)
    points = points.astype(np.float64)
    centres = points[[rng.integers(len(points))]]
    nearest = np.sum((points - centres[0]) ** 2, axis=1)
    for _ in range(clusters - 1):
        total = nearest.sum()
        chance = nearest / total if total > 0 else np.full(len(points), 1 / len(points))
        fresh = points[rng.choice(len(points), p=chance)]
        centres = np.vstack([centres, fresh])
        nearest = np.minimum(nearest, np.sum((points - fresh) ** 2, axis=1))
    label = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        moved = _nearest(points, centres)
        if (moved == label).all():
            break
        label = moved
        count = np.bincount(label, minlength=clusters)
        members = sparse.csr_array(
            (np.ones(len(points)), (label, np.arange(len(points)))), (clusters, len(points))
        )
        sums = members @ points
        filled = count > 0
        centres[filled] = sums[filled] / count[filled, None]
    return centres


def _clustered(scores: Scores, settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the calibration images, and the clusters of each pair."""
    assert scores.image is not None and scores.embedding is not None
    used = np.unique(scores.image)
    clusters = min(int(settings["clusters"]), len(used))
    unit = unit_length(scores.embedding[used])
    centres = k_means(unit, clusters=clusters, seed=int(settings["seed"]))
    return centres, _clusters_of(scores, centres)


def _clusters_of(scores: Scores, centres: np.ndarray) -> Int[np.ndarray, "pairs 2"]:
    assert scores.image is not None and scores.embedding is not None
    return _nearest(unit_length(scores.embedding).astype(np.float64), centres)[scores.image]


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin(np.sum(centres**2, axis=1) - 2 * points @ centres.T, axis=1)


def _logs(cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = np.clip((cosine.astype(np.float64) + 1) / 2, _EDGE, 1 - _EDGE)
    return np.log(share), np.log1p(-share)
