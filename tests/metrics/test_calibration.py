import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from fairjax.metrics import calibration as k


def test_ece_worked_by_hand() -> None:
    confidence, correct = np.array([0.9, 0.7, 0.6, 0.95]), np.array([True, False, True, True])
    sums = k.reliability_rows(confidence, correct, bins=2).sum(axis=0)
    np.testing.assert_allclose(sums, [[0, 0, 0], [4, 3.15, 3]])
    assert k.expected_calibration_error(sums) == pytest.approx(0.15 / 4)
    sums = k.reliability_rows(confidence, correct, bins=10).sum(axis=0)  # 0.9 and 0.95 part ways
    assert k.expected_calibration_error(sums) == pytest.approx((0.1 + 0.7 + 0.4 + 0.05) / 4)


def test_bins_are_closed_on_the_right() -> None:
    rows = k.reliability_rows(np.array([0.0, 0.25, 0.26, 0.5, 1.0]), np.ones(5, bool), bins=4)
    np.testing.assert_array_equal(rows[..., 0].argmax(axis=1), [0, 0, 1, 1, 3])


def test_the_diagram_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(500)
    correct = rng.random(500) < confidence
    sums = k.reliability_rows(confidence, correct, bins=10).sum(axis=0)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=10)
    ours = k.reliability(sums)
    np.testing.assert_allclose(ours[0], mean_confidence)
    np.testing.assert_allclose(ours[1], accuracy)


def test_an_empty_bin_is_nan_and_no_examples_are_too() -> None:
    confidence, accuracy = k.reliability(np.zeros((3, 3)))
    assert np.isnan(confidence).all() and np.isnan(accuracy).all()
    assert np.isnan(k.expected_calibration_error(np.zeros((3, 3))))
