import numpy as np
import pytest

from fairjax.run.evaluate import validation_metrics


def test_validation_metrics_by_hand():
    columns = {
        "id": np.array(["a", "b"]),
        "age": np.array([30, 50]),
        "gender": np.array([0, 1]),
        "pred_age": np.array([33.0, 49.0]),
        "prob_gender": np.array([[0.9, 0.1], [0.8, 0.2]]),
        "prob_age_bin": np.array([[1.0, 0.0], [0.0, 1.0]]),  # no such label: only its loss counts
        "loss_age": np.array([1.0, 3.0]),
        "loss": np.array([2.0, 4.0]),
    }
    assert validation_metrics(columns, None) == {
        "age_mae": pytest.approx(2.0),
        "gender_accuracy": 0.5,
        "age_loss": 2.0,
        "loss": 3.0,
    }
