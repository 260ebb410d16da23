"""Plans of audits: worked by hand, against an independent route, and in simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from fairjax.metrics import planning
from fairjax.metrics.clustered import clustered_rate, common_correlation
from fairjax.metrics.planning import Design
from fairjax.protocols.verification.gaps import known_of


def test_the_correlation_of_errors_is_that_of_a_bivariate_normal_distribution():
    h = stats.norm.isf(0.05)
    both = stats.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]]).cdf([-h, -h])
    expected = (both - 0.05**2) / (0.05 * 0.95)
    assert planning.error_correlation(0.3, 0.05) == pytest.approx(expected, rel=1e-6)
    assert planning.error_correlation(0.0, 0.05) == pytest.approx(0, abs=1e-12)
    assert planning.error_correlation(1.0, 0.05) == pytest.approx(1)


def test_a_correlation_is_carried_over_through_the_scores():
    at_5, at_1 = (planning.error_correlation(0.3, rate) for rate in (0.05, 0.01))
    assert planning.latent_correlation(at_5, 0.05) == pytest.approx(0.3, abs=1e-9)
    carried = planning.carried_correlation(at_5, measured_at=0.05, planned_at=0.01)
    assert carried == pytest.approx(at_1, rel=1e-6)
    assert at_1 < at_5  # rarer errors cluster less


def test_pairs_and_design_effects_worked_by_hand():
    people = np.array([5.0])
    mated = Design("fnmr", 0.05, 0.1, images=4)
    assert mated.pairs(people) == 5 * 6
    assert mated.design_effect(people) == pytest.approx(1 + 0.1 * 5)
    nonmated = Design("fmr", 0.01, 0.1, images=2)
    assert nonmated.pairs(people) == 4 * 10
    assert nonmated.design_effect(people) == pytest.approx(1 + 0.1 * (4 * 7 - 1))
    some = Design("fmr", 0.01, 0.1, images=2, most_pairs=20)
    assert some.pairs(people) == 20
    assert some.design_effect(people) == pytest.approx(1 + 0.1 * 27 / 2)


def test_the_dependents_are_those_of_the_pairs_themselves():
    couple = np.stack(np.triu_indices(6, 1), axis=1)
    subject = np.repeat(couple, 4, axis=0)  # two images each
    found = clustered_rate(np.zeros(len(subject), bool), subject)
    assert found.dependents == 4 * (2 * 6 - 3)


def test_with_many_errors_the_power_is_that_of_the_chi_squared_test():
    design = Design("fnmr", 0.05, 0.1, images=4)
    people = planning.people_needed(design, 2.0, groups=2, alpha=0.025)
    trials = people * 6 / 1.5
    others = 2 * 0.05 / 3
    x = trials * (others - 0.05) ** 2 * 2 / (0.05 * 0.95)
    critical = stats.f.isf(0.025, 1, 2 * (people - 1))
    assert stats.ncx2.sf(critical, 1, x) == pytest.approx(0.8, abs=0.01)


def test_more_groups_images_and_power_change_the_number_as_they_must():
    design = Design("fnmr", 0.05, 0.1, images=4)
    base = planning.people_needed(design, 2.0, groups=4, alpha=0.025)
    more = Design("fnmr", 0.05, 0.1, images=8)
    assert planning.people_needed(more, 2.0, groups=4, alpha=0.025) < base
    assert planning.people_needed(design, 2.0, groups=4, alpha=0.025, power=0.95) > base
    assert planning.people_needed(design, 1.5, groups=4, alpha=0.025) > base
    shown = planning.detectable_ratio(design, np.full(4, float(base)), alpha=0.025)
    assert shown == pytest.approx(2, rel=0.01)


def test_too_few_people_show_nothing_and_too_small_a_ratio_cannot_be_planned():
    design = Design("fmr", 1e-5, 0.5, images=2)
    assert planning.detectable_ratio(design, np.full(3, 4.0), alpha=0.025) is None
    assert planning.people_needed(design, 1.001, groups=3, alpha=0.025) is None


@pytest.mark.parametrize("seed", [0])
def test_as_many_people_as_planned_show_the_ratio_in_four_of_five_simulated_audits(seed):
    fnmr, ratio, images, groups = 0.06, 3.0, 3, 3
    correlation = planning.assumed_correlation("fnmr", fnmr)
    design = Design("fnmr", fnmr, correlation, images)
    people = planning.people_needed(design, ratio, groups=groups, alpha=0.025)
    rng, shown, repeats = np.random.default_rng(seed), 0, 200
    others = fnmr * groups / (groups - 1 + ratio)
    true = np.full(groups, others)
    correlations = []
    for repeat in range(repeats):
        one = true.copy()
        one[repeat % groups] *= ratio
        rates = []
        for group in range(groups):
            own = math.sqrt(0.3) * rng.standard_normal((people, 1))
            z = own + math.sqrt(0.7) * rng.standard_normal((people, images))
            person = np.repeat(np.arange(people), images)
            wrong = (z < stats.norm.ppf(one[group])).ravel()
            rates.append(clustered_rate(wrong, np.stack([person, person], axis=1)))
        known = known_of(rates)
        null = known.null(400, seed=repeat)
        p = known.p_value(np.array([r.rate for r in rates]), null, seed=repeat)
        shown += p <= 0.025
        correlations.append(common_correlation(rates))
    assert 0.7 < shown / repeats < 0.9  # 0.8, give or take three standard errors
    assert np.mean(correlations) == pytest.approx(correlation, abs=0.03)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_people_for_any_number_of_groups_have_the_power_of_the_f_test(groups):
    design = Design("fnmr", 0.05, 0.1, images=4)
    people = planning.people_needed(design, 1.5, groups=groups, alpha=0.025)
    others = 0.05 * groups / (groups + 0.5)
    trials = people * 6 / 1.5
    far = trials * ((1.5 * others - 0.05) ** 2 + (groups - 1) * (others - 0.05) ** 2)
    critical = stats.f.isf(0.025, groups - 1, groups * (people - 1)) * (groups - 1)
    power = stats.ncx2.sf(critical, groups - 1, far / (0.05 * 0.95))
    assert power == pytest.approx(0.8, abs=0.015)
    shown = planning.detectable_ratio(design, np.full(groups, float(people)), alpha=0.025)
    assert shown == pytest.approx(1.5, rel=0.01)


def test_three_images_a_person_are_nine_pairs_of_two_people():
    people = np.array([5.0])
    design = Design("fmr", 0.01, 0.1, images=3)
    assert design.pairs(people) == 9 * 10
    assert design.design_effect(people) == pytest.approx(1 + 0.1 * (9 * 7 - 1))
