from typing import Any

import numpy as np
import pytest

from fairjax.protocols.by_image import predictions as p

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "age": (),
    "gender": ("male", "female"),
    "race": ("A", "B"),
}


def good() -> dict[str, np.ndarray]:
    return {
        "cluster": np.arange(3),
        "age": np.array([5, 30, 61], np.int32),
        "gender": np.array([0, 1, 1], np.int32),
        "race": np.array([0, 1, 1], np.int32),
        "pred_age": np.array([4.0, 35.0, 60.0], np.float32),
        "prob_gender": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32),
    }


def check(columns: dict[str, np.ndarray], **changes: Any) -> None:
    settings: dict[str, Any] = {"attributes": ATTRIBUTES, "group_by": "race", "age_bins": [0, 10]}
    p.require_readable(columns, **{**settings, **changes})


def test_good_predictions_pass_and_become_decisions() -> None:
    check(good())
    scored = p.score(good(), ATTRIBUTES, [0, 10, 60])
    np.testing.assert_array_equal(scored["gender"].decisions, [0, 1, 0])
    np.testing.assert_array_equal(scored["gender"].wrong, [False, False, True])
    np.testing.assert_array_equal(scored["age_bin"].labels, [0, 1, 2])
    assert scored["age_bin"].classes == ("0-9", "10-59", "60+")
    assert scored["age_bin"].probabilities is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"race": None}, "lack the column 'race'"),
        ({"cluster": None}, "lack the column 'cluster'"),
        ({"age": None}, "lack the column 'age'"),
        ({"gender": None}, "lack the column 'gender'"),
        ({"pred_age": None, "prob_gender": None}, "no model output: expected pred_age or prob_"),
        ({"race": np.array([0, 1, 2], np.int32)}, r"labels in 0 .. 1; row 2 has 2 \(1 such row"),
        ({"race": np.array([0.0, 1.0, 1.0])}, "must be integers; they are float64"),
        ({"pred_age": np.array([1, np.nan, 2], np.float32)}, "finite years; row 1 has nan"),
        ({"pred_age": np.ones((3, 1), np.float32)}, r"must have shape \(3,\); it has \(3, 1\)"),
        ({"prob_gender": np.full((3, 3), 1 / 3)}, r"must have shape \(3, 2\); it has \(3, 3\)"),
        ({"prob_gender": np.array([[2.0, -1], [0, 1], [1, 0]])}, "add up to 1; row 0 has"),
        ({"prob_gender": np.array([[0, 1], [5.0, 7], [1, 0]])}, "add up to 1; row 1 has"),
        ({"prob_gender": np.array([[0, 1], [0.5, 0.5], [np.nan, 0]])}, "add up to 1; row 2 has"),
        ({"age": np.array([-1, 3, 4], np.int32)}, "youngest example is -1 years old"),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(changes: dict, message: str) -> None:
    columns = {k: v for k, v in {**good(), **changes}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        check(columns)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        check({name: column[:0] for name, column in good().items()})


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="group_by='age' must be a classified attribute: one of"):
        check(good(), group_by="age")
    with pytest.raises(ValueError, match="ascending edges"):
        check(good(), age_bins=[0, 20, 10])
