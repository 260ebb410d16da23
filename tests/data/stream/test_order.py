"""The order of examples and the random numbers that augmentation uses."""

import numpy as np
import pytest
from scipy import stats

from fairjax.data.stream.order import (
    _stream,
    balanced_rows_at,
    classes_of,
    permutation,
    rows_at,
    scattered,
    uniforms,
)


def python_splitmix64(key: int, index: int) -> int:
    """The generator in Python's unbounded integers, as in the paper."""
    z = (key + (index + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def test_stream_is_splitmix64():
    # The first outputs of the reference C program for the state 1234567.
    assert python_splitmix64(1234567, 0) == 6457827717110365317
    assert python_splitmix64(1234567, 1) == 3203168211198807973
    index = np.arange(100)
    ours = _stream(np.array([1234567], np.uint64), index)
    assert ours.tolist() == [python_splitmix64(1234567, int(i)) for i in index]


def test_order_is_the_same_on_every_machine():
    # Recorded once. If this changes, no interrupted run can be resumed: bump the checkpoint format.
    assert permutation(0, 0, 10).tolist() == [4, 8, 6, 0, 7, 3, 9, 2, 5, 1]
    np.testing.assert_array_equal(
        uniforms(0, "augment", np.array([3]), np.array([5]), 2),
        [[0.3229918698432469, 0.6214531017999216]],
    )


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_permutation_holds_every_row_once(n):
    np.testing.assert_array_equal(np.sort(permutation(7, 3, n)), np.arange(n))


def test_permutations_differ_between_epochs_and_seeds():
    orders = [permutation(seed, epoch, 50).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 6


def test_every_row_is_equally_likely_in_every_place():
    orders = np.stack([permutation(0, epoch, 6) for epoch in range(6000)])
    counts = np.stack([(orders == row).sum(0) for row in range(6)])
    assert stats.chisquare(counts, axis=None).pvalue > 1e-3


def test_stream_runs_through_epochs_without_a_gap():
    epochs, rows = rows_at(np.arange(25), n=10, seed=4, shuffle=True)
    assert epochs.tolist() == [0] * 10 + [1] * 10 + [2] * 5
    np.testing.assert_array_equal(rows[:10], permutation(4, 0, 10))
    np.testing.assert_array_equal(rows[20:], permutation(4, 2, 10)[:5])
    _, rows = rows_at(np.arange(25), n=10, seed=4, shuffle=False)
    assert rows.tolist() == [position % 10 for position in range(25)]


def test_uniforms_depend_on_the_example_alone():
    epochs, rows = np.array([0, 0, 1, 2]), np.array([3, 9, 3, 0])
    together = uniforms(5, "augment", epochs, rows, 4)
    for i in range(4):
        alone = uniforms(5, "augment", epochs[i : i + 1], rows[i : i + 1], 4)[0]
        np.testing.assert_array_equal(together[i], alone)
    assert len(np.unique(together)) == together.size
    np.testing.assert_array_equal(together, uniforms(5, "augment", epochs, rows, 9)[:, :4])
    assert not np.isin(uniforms(5, "second view", epochs, rows, 4), together).any()
    assert not np.isin(uniforms(6, "augment", epochs, rows, 4), together).any()


def test_uniforms_are_uniform_and_their_columns_unrelated():
    u = uniforms(0, "augment", np.zeros(20000, np.int64), np.arange(20000), 3)
    assert u.min() >= 0
    assert u.max() < 1
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(u.T) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000])
def test_scattered_places_are_a_permutation_of_the_class(size):
    for key in (0, 1, 2**63):
        keys = np.full(size, key, np.uint64)
        places = scattered(np.arange(size), size=np.full(size, size), key=keys)
        np.testing.assert_array_equal(np.sort(places), np.arange(size))


def test_a_scattered_place_does_not_depend_on_what_is_asked_beside_it():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 40, 200)
    index, key = rng.integers(0, size), rng.integers(0, 2**63, 200).astype(np.uint64)
    together = scattered(index, size=size, key=key)
    for i in range(200):
        one = slice(i, i + 1)
        assert scattered(index[one], size=size[one], key=key[one])[0] == together[i]


