import itertools
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairjax.metrics import clustered as c


def people_with_errors(seed: int, *, pairs: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Non-mated pairs of nine people, some of whom are taken for others more often."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 9, pairs)
    subject = np.stack([first, (first + rng.integers(1, 9, pairs)) % 9], axis=1)
    return rng.random(pairs) < 0.1 + 0.05 * subject.min(axis=1), subject * 7 + 3


def written_out(error: np.ndarray, subject: np.ndarray) -> float:
    """The variance as a sum over couples of pairs with a common person, over the others' number."""
    residual = error - error.mean()
    total, apart = 0.0, 0
    for p, q in itertools.product(range(len(error)), repeat=2):
        if set(subject[p].tolist()) & set(subject[q].tolist()):
            total += residual[p] * residual[q]
        else:
            apart += 1
    return total / apart


@pytest.mark.parametrize("seed", range(5))
def test_the_dyadic_variance_is_the_double_sum_written_out(seed: int) -> None:
    error, subject = people_with_errors(seed)
    found = c.clustered_rate(error, subject)
    expected = max(written_out(error, subject), found.rate * (1 - found.rate) / len(error))
    assert found.variance == pytest.approx(expected)
    assert (found.errors, found.trials, found.people) == (error.sum(), 60, 9)


@pytest.mark.parametrize("seed", range(5))
def test_mated_pairs_have_the_variance_clustered_by_subject(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = rng.integers(0, 12, 80)
    error = rng.random(80) < (person % 3) / 4
    p = error.mean()
    clusters = [(error[person == i].sum(), np.sum(person == i)) for i in np.unique(person)]
    expected = sum((e - m * p) ** 2 for e, m in clusters) / (80**2 - sum(m**2 for _, m in clusters))
    found = c.clustered_rate(error, np.stack([person, person], axis=1))
    assert found.variance == pytest.approx(max(expected, p * (1 - p) / 80))
    assert found.independent == found.people == len(clusters)


def test_the_variance_over_both_kinds_of_pairs_is_the_double_sum_too() -> None:
    error, subject = people_with_errors(2)
    subject[::3, 1] = subject[::3, 0]
    expected = written_out(error, subject)
    assert expected > error.mean() * (1 - error.mean()) / len(error)
    assert c.clustered_rate(error, subject).variance == pytest.approx(expected)


def test_worked_by_hand() -> None:
    # A and B twice, both errors; A and C, C and D: residuals 1, -1/2, -1/2
    error = np.array([True, True, False, False])
    subject = np.array([[1, 2], [2, 1], [1, 3], [4, 3]])
    found = c.clustered_rate(error, subject)
    # people's sums 1/2, 1, -1, -1/2: Q = 5/2 - 3/2 = 1; of the trials (9 + 4 + 4 + 1) - 6 = 12
    assert found.variance == pytest.approx(1 / (16 - 12))
    assert found.design_effect == pytest.approx(4)
    assert found.effective_trials == pytest.approx(1)
    # two people with 2 pairs each, one always wrong: (1 + 1) / (16 - 8)
    mated = np.array([[1, 1], [1, 1], [2, 2], [2, 2]])
    assert c.clustered_rate(error, mated).variance == pytest.approx(1 / 4)


@pytest.mark.parametrize("mated", [True, False])
def test_the_variance_is_unbiased_where_people_are_alike(mated: bool) -> None:
    rng = np.random.default_rng(0)
    couple = np.stack(np.triu_indices(8, 1), axis=1)
    subject = np.repeat(np.arange(8), 4)[:, None].repeat(2, axis=1) if mated else couple
    rates, variances = [], []
    for _ in range(1500):
        likeness = rng.normal(size=8)[subject].sum(axis=1)
        found = c.clustered_rate(likeness + rng.normal(size=len(subject)) > 0.5, subject)
        rates.append(found.rate)
        variances.append(found.variance)
    assert np.nanmean(variances) == pytest.approx(np.var(rates), rel=0.08)


def test_one_person_says_nothing_about_others() -> None:
    error = np.array([True, False, True])
    for subject in (np.full((3, 2), 7), np.array([[7, 1], [2, 7], [7, 3]])):
        found = c.clustered_rate(error, subject)
        assert np.isnan([found.variance, found.design_effect, found.effective_trials]).all()
        assert found.interval(level=0.95) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.randoms())
def test_order_of_pairs_sides_and_names_play_no_part(seed: int, random: object) -> None:
    error, subject = people_with_errors(seed)
    rows = list(range(len(error)))
    random.shuffle(rows)  # type: ignore[attr-defined]
    other = -5 * subject[rows][:, ::-1]
    ours, theirs = c.clustered_rate(error, subject), c.clustered_rate(error[rows], other)
    assert theirs.variance == pytest.approx(ours.variance)
    assert (theirs.errors, theirs.trials, theirs.people) == (ours.errors, ours.trials, ours.people)


def test_sums_by_dyad_give_the_same_as_pairs_and_dyads_serve_many_thresholds() -> None:
    error, subject = people_with_errors(4, pairs=200)
    dyads = c.dyads(subject)
    assert dyads.trials.sum() == 200
    assert (dyads.people[:, 0] < dyads.people[:, 1]).all()
    names = np.unique(subject)
    np.testing.assert_array_equal(names[dyads.people[dyads.position]], np.sort(subject, axis=1))
    expected = astuple(c.clustered_rate(error, subject))  # with a NaN, which equals none
    np.testing.assert_equal(astuple(c.clustered_rate(error, dyads)), expected)
    errors = np.bincount(dyads.position[error], minlength=len(dyads.trials))
    sums = c.DyadSums(dyads.trials, names[dyads.people])
    np.testing.assert_equal(astuple(sums.rate(errors)), expected)


def test_without_errors_people_count_and_not_pairs() -> None:
    fifty = np.array(list(itertools.combinations(range(50), 2)))
    none = c.clustered_rate(np.zeros(len(fifty), bool), fifty)
    assert none.trials == 1225
    assert 20 <= none.independent <= 25  # of 50 people at most 25 pairs without a common person
    low, high = none.interval(level=0.95)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / none.independent)))
    assert np.isnan(none.design_effect)
    assert none.effective_trials == none.independent
    mated = np.repeat(np.arange(40), 30)
    none = c.clustered_rate(np.zeros(1200, bool), np.stack([mated, mated], axis=1))
    assert none.independent == 40
    assert none.interval(level=0.95)[1] == pytest.approx(3.69 / 40, rel=0.05)
    every = c.clustered_rate(np.ones(1200, bool), np.stack([mated, mated], axis=1))
    assert every.interval(level=0.95) == pytest.approx((1 - none.interval(level=0.95)[1], 1))


