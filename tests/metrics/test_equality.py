"""The test that groups share one rate: worked by hand, against SciPy, and in simulation."""

import numpy as np
import pytest
from scipy import stats

from fairjax.metrics.clustered import clustered_rate, common_design_effects
from fairjax.metrics.equality import Known, equality, first_shown


def test_the_statistic_worked_by_hand() -> None:
    # mean 0.2; 100 (0.01 + 0.01) / (0.2 x 0.8)
    rates, weights = np.array([0.1, 0.3]), np.array([100.0, 100.0])
    assert equality(rates, weights, is_rate=True) == pytest.approx(2 / 0.16)
    assert equality(rates, weights, is_rate=False) == pytest.approx(2 / 0.04)
    assert equality(np.zeros(2), weights, is_rate=True) == 0
    assert equality(np.ones(2), weights, is_rate=True) == 0


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_it_is_pearson_s_chi_squared_on_independent_pairs(groups: int) -> None:
    rng = np.random.default_rng(groups)
    n = rng.integers(200, 900, groups)
    errors = rng.binomial(n, 0.05)
    theirs = stats.chi2_contingency(np.stack([errors, n - errors]), correction=False)
    ours = equality(errors / n, n.astype(float), is_rate=True)
    assert ours == pytest.approx(theirs.statistic)
    known = Known(errors.sum() / n.sum(), n.astype(float))
    p = known.p_value(errors / n, known.null(4000, seed=0), seed=0)
    assert p == pytest.approx(theirs.pvalue, abs=0.03)


def test_few_degrees_of_freedom_make_the_test_that_of_f() -> None:
    known = Known(0.3, np.full(3, 4000.0), freedom=6.0)
    rates = np.array([0.28, 0.30, 0.32])
    x = float(known.statistic(rates))
    expected = stats.f.sf(x / 2, 2, 6)
    p = known.p_value(rates, known.null(6000, seed=1), seed=1)
    assert p == pytest.approx(expected, abs=0.02) and p > 10 * stats.chi2.sf(x, 2)


@pytest.mark.parametrize("trials", [300.0, 3000.0])  # drawn, and from the chi-squared distribution
def test_a_gap_of_the_detectable_ratio_is_found_four_times_in_five(trials: float) -> None:
    known = Known(0.05, np.full(4, trials))
    ratio = known.detectable_ratio(alpha=0.05, seed=0)
    true = np.array([ratio, 1, 1, 1])
    true *= 0.05 * 4 / true.sum()
    rng = np.random.default_rng(1)
    null = known.null(999, seed=2)
    found = [
        known.p_value(rng.binomial(int(trials), true) / trials, null, seed=2) <= 0.05
        for _ in range(400)
    ]
    assert 0.73 < np.mean(found) < 0.87


def test_the_value_of_the_wanted_power_lies_between_those_tried() -> None:
    # from 0.6 at 2 to 0.9 at 8: normal quantiles 0.2533, 0.8416 for 0.8, and 1.2816
    way = (0.8416212 - 0.2533471) / (1.2815516 - 0.2533471)
    power = {1.0: 0.1, 2.0: 0.6, 8.0: 0.9, 16.0: 1.0}
    assert first_shown(np.array([*power]), power.get) == pytest.approx(2 * 4**way, rel=1e-5)
    assert first_shown(np.array([8.0, 16.0]), power.get) == 8
    assert first_shown(np.array([1.0, 2.0]), power.get) is None


def test_people_needed_make_the_ratio_detectable() -> None:
    known = Known(0.02, np.full(3, 400.0))
    factor = known.people_factor(2.0, alpha=0.025, seed=0)
    more = Known(0.02, known.trials * factor)
    assert more.detectable_ratio(alpha=0.025, seed=0) == pytest.approx(2.0, rel=0.06)
    assert known.detectable_ratio(alpha=0.025, seed=0) > 2.3


def test_a_stricter_level_and_fewer_trials_need_a_larger_ratio() -> None:
    plain = Known(0.02, np.full(4, 2000.0)).detectable_ratio(alpha=0.05, seed=0)
    assert Known(0.02, np.full(4, 2000.0)).detectable_ratio(alpha=0.005, seed=0) > plain
    assert Known(0.02, np.full(4, 1000.0)).detectable_ratio(alpha=0.05, seed=0) > plain
    assert Known(1e-3, np.full(4, 50.0)).detectable_ratio(alpha=0.05, seed=0) is None


