"""z-norm and t-norm: each image's scores measured by those of a cohort (M1, M2 and by group).

z-norm takes mean and standard deviation (ddof 1) of the non-mated scores of the reference image
(side 1) with a cohort's probes; t-norm those of the probe image (side 0) with a cohort's
references. The variants M1.1 and M2.1 take only the cohort's images of the other side's group. The
cohort's people are others than those whose pairs are evaluated; the normalised images are the same.

Source: Linghu et al., IJCB 2024 (arXiv 2407.14087); z-norm and t-norm are Auckenthaler et al.,
  Digital Signal Processing 2000.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairjax.core.names import counted
from fairjax.postprocess.scores import Scores, places


def fit_reference(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Moments of each reference image's non-mated scores."""
    return _fit(scores, side=1, by_group=False)


def fit_reference_group(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Moments of each reference image's non-mated scores with probes of each group."""
    return _fit(scores, side=1, by_group=True)


def fit_probe(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Moments of each probe image's non-mated scores."""
    return _fit(scores, side=0, by_group=False)


def fit_probe_group(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Moments of each probe image's non-mated scores with references of each group."""
    return _fit(scores, side=0, by_group=True)


def apply_reference(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """(score - mean) / std of the reference image (M1)."""
    return _apply(arrays, settings, scores, side=1, by_group=False)


def apply_reference_group(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """(score - mean) / std of the reference image with probes of the probe's group (M1.1)."""
    return _apply(arrays, settings, scores, side=1, by_group=True)


def apply_probe(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """(score - mean) / std of the probe image (M2)."""
    return _apply(arrays, settings, scores, side=0, by_group=False)


def apply_probe_group(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """(score - mean) / std of the probe image with references of the reference's group (M2.1)."""
    return _apply(arrays, settings, scores, side=0, by_group=True)


def _fit(scores: Scores, *, side: int, by_group: bool) -> dict[str, np.ndarray]:
    """Mean and deviation [images, groups or 1]; NaN where fewer than two scores are known."""
    assert scores.image is not None
    rows = ~scores.mated
    width = len(scores.groups) if by_group else 1
    other = scores.group[rows, 1 - side] if by_group else np.zeros(rows.sum(), np.int64)
    if (other < 0).any():
        raise ValueError("a pair shows somebody of unknown group; this method needs the groups.")
    entry = scores.image[rows, side].astype(np.int64) * width + other
    cells = len(scores.images) * width
    score = scores.score[rows].astype(np.float64)
    count = np.bincount(entry, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(entry, score, cells) / count
        squares = np.bincount(entry, (score - mean[entry]) ** 2, cells)
        std = np.sqrt(squares / (count - 1))
    std[~(std > 0)] = np.nan
    return {"mean": mean.reshape(-1, width), "std": std.reshape(-1, width)}


def _apply(
    arrays: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    scores: Scores,
    *,
    side: int,
    by_group: bool,
) -> np.ndarray:
    assert scores.image is not None
    own = np.unique(scores.image[:, side])
    known = np.full(len(scores.images), -1, np.int64)
    what = "reference image" if side else "probe image"
    names = tuple(scores.images[k] for k in own.tolist())
    known[own] = places(names, tuple(settings["images"]), what)
    image = known[scores.image[:, side]]
    column = scores.group[:, 1 - side] if by_group else np.zeros(len(scores), np.int64)
    if (column < 0).any():
        raise ValueError("a pair shows somebody of unknown group; this method needs the groups.")
    mean, std = arrays["mean"][image, column], arrays["std"][image, column]
    if (bad := np.isnan(std)).any():
        row = int(np.argmax(bad))
        assert scores.image is not None
        raise ValueError(
            f"the cohort has fewer than two different scores of the {what} "
            f"{scores.images[scores.image[row, side]]!r} ({counted(int(bad.sum()), 'such pair')})."
        )
    return (scores.score - mean) / std
