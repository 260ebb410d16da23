"""The order of examples and the random numbers that augmentation uses."""

import numpy as np
import pytest
from scipy import stats

from fairjax.data.order import _stream, permutation, rows_at, uniforms


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
