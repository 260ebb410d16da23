"""Whether a classifier's confidence means what it says.

As in `classification`, numbers are functions of sums over examples.
"""

import numpy as np
from jaxtyping import Bool, Float, Num

from fairjax.metrics.classification import divide


def reliability_rows(
    confidence: Float[np.ndarray, " examples"],
    correct: Bool[np.ndarray, " examples"],
    *,
    bins: int,
) -> Float[np.ndarray, "examples bins 3"]:
    """What each example adds to the reliability diagram: (1, confidence, correct) in its bin.

    Bins have equal width and are closed on the right, ((b-1)/bins, b/bins]; 0 is in the first.

    Args:
      confidence: Probability given to the predicted class, in [0, 1].
      correct: Whether the prediction is right.
      bins: How many bins; 15 in the source.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    # float32 confidences are compared in float64 with the bins' edges
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence.astype(np.float64))
    rows = np.zeros((len(confidence), bins, 3))
    rows[np.arange(len(confidence)), bin_of] = np.stack(
        [np.ones(len(confidence)), confidence, correct], axis=-1
    )
    return rows


def reliability(
    sums: Num[np.ndarray, "*lead bins 3"],
) -> tuple[Num[np.ndarray, "*lead bins"], Num[np.ndarray, "*lead bins"]]:
    """Mean confidence and accuracy of each bin, NaN where it is empty."""
    return divide(sums[..., 1], sums[..., 0]), divide(sums[..., 2], sums[..., 0])


def expected_calibration_error(
    sums: Num[np.ndarray, "*lead bins 3"],
) -> Num[np.ndarray, "*lead"]:
    """ECE: sum over bins of (n_b / n) |accuracy_b - confidence_b|, a fraction; NaN if empty.

    It is never negative and grows as n shrinks: compare groups of like size, or with the interval.

    Source: Guo et al., ICML 2017, equation 3.
    """
    return divide(np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1), sums[..., 0].sum(axis=-1))
