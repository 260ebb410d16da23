import numpy as np
import pytest

from fairjax.core.comparisons import Pairs
from fairjax.run.evaluate import group_metrics, validation_metrics


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


def test_worst_group_and_gap_by_hand():
    columns = {
        "id": np.array(["a", "b", "c", "d", "e"]),
        "race": np.array([0, 0, 1, 1, -1]),  # the last is unknown and does not count
        "gender": np.array([0, 1, 1, 1, 0]),
        "age": np.array([30, 50, 20, 20, 0]),
        "pred_age": np.array([33.0, 49.0, 30.0, 20.0, 99.0]),
        "prob_gender": np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7], [0.0, 1.0]]),
        "prob_race": np.ones((5, 2)),
    }
    assert group_metrics(columns, None, "race", names=("A", "B")) == {
        "age_mae/A": 2.0,  # 3 and 1
        "age_mae/B": 5.0,  # 10 and 0
        "age_mae_worst": 5.0,
        "age_mae_gap": 3.0,
        "gender_accuracy/A": 0.5,
        "gender_accuracy/B": 1.0,
        "gender_accuracy_worst": 0.5,
        "gender_accuracy_gap": 0.5,
    }


def test_pairs_count_in_the_group_of_both_images_at_the_thresholds_of_all():
    angles = np.array([0.0, 0.1, 2.0, 2.1, 1.0, 2.6, 0.4, 1.2])
    columns = {
        "id": np.arange(8).astype(str),
        "cluster": np.arange(8),
        "race": np.array([0, 0, 0, 0, 1, 1, 1, 1]),
        "embedding": np.stack([np.cos(angles), np.sin(angles)], axis=1),
    }
    first, second = np.array([0, 2, 0, 1, 4, 6, 4, 5]), np.array([1, 3, 2, 3, 5, 7, 6, 7])
    mated = np.array([True, True, False, False] * 2)
    pairs = Pairs(first, second, mated, np.tile([0, 1], 4))
    found = group_metrics(columns, pairs, "race", names=())
    assert found["verification_accuracy/0"] + found["verification_accuracy/1"] < 2.0
    assert found["verification_accuracy_worst"] < 1.0
    assert found["verification_accuracy_worst"] + found["verification_accuracy_gap"] == 1.0