def test_means_of_positive_numbers_have_a_detectable_ratio_too() -> None:
    # one of many groups 10 % above: the noncentral chi-squared gives the power by hand
    known = Known(5.0, np.full(4, 900.0), is_rate=False)
    ratio = known.detectable_ratio(alpha=0.05, seed=0)
    apart = 900 * 3 / 4 * (ratio - 1) ** 2 / ((3 + ratio) / 4) ** 2
    power = stats.ncx2.sf(stats.chi2.isf(0.05, 3), 3, apart)
    assert power == pytest.approx(0.8, abs=0.01)


def test_the_null_has_the_pooled_mean_and_the_variance_of_effective_trials() -> None:
    known = Known(0.0275, np.array([1000.0, 1000.0, 2000.0]))
    null = known.null(4000, seed=0)
    np.testing.assert_allclose(null.mean(axis=0), 0.0275, rtol=0.02)
    expected = np.sqrt(0.0275 * 0.9725 / known.trials)
    np.testing.assert_allclose(null.std(axis=0), expected, rtol=0.04)
    np.testing.assert_array_equal(null, known.null(4000, seed=0))
    assert (Known(0.0, np.full(2, 10.0)).null(50, seed=0) == 0).all()


def test_a_planted_gap_is_found_and_none_is_not() -> None:
    known = Known(0.04, np.full(3, 2000.0))
    null = known.null(999, seed=0)
    assert known.p_value(np.array([0.03, 0.03, 0.06]), null, seed=0) < 0.01
    assert known.p_value(np.array([0.04, 0.042, 0.039]), null, seed=0) > 0.5


def shared_people(rng: np.random.Generator, *, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether 1,500 non-mated pairs of 40 people are errors, and the people on them."""
    couple = np.stack(np.triu_indices(40, 1), axis=1)[rng.permutation(780)]
    couple = np.concatenate([couple, couple])[:1500]
    likeness = np.sqrt(0.15) * rng.normal(size=40)[couple].sum(axis=1)
    score = likeness + np.sqrt(0.7) * rng.normal(size=len(couple))
    return score >= stats.norm.isf(rate), couple


@pytest.mark.parametrize("rate", [2e-2, 2e-3])
def test_fair_groups_of_shared_people_are_seldom_called_unequal(rate: float) -> None:
    rejected = 0
    for k in range(150):
        rng = np.random.default_rng([7, k])
        counted = [clustered_rate(*shared_people(rng, rate=rate)) for _ in range(3)]
        rates = np.array([one.rate for one in counted])
        if not rates.any():
            continue
        trials = np.array([one.trials for one in counted]) / common_design_effects(counted)
        freedom = sum(one.effective_people - 1 for one in counted)
        known = Known(float(rates @ trials / trials.sum()), trials, freedom)
        rejected += known.p_value(rates, known.null(199, seed=k), seed=k) <= 0.05
    assert rejected <= 15  # 5 % are 7.5; more than 15 come once in 200 times


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_power_and_detectable_ratio_of_any_number_of_groups(groups: int) -> None:
    known = Known(0.1, np.full(groups, 900.0))
    ratio = known.detectable_ratio(alpha=0.05, seed=0)
    others = 0.1 * groups / (groups - 1 + ratio)
    far = 900 * ((ratio * others - 0.1) ** 2 + (groups - 1) * (others - 0.1) ** 2) / (0.1 * 0.9)
    critical = stats.chi2.isf(0.05, groups - 1)
    power = stats.ncx2.sf(critical, groups - 1, far)
    assert power == pytest.approx(0.8, abs=0.005)
    assert known.power(ratio, alpha=0.05, seed=0) == pytest.approx(power, abs=1e-6)
    factor = known.people_factor(1.5, alpha=0.05, seed=0)
    more = Known(0.1, np.full(groups, 900.0 * factor))
    assert more.power(1.5, alpha=0.05, seed=0) == pytest.approx(0.8, abs=0.005)
    rates = np.full(groups, 0.1)
    rates[:2] = 0.09, 0.11
    x = float(known.statistic(rates))
    assert known.large_sample_p_value(rates) == pytest.approx(stats.chi2.sf(x, groups - 1))


@pytest.mark.parametrize(("pooled", "trials"), [(0.02, 1499.0), (0.98, 1499.0)])
def test_a_rate_near_one_is_as_rare_as_one_near_zero(pooled: float, trials: float) -> None:
    few, enough = (Known(pooled, np.array([2000.0, n])) for n in (trials, trials + 2))
    rates = np.full(2, pooled)
    assert few.large_sample_p_value(rates) is None  # 29.98 errors, or others
    assert enough.large_sample_p_value(rates) == 1.0
    means = Known(5.0, np.full(2, 9.0), is_rate=False)
    assert means.large_sample_p_value(np.full(2, 5.0)) == 1.0
