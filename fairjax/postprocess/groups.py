"""Score normalisation and calibration by group: M3, M4 and M5 of Linghu et al., group thresholds.

The group of the reference (side 1) chooses the statistics; they are fitted on pairs within groups.

Source: Linghu et al., IJCB 2024 (arXiv 2407.14087), and their code (AIML-IfI/score-norm-fairness).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from fairjax.metrics.logistic import fit_logistic
from fairjax.metrics.verification import InsufficientDataError, threshold_at_fmr
from fairjax.postprocess.scores import Scores

_LEAST = 2  # scores behind a standard deviation


def fit_norm(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean and standard deviation (ddof 1) of each group's non-mated scores."""
    moments = [_moments(scores, g, mated=False) for g in range(len(scores.groups))]
    mean, std = np.array(moments).T
    return {"mean": mean, "std": std}


def apply_norm(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """(score - mean) / std of the reference's group (M3)."""
    g = _reference(scores)
    return (scores.score - arrays["mean"][g]) / arrays["std"][g]


def fit_platt(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Slope and intercept of each group's logistic regression, both kinds of pairs weighing alike.

    The slope has an L2 penalty of 1/2 (C = 1), the intercept has none, as in scikit-learn.
    """
    fits = []
    for g in range(len(scores.groups)):
        rows = _rows(scores, g)
        mated = scores.mated[rows]
        weight = np.where(mated, 0.5 / mated.mean(), 0.5 / (1 - mated.mean()))
        slope, intercept = fit_logistic(
            scores.score[rows][:, None], mated, weight=weight, penalty=1.0
        )
        fits.append((float(slope[0]), intercept))
    slope, intercept = np.array(fits).T
    return {"slope": slope, "intercept": intercept}


def apply_platt(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """sigmoid(slope score + intercept) of the reference's group (M4), a probability."""
    g = _reference(scores)
    return special.expit(arrays["slope"][g] * scores.score + arrays["intercept"][g])


def fit_cdf(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean and standard deviation (ddof 1) of each group's mated and non-mated scores."""
    both = [
        (*_moments(scores, g, mated=True), *_moments(scores, g, mated=False))
        for g in range(len(scores.groups))
    ]
    names = ("mated_mean", "mated_std", "nonmated_mean", "nonmated_std")
    return dict(zip(names, np.array(both).T, strict=True))


def apply_cdf(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """Phi of the mated z-score minus 1 plus Phi of the non-mated one (M5), in (-1, 1)."""
    g, s = _reference(scores), scores.score
    mated = (s - arrays["mated_mean"][g]) / arrays["mated_std"][g]
    nonmated = (s - arrays["nonmated_mean"][g]) / arrays["nonmated_std"][g]
    return special.ndtr(mated) - 1 + special.ndtr(nonmated)


def fit_thresholds(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The threshold of each group, and of all pairs within groups, at the target FMR.

    Raises:
      ValueError: If a group has too few non-mated pairs for the target.
    """
    fmr = float(settings["fmr"])
    thresholds = []
    for g, name in enumerate(scores.groups):
        rows = _rows(scores, g)
        nonmated = scores.score[rows][~scores.mated[rows]]
        try:
            thresholds.append(threshold_at_fmr(nonmated, fmr=fmr))
        except InsufficientDataError as error:
            raise ValueError(f"{name}: {error}") from error
    everyone = threshold_at_fmr(scores.score[scores.inside & ~scores.mated], fmr=fmr)
    return {"threshold": np.array(thresholds), "everyone": np.array([everyone])}


def apply_thresholds(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """The score less how far its two groups' thresholds lie above the common one, on average."""
    _reference(scores)
    own = arrays["threshold"][scores.group]
    return scores.score - (own.mean(axis=1) - arrays["everyone"][0])


def _reference(scores: Scores) -> np.ndarray:
    """The reference's group of each pair.

    Raises:
      ValueError: If somebody's group is not known.
    """
    if (unknown := (scores.group < 0).any(axis=1)).any():
        raise ValueError(
            f"{unknown.sum():,} pairs show somebody of unknown group; this method needs the groups."
        )
    return scores.group[:, 1]


def _rows(scores: Scores, g: int) -> np.ndarray:
    rows = np.flatnonzero(scores.inside & (scores.group[:, 1] == g))
    for kind, wanted in (("mated", True), ("non-mated", False)):
        if np.sum(scores.mated[rows] == wanted) < _LEAST:
            raise ValueError(
                f"{scores.groups[g]!r} has fewer than {_LEAST} {kind} pairs within it."
            )
    return rows


def _moments(scores: Scores, g: int, *, mated: bool) -> tuple[float, float]:
    """Mean and standard deviation (ddof 1) of a group's scores of one kind."""
    rows = _rows(scores, g)
    own = scores.score[rows][scores.mated[rows] == mated].astype(np.float64)
    std = float(own.std(ddof=1))
    if not std > 0:
        raise ValueError(
            f"all {'mated' if mated else 'non-mated'} scores of {scores.groups[g]!r} are the same."
        )
    return float(own.mean()), std
