import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairjax.metrics import bootstrap as b
from fairjax.metrics import by_group
from fairjax.metrics.classification import mean, mean_rows


def everyone(n: int) -> np.ndarray:
    return np.zeros(n, np.int64)


def rates(values: np.ndarray, group: np.ndarray, draws: b.Draws, groups: int) -> np.ndarray:
    rows = mean_rows(values, np.ones(len(values), bool))
    return mean(b.resampled_sums(rows, group, draws, groups=groups))


def test_a_resample_takes_as_many_clusters_as_there_are_and_keeps_them_whole() -> None:
    cluster = np.array([7, 7, 7, -1, 4, 4])
    draws = b.draw(cluster, resamples=300, seed=3)
    assert draws.weights.shape == (3, 300)
    assert (draws.weights.sum(axis=0) == 3).all()
    np.testing.assert_array_equal(draws.position, [2, 2, 2, 0, 1, 1])
    sums = b.resampled_sums(np.eye(6), everyone(6), draws, groups=1)[:, 0]
    np.testing.assert_array_equal(sums, draws.weights[draws.position].T)


def test_resampled_sums_are_those_of_the_rows_written_out() -> None:
    rng = np.random.default_rng(0)
    cluster, group = rng.integers(0, 12, 40), rng.integers(0, 3, 40)
    rows = rng.normal(size=(40, 2, 3)) * (rng.random((40, 2, 3)) < 0.5)
    draws = b.draw(cluster, resamples=600, seed=0)  # more than two blocks
    ours = b.resampled_sums(rows, group, draws, groups=4)
    for resample in (0, 255, 256, 599):
        times = draws.weights[draws.position, resample]
        taken = np.repeat(np.arange(40), times)
        expected = by_group.group_sums(rows[taken], group[taken], groups=4)
        np.testing.assert_allclose(ours[resample], expected, atol=1e-12)


@settings(max_examples=40, deadline=None)  # a loaded machine is no failure
@given(st.integers(1, 30), st.integers(0, 2**31 - 1))
def test_weights_of_one_give_the_point_value(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, group = rng.random(n), rng.integers(0, 3, n)
    ones = b.Draws(np.ones((n, 1), np.uint8), np.arange(n))
    expected = by_group.by_group(np.mean, values, group=group, groups=3)
    np.testing.assert_allclose(rates(values, group, ones, 3)[0], expected)


def test_draws_repeat_and_differ_by_seed_and_don_t_depend_on_the_order_of_rows() -> None:
    cluster = np.array([5, 5, 9, 2, 2, 2])
    first = b.draw(cluster, resamples=50, seed=1)
    np.testing.assert_array_equal(first.weights, b.draw(cluster, resamples=50, seed=1).weights)
    again = b.draw(cluster[::-1], resamples=50, seed=1)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert (first.weights != b.draw(cluster, resamples=50, seed=2).weights).any()


def test_draws_are_those_of_the_documented_generator() -> None:
    draws = b.draw(np.arange(5), resamples=2, seed=11)
    rng = np.random.default_rng([11, 0])
    for resample in range(2):
        expected = np.bincount(rng.integers(5, size=5), minlength=5)
        np.testing.assert_array_equal(draws.weights[:, resample], expected)


def test_a_group_absent_from_a_resample_is_nan_there() -> None:
    draws = b.draw(np.arange(4), resamples=400, seed=0)
    found = rates(np.ones(4), np.array([0, 0, 0, 1]), draws, 2)
    absent = draws.weights[3] == 0
    assert 0.2 < absent.mean() < 0.45  # (3/4)^4 = 0.32
    np.testing.assert_array_equal(np.isnan(found[:, 1]), absent)
    assert b.percentile_interval(found[:, 1], level=0.95) == (1.0, 1.0)
    assert b.percentile_interval(np.full(3, np.nan), level=0.95) is None


def test_the_interval_of_a_mean_is_the_normal_one_and_clusters_widen_it() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    low, high = b.percentile_interval(
        rates(values, everyone(1000), b.draw(np.arange(1000), resamples=4000, seed=0), 1)[:, 0],
        level=0.95,
    )
    width = 2 * 1.96 * values.std() / np.sqrt(1000)
    assert high - low == pytest.approx(width, rel=0.05)
    copies, cluster = np.repeat(values, 4), np.repeat(np.arange(1000), 4)
    found = rates(copies, everyone(4000), b.draw(cluster, resamples=4000, seed=0), 1)[:, 0]
    np.testing.assert_allclose(b.percentile_interval(found, level=0.95), (low, high))


def test_a_difference_of_two_systems_on_the_same_rows_is_tighter_than_the_two_apart() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=500)
    one, other = hard + rng.normal(0, 0.1, 500), hard + 0.05 + rng.normal(0, 0.1, 500)
    draws = b.draw(np.arange(500), resamples=2000, seed=0)
    first, second = (rates(v, everyone(500), draws, 1)[:, 0] for v in (one, other))
    low, high = b.percentile_interval(second - first, level=0.95)
    expected = stats.t.interval(0.95, 499, np.mean(other - one), stats.sem(other - one))
    np.testing.assert_allclose((low, high), expected, atol=0.002)
    assert low > 0  # seen only because the systems share their draws


