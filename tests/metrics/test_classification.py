import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from fairjax.metrics import classification as c

HAND = np.array(
    [[5, 1, 0], [2, 3, 1], [0, 0, 0]]
)  # nobody is of the third class, one is taken for it


@st.composite
def decisions(draw: st.DrawFn, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 40))
    ints = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)
    return np.array(draw(ints)), np.array(draw(ints))


def test_rates_of_a_matrix_worked_by_hand() -> None:
    counts = c.one_vs_rest(HAND)
    assert c.accuracy(HAND) == 8 / 12
    np.testing.assert_array_equal(c.fpr(counts), [2 / 6, 1 / 6, 1 / 12])
    np.testing.assert_array_equal(c.fnr(counts), [1 / 6, 3 / 6, np.nan])
    np.testing.assert_array_equal(c.tpr(counts), [5 / 6, 3 / 6, np.nan])
    np.testing.assert_array_equal(c.precision(counts), [5 / 7, 3 / 4, 0])
    np.testing.assert_allclose(c.f1(counts), [10 / 13, 6 / 10, 0])


def test_averages_worked_by_hand() -> None:
    counts = c.one_vs_rest(HAND)
    assert c.averaged(c.fpr, counts, "macro", undefined=np.nan) == pytest.approx(7 / 36)
    assert c.averaged(c.fpr, counts, "weighted", undefined=np.nan) == pytest.approx(1 / 4)
    assert c.averaged(c.fpr, counts, "micro", undefined=np.nan) == pytest.approx(4 / 24)
    # the third class has no example: left out of the mean, or counted as missed by no one
    assert c.averaged(c.fnr, counts, "macro", undefined=np.nan) == pytest.approx(1 / 3)
    assert c.averaged(c.fnr, counts, "macro", undefined=0.0) == pytest.approx(2 / 9)


def test_everything_of_nothing_is_nan_and_warns_of_nothing() -> None:
    empty = np.zeros((3, 3))
    assert np.isnan(c.accuracy(empty))
    for average in ("macro", "weighted", "micro"):
        for rate in (c.fpr, c.fnr, c.precision, c.f1):
            assert np.isnan(c.averaged(rate, c.one_vs_rest(empty), average, undefined=0.0))
    assert np.isnan(c.mae(np.zeros(0), np.zeros(0)))


@settings(max_examples=40, deadline=None)  # a loaded machine is no failure
@given(decisions())
def test_agrees_with_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predictions = pair
    matrix = c.confusion_matrix(labels, predictions, classes=4)
    np.testing.assert_array_equal(
        matrix, sklearn.confusion_matrix(labels, predictions, labels=range(4))
    )
    np.testing.assert_allclose(c.accuracy(matrix), sklearn.accuracy_score(labels, predictions))
    for average in ("macro", "weighted", "micro"):
        for undefined in (0.0, np.nan):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # scikit-learn warns even of averages of one class
                theirs = sklearn.precision_recall_fscore_support(
                    labels, predictions, labels=range(4), average=average, zero_division=undefined
                )
            if np.isnan(undefined) and average == "weighted":
                continue  # scikit-learn then weighs NaN classes in another way for F1
            for rate, their in zip((c.precision, c.recall, c.f1), theirs[:3], strict=True):
                ours = c.averaged(rate, c.one_vs_rest(matrix), average, undefined=undefined)
                np.testing.assert_allclose(ours, their, err_msg=f"{rate.__name__} {average}")


@settings(max_examples=40, deadline=None)  # a loaded machine is no failure
@given(decisions(classes=2))
def test_yes_no_rates_agree_with_counting(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predictions = pair
    counts = c.one_vs_rest(c.confusion_matrix(labels, predictions, classes=2))
    for positive in (0, 1):
        for rate, chosen in ((c.fpr, labels != positive), (c.tpr, labels == positive)):
            said = (predictions == positive)[chosen]
            expected = said.mean() if len(said) else np.nan
            np.testing.assert_allclose(rate(counts)[positive], expected)


@settings(max_examples=40, deadline=None)  # a loaded machine is no failure
@given(decisions())
def test_rows_add_up_to_the_matrix_and_parts_merge(pair: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predictions = pair
    rows = c.confusion_rows(labels, predictions, classes=4)
    matrix = c.confusion_matrix(labels, predictions, classes=4)
    np.testing.assert_array_equal(rows.sum(axis=0), matrix)
    cut = len(labels) // 2
    np.testing.assert_array_equal(rows[:cut].sum(axis=0) + rows[cut:].sum(axis=0), matrix)


def test_leading_axes_give_what_a_loop_gives() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (6, 5, 3, 3))
    for average in ("macro", "weighted", "micro"):
        ours = c.averaged(c.f1, c.one_vs_rest(matrices), average, undefined=0.0)
        loop = [
            [c.averaged(c.f1, c.one_vs_rest(m), average, undefined=0.0) for m in row]
            for row in matrices
        ]
        np.testing.assert_allclose(ours, loop)


def test_mean_leaves_out_what_is_not_used() -> None:
    rows = c.mean_rows(np.array([1.0, 5.0, 9.0]), np.array([True, False, True]))
    assert c.mean(rows.sum(axis=0)) == 5.0
    assert c.mae(np.array([10, 20]), np.array([12.0, 19.0])) == 1.5


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_out_of_range_is_refused_by_row(bad: int) -> None:
    with pytest.raises(ValueError, match=f"predictions must lie in 0 .. 2; row 1 has {bad}"):
        c.confusion_matrix(np.array([0, 1]), np.array([0, bad]), classes=3)