@pytest.mark.parametrize("size", [2, 3, 5, 6])
def test_every_place_of_a_class_is_equally_likely(size):
    n = 6000
    keys = _stream(np.array([7], np.uint64), np.arange(n))
    places = np.stack(
        [scattered(np.full(n, i), size=np.full(n, size), key=keys) for i in range(size)]
    )
    counts = np.stack([(places == place).sum(1) for place in range(size)])
    assert stats.chisquare(counts, axis=None).pvalue > 1e-3


LABEL = np.array([2, 0, 2, 2, -1, 0, 2, 2, 5])


def test_classes_are_sorted_and_unknown_is_one_of_them():
    classes = classes_of(LABEL)
    assert classes.rows.tolist() == [4, 1, 5, 0, 2, 3, 6, 7, 8]
    assert classes.start.tolist() == [0, 1, 3, 8]
    assert classes.size.tolist() == [1, 2, 5, 1]


def test_every_class_comes_once_a_round_and_every_row_of_it_once_a_turn():
    turns, rows = balanced_rows_at(np.arange(4 * 20), classes=classes_of(LABEL), seed=3)
    for label in LABEL[rows].reshape(20, 4).tolist():
        assert sorted(label) == [-1, 0, 2, 5]
    for value in (-1, 0, 2, 5):
        own, turn = rows[LABEL[rows] == value], turns[LABEL[rows] == value]
        size = (value == LABEL).sum()
        assert turn.tolist() == [k // size for k in range(20)]
        for start in range(0, 20, size):
            assert sorted(own[start : start + size]) == np.flatnonzero(value == LABEL).tolist()
    orders = {tuple(LABEL[rows][k : k + 4]) for k in range(0, 80, 4)}
    assert len(orders) > 5


def test_the_balanced_stream_is_a_function_of_seed_and_position():
    classes = classes_of(LABEL)
    turns, rows = balanced_rows_at(np.arange(100), classes=classes, seed=3)
    some = np.array([99, 0, 42])
    part = balanced_rows_at(some, classes=classes, seed=3)
    np.testing.assert_array_equal(part, [turns[some], rows[some]])
    other = balanced_rows_at(np.arange(100), classes=classes, seed=4)[1]
    assert (other != rows).any()
    # Recorded once. If this changes, no interrupted balanced run can be resumed.
    assert rows[:12].tolist() == [3, 4, 8, 5, 8, 7, 1, 4, 1, 8, 4, 0]


def test_rows_of_a_class_that_come_together_differ_where_it_has_so_many():
    classes = classes_of(LABEL)
    turns, rows = balanced_rows_at(np.arange(4 * 3 * 40), classes=classes, seed=3, each=3)
    groups = rows.reshape(-1, 3)
    assert (LABEL[groups] == LABEL[groups[:, :1]]).all()
    for label in LABEL[groups[:, 0]].reshape(-1, 4).tolist():
        assert sorted(label) == [-1, 0, 2, 5]
    big = groups[LABEL[groups[:, 0]] == 2]  # five rows: three of them a turn
    assert all(len(set(group)) == 3 for group in big.tolist())
    assert set(big.ravel().tolist()) == {0, 2, 3, 6, 7}
    pair = groups[LABEL[groups[:, 0]] == 0]  # two rows: both, and one again
    assert all(set(group) == {1, 5} for group in pair.tolist())
    assert len(set(zip(turns.tolist(), rows.tolist(), strict=True))) == len(rows)
    some = np.array([17, 0, 100])
    np.testing.assert_array_equal(
        balanced_rows_at(some, classes=classes, seed=3, each=3), [turns[some], rows[some]]
    )