def test_the_gap_interval_covers_where_the_percentile_interval_cannot() -> None:
    group, truth = np.repeat(np.arange(5), [200, 90, 70, 80, 40]), 0.2
    draws = b.draw(np.arange(len(group)), resamples=300, seed=0)
    covered = {"gap": 0, "percentile": 0}
    for seed in range(60):
        values = np.random.default_rng(seed).random(len(group)) < truth
        point = by_group.by_group(np.mean, values, group=group, groups=5)
        resampled = rates(values, group, draws, 5)
        low, high = b.gap_interval(
            float(by_group.difference(point)), by_group.difference(resampled - point), level=0.9
        )
        covered["gap"] += low <= 0 <= high
        low, _ = b.percentile_interval(by_group.difference(resampled), level=0.9)
        covered["percentile"] += low <= 0
    assert covered["percentile"] == 0
    assert covered["gap"] >= 48  # 90 % nominal


def test_the_recentred_interval_holds_the_estimate_and_drops_the_bias() -> None:
    values = np.array([0.3, 0.4, 0.5, np.nan])
    low, high = b.recentred_interval(0.1, values, level=0.5)
    assert (low, high) == pytest.approx((0.05, 0.15))


@pytest.mark.parametrize("trials", [1, 10, 500])
@pytest.mark.parametrize("all_counted", [False, True])
def test_the_exact_interval_is_scipy_s(trials: int, all_counted: bool) -> None:
    theirs = stats.binomtest(trials * all_counted, trials).proportion_ci(0.9, method="exact")
    ours = b.exact_interval(all_counted=all_counted, trials=trials, level=0.9)
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=1e-12)


def test_permutations_keep_sizes_and_whole_clusters() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    group, cluster = np.array([0, 0, 0, 0, 2, 2]), np.array([0, 0, 1, 1, 2, 2])
    means = b.permuted_means(values, group, cluster, groups=3, permutations=600, seed=0)
    assert np.isnan(means[:, 1]).all()
    # the one cluster of ones is dealt to group 2 one time in three, else it is half of group 0
    assert set(map(tuple, means[:, [0, 2]])) == {(0.5, 0.0), (0.0, 1.0)}
    assert np.mean(means[:, 2]) == pytest.approx(1 / 3, abs=0.06)


def test_the_noise_floor_is_that_of_scipy_s_permutation_test() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat([0, 1], [30, 50])
    values = rng.normal(size=80) + 0.4 * group
    null = by_group.difference(
        b.permuted_means(values, group, np.arange(80), groups=2, permutations=4000, seed=0)
    )
    theirs = stats.permutation_test(
        (values[group == 0], values[group == 1]),
        lambda x, y, axis: np.abs(np.mean(x, axis=axis) - np.mean(y, axis=axis)),
        vectorized=True,
        n_resamples=4000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    observed = float(by_group.difference(by_group.by_group(np.mean, values, group=group, groups=2)))
    assert observed == pytest.approx(theirs.statistic)
    assert b.p_value(observed, null) == pytest.approx(theirs.pvalue, abs=0.01)
    floor = np.quantile(theirs.null_distribution, 0.95)
    assert np.quantile(null, 0.95) == pytest.approx(floor, rel=0.05)


def test_a_p_value_is_never_zero_and_counts_ties() -> None:
    null = np.array([0.1, 0.2, 0.3, 0.3])
    assert b.p_value(0.3, null) == 3 / 5
    assert b.p_value(0.1 + 0.2, null) == 3 / 5  # rounding doesn't turn a tie into a win
    assert b.p_value(9.0, null) == 1 / 5


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(ValueError, match="needs examples and resamples; got 0 and 5"):
        b.draw(np.zeros(0, np.int64), resamples=5, seed=0)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_sums_and_permutations_know_any_number_of_groups(groups: int) -> None:
    rng = np.random.default_rng(groups)
    group, cluster = np.arange(32) % groups, np.arange(32)
    values = rng.normal(size=32)
    draws = b.draw(cluster, resamples=20, seed=0)
    found = rates(values, group, draws, groups)
    for resample, weight in enumerate(draws.weights.T):
        for one in range(groups):
            own = weight[group == one]
            expected = values[group == one] @ own / own.sum() if own.sum() else np.nan
            assert found[resample, one] == pytest.approx(expected, nan_ok=True)
    means = b.permuted_means(values, group, cluster, groups=groups, permutations=20, seed=0)
    sizes = np.bincount(group)
    assert means.shape == (20, groups)
    np.testing.assert_allclose(means @ sizes, values.sum())  # every value is in one group
    assert (means.std(axis=0) > 0.05).all()
