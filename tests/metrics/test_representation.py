"""Spread and similarity of representations, against slow sums and cases with known answers."""

import itertools

import numpy as np
import pytest

from fairjax.metrics.representation import (
    cka,
    cka_interval,
    effective_rank,
    feature_std,
    unbiased_hsic,
    uniformity,
)

RNG = np.random.default_rng(0)


def slow_hsic(one, other):
    """The U-statistic over ordered quadruples of different images (Song et al., section 2.2)."""
    total, n = 0.0, len(one)
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += one[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def test_hsic_is_the_mean_over_all_quadruples_of_images():
    one, other = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2)) + 1
    slow = slow_hsic(one @ one.T, other @ other.T)
    np.testing.assert_allclose(unbiased_hsic(one, other), slow, rtol=1e-9)


def test_cka_of_a_rotated_shifted_and_scaled_representation_is_one():
    x = RNG.normal(size=(30, 6))
    rotation, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    np.testing.assert_allclose(cka(x, 3 * x @ rotation + 5), 1.0, rtol=1e-9)


def test_cka_of_unrelated_representations_is_about_zero_however_few_the_images():
    values = [cka(RNG.normal(size=(12, 64)), RNG.normal(size=(12, 64))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20


def test_cka_of_a_part_of_the_dimensions_is_the_share_it_explains():
    """Of two independent dimensions alike, one alone: HSIC 1 over sqrt(1 times 2)."""
    x = RNG.normal(size=(4000, 2))
    np.testing.assert_allclose(cka(x[:, :1], x), 0.5**0.5, atol=0.03)


def test_cka_says_nothing_of_constants_or_of_three_images():
    x = RNG.normal(size=(9, 2))
    assert np.isnan(cka(np.ones((9, 2)), x))
    assert np.isnan(cka(x[:3], x[:3]))
    with pytest.raises(ValueError, match="9 and 8 images"):
        cka(x, x[:8])


def test_the_interval_of_cka_covers_its_true_value_about_as_often_as_it_says():
    hits, true = 0, 0.5**0.5
    for _ in range(100):
        x = RNG.normal(size=(80, 2))
        low, high = cka_interval(x[:, :1], x, np.arange(80), level=0.9)
        hits += low <= true <= high
    assert 82 <= hits <= 98


def test_too_few_clusters_have_no_interval():
    x = RNG.normal(size=(40, 2))
    assert cka_interval(x, x, np.arange(40) // 4, level=0.95) is None


def test_the_effective_rank_counts_directions_that_are_used_alike():
    np.testing.assert_allclose(effective_rank(np.eye(8)[:5]), 5.0)
    np.testing.assert_allclose(effective_rank(np.outer(np.arange(1.0, 5.0), np.ones(3))), 1.0)


def test_spread_over_the_axes_and_collapse_by_hand():
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    np.testing.assert_allclose(feature_std(axes), 1.0)  # each dimension: sqrt(2 / 6), times sqrt(3)
    # Of each point's five others one is opposite (squared distance 4), four are at 2.
    np.testing.assert_allclose(uniformity(axes), np.log((np.exp(-8) + 4 * np.exp(-4)) / 5))
    point = np.tile([3.0, 4.0], (5, 1))
    np.testing.assert_allclose([feature_std(point), uniformity(point)], 0.0, atol=1e-12)
    assert np.isnan(uniformity(point[:1]))


def test_two_images_have_the_uniformity_of_their_one_distance():
    two = np.array([[3.0, 0.0], [0.0, 0.5]])
    assert uniformity(two) == pytest.approx(-2 * 2.0)  # squared distance of unit vectors
    assert uniformity(two[[0, 0]]) == pytest.approx(0.0)
    assert np.isnan(uniformity(two[:1]))