def test_one_person_in_all_pairs_is_one_independent_trial() -> None:
    star = np.stack([np.zeros(30, np.int64), np.arange(1, 31)], axis=1)
    assert c.clustered_rate(np.zeros(30, bool), star).independent == 1
    chain = np.stack([np.arange(30), np.arange(1, 31)], axis=1)
    assert 10 <= c.clustered_rate(np.zeros(30, bool), chain).independent <= 15


def test_no_pairs_have_no_rate() -> None:
    nothing = c.clustered_rate(np.zeros(0, bool), np.zeros((0, 2), np.int64))
    assert np.isnan([nothing.rate, nothing.variance, nothing.design_effect]).all()
    assert nothing.interval(level=0.95) is None


@pytest.mark.parametrize(("errors", "trials"), [(0, 10), (1, 10), (7, 300), (10, 10)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_s_interval_is_scipy_s_on_whole_trials(
    errors: int, trials: int, level: float
) -> None:
    theirs = stats.binomtest(errors, trials).proportion_ci(level, method="wilson")
    ours = c.wilson_interval(errors / trials, trials, level=level)
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=1e-12)


def test_wilson_s_interval_lies_between_those_of_whole_trials() -> None:
    narrow, between, wide = (c.wilson_interval(0.1, n, level=0.95) for n in (41, 40.5, 40))
    assert wide[0] < between[0] < narrow[0]
    assert narrow[1] < between[1] < wide[1]


def test_independent_pairs_have_wilson_s_interval_nearly() -> None:
    apart = np.arange(2000).reshape(1000, 2)
    found = c.clustered_rate(np.arange(1000) < 120, apart)
    assert found.independent == 1000
    assert found.variance == pytest.approx(0.12 * 0.88 / 999)
    expected = [float(x) for x in c.wilson_interval(0.12, 1000, level=0.95)]
    assert found.interval(level=0.95) == pytest.approx(expected, rel=2e-3)


def test_few_people_widen_the_interval_as_student_s_quantile_does() -> None:
    person = np.repeat(np.arange(6), 5)
    found = c.clustered_rate(np.arange(30) % 4 == 0, np.stack([person, person], axis=1))
    wider = stats.t.ppf(0.975, 5) / stats.norm.ppf(0.975)
    expected = c.wilson_interval(found.rate, found.effective_trials / wider**2, level=0.95)
    assert found.interval(level=0.95) == pytest.approx([float(x) for x in expected])


def test_the_variance_of_resampled_rates_stands_for_the_clustered_one() -> None:
    person = np.repeat(np.arange(50), 8)
    found = c.clustered_rate(np.arange(400) % 10 == 0, np.stack([person, person], axis=1))
    wide = found.with_variance_of(np.array([0.05, np.nan, 0.15]))
    assert wide.variance == pytest.approx(0.05**2)
    assert wide.effective_trials == pytest.approx(0.1 * 0.9 / 0.05**2)
    assert wide.rate == found.rate
    narrow = found.with_variance_of(np.array([0.1, 0.1]))  # never below independent trials
    assert narrow.variance == pytest.approx(0.1 * 0.9 / 400)
    unknown = found.with_variance_of(np.array([np.nan, 0.1]))
    assert unknown.interval(level=0.95) is None


def test_unequal_people_are_fewer_degrees_of_freedom() -> None:
    # one person with 45 pairs, nine with 5: (90)^2 / (45^2 + 9 x 25) = 3.6
    person = np.repeat(np.arange(10), [45] + [5] * 9)
    found = c.clustered_rate(np.arange(90) % 4 == 0, np.stack([person, person], axis=1))
    assert found.effective_people == pytest.approx(3.6)
    wider = stats.t.ppf(0.975, 2.6) / stats.norm.ppf(0.975)
    expected = c.wilson_interval(found.rate, found.effective_trials / wider**2, level=0.95)
    assert found.interval(level=0.95) == pytest.approx([float(x) for x in expected])
    fifty = np.array(list(itertools.combinations(range(50), 2)))
    assert c.clustered_rate(np.zeros(len(fifty), bool), fifty).effective_people == 50


def test_the_design_effect_of_the_likeliest_errors_stands_in_where_errors_are_few() -> None:
    rng = np.random.default_rng(0)
    couple = np.array(list(itertools.combinations(range(50), 2)))
    score = rng.normal(size=50)[couple].sum(axis=1) + rng.normal(size=len(couple))
    couples = c.dyads(couple)
    effect = c.likeliest_design_effect(score, couples, mated=False)
    thirtieth = np.sort(score)[-30]
    assert effect == pytest.approx(c.clustered_rate(score >= thirtieth, couples).design_effect)
    assert effect > 2
    lowest = c.likeliest_design_effect(-score, couples, mated=True)
    assert lowest == pytest.approx(effect)
    highs = []
    for errors in range(5):  # the bound has no jump between no error and the next
        threshold = np.sort(score)[-errors] if errors else np.inf
        rate = replace(c.clustered_rate(score >= threshold, couples), likeliest_effect=effect)
        assert rate.effective_trials <= rate.trials / effect * (1 + 1e-9)
        highs.append(rate.interval(level=0.95)[1])
    assert highs == sorted(highs)
    assert highs[1] < 2 * highs[0]
    alone = c.clustered_rate(np.zeros(len(couple), bool), couples).interval(level=0.95)[1]
    assert highs[0] < alone / 2  # half as many pairs as people were all that counted
    many = replace(c.clustered_rate(score >= 0, couples), likeliest_effect=1e6)
    assert many.effective_trials == c.clustered_rate(score >= 0, couples).effective_trials


def test_the_bound_without_errors_keeps_its_coverage() -> None:
    rate, missed, without = 1.5e-3, 0, 0
    threshold = stats.norm.isf(rate)
    couple = np.array(list(itertools.combinations(range(40), 2)))
    couples = c.dyads(couple)
    for k in range(300):
        rng = np.random.default_rng([3, k])
        score = np.sqrt(0.15) * rng.normal(size=40)[couple].sum(axis=1)
        score += np.sqrt(0.7) * rng.normal(size=len(couple))
        found = c.clustered_rate(score >= threshold, couples)
        if found.errors == 0:
            effect = c.likeliest_design_effect(score, couples, mated=False)
            without += 1
            missed += replace(found, likeliest_effect=effect).interval(level=0.95)[1] < rate
    assert without > 80 and missed == 0


def test_common_design_effects_pool_the_correlation_and_keep_each_group_s_structure() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for people, each in ((60, 5), (60, 20), (10, 40)):
        person = np.repeat(np.arange(people), each)
        skill = rng.beta(2, 18, people) if people > 10 else np.zeros(people)
        error = rng.random(len(person)) < skill[person]
        rates.append(c.clustered_rate(error, np.stack([person, person], axis=1)))
    effects = c.common_design_effects(rates)
    rho = (effects - 1) / (np.array([5, 20, 40]) - 1)  # of m pairs a person, m - 1 are others
    assert rho == pytest.approx([rho[0]] * 3)
    assert 0.02 < rho[0] < 0.1  # of beta(2, 18): 1 / 21
    assert rates[2].errors == 0 and effects[2] > 1
    assert np.isnan(c.common_design_effects([*rates, c.ClusteredRate(0, 0, 0, 0, np.nan)])[3])


def test_people_weigh_equally_in_the_person_mean() -> None:
    errors, trials = np.array([45, 0, 1, 0]), np.array([45, 5, 2, 8])
    value, interval = c.person_mean(errors, trials, level=0.95)
    assert value == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert interval[0] < value < interval[1]
    alone = value * (1 - value)
    wider = stats.t.ppf(0.975, 3) / stats.norm.ppf(0.975)
    variance = np.var([1, 0, 0.5, 0], ddof=1) / 4
    expected = c.wilson_interval(value, alone / variance / wider**2, level=0.95)
    assert interval == pytest.approx([float(x) for x in expected])
    assert c.person_mean(np.zeros(9, int), np.full(9, 7), level=0.95)[1] == pytest.approx(
        (0, 1 - 0.025 ** (1 / 9))
    )
    assert c.person_mean(np.array([1]), np.array([3]), level=0.95) == (1 / 3, None)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_a_common_correlation_is_the_ratio_of_covariances_over_all_groups(groups: int) -> None:
    rng = np.random.default_rng(groups)
    person = np.repeat(np.arange(40), 6)
    skill = rng.beta(2, 8, (groups, 40))
    rates, found, most = [], 0.0, 0.0
    for own in skill:
        error = rng.random(240) < own[person]
        rates.append(c.clustered_rate(error, np.stack([person, person], axis=1)))
        off = error - error.mean()
        by_person = np.bincount(person, weights=off)
        known = 240**2 - 40 * 6**2
        variance = (by_person @ by_person) / known  # of the mean, over couples that share a person
        alone = error.mean() * (1 - error.mean())
        found += (variance * 240 - alone) * 240
        most += alone * 5 * 240
    assert c.common_correlation(rates) == pytest.approx(found / most)
    np.testing.assert_allclose(c.common_design_effects(rates), 1 + 5 * found / most)


def test_one_effective_person_has_the_interval_of_one_degree_of_freedom() -> None:
    found = c.ClusteredRate(3, 10, 1, 1, 0.04, effective_people=1.0)
    wider = stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975)
    expected = c.wilson_interval(0.3, found.effective_trials / wider**2, level=0.95)
    assert found.interval(level=0.95) == pytest.approx([float(x) for x in expected])
