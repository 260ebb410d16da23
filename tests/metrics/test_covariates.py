"""Rates with covariates held, against a route that shares no code with ours."""

import dataclasses

import numpy as np
import pytest
from scipy import optimize, special, stats

from fairjax.metrics.clustered import dyads
from fairjax.metrics.covariates import Quartiles, Standardised, standardise


def drawn(seed=0, *, people=24, pairs=900, mated=False):
    """Errors of two groups' pairs, one covariate, and who is on the pairs."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, pairs)
    subject = rng.integers(0, people // 2, (pairs, 2)) + (group * (people // 2))[:, None]
    if mated:
        subject[:, 1] = subject[:, 0]
    x = rng.standard_normal(pairs) + group
    shared = rng.standard_normal(people)[subject].sum(axis=1)
    error = rng.random(pairs) < special.expit(-1.5 + x + 0.5 * group + 0.5 * shared)
    return error, group, x, subject


def by_hand(error, group, x, subject):
    """Rates and their dyadic covariance by scipy's optimiser and a loop over couples of pairs."""
    z = np.column_stack([group, x, np.ones(len(x))])

    def loss(beta):
        return np.logaddexp(0, np.where(error, -1, 1) * (z @ beta)).sum()

    beta = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9}).x
    p = special.expit(z @ beta)
    hessian = (z * (p * (1 - p))[:, None]).T @ z
    held, values = [], []
    for case in (0, 1):
        as_if = z.copy()
        as_if[:, 0] = case
        q = special.expit(as_if @ beta)
        slope = np.linalg.solve(hessian, ((q * (1 - q))[:, None] * as_if).mean(axis=0))
        held.append(q.mean())
        values.append((q - q.mean()) / len(q) + (z @ slope) * (error - p))
    values = np.array(values)
    covariance = np.zeros((2, 2))
    for i in range(len(x)):
        dependent = (subject == subject[i, 0]).any(axis=1) | (subject == subject[i, 1]).any(axis=1)
        covariance += np.outer(values[:, i], values[:, dependent].sum(axis=1))
    return held, covariance


@pytest.mark.parametrize("mated", [False, True])
def test_rates_and_variances_are_those_of_a_route_by_hand(mated):
    error, group, x, subject = drawn(mated=mated)
    fit = standardise(error, group, x[:, None], dyads(subject))
    held, covariance = by_hand(error, group, x, subject)
    np.testing.assert_allclose(fit.held, held, rtol=1e-4)
    np.testing.assert_allclose(fit.found, [error[group == g].mean() for g in (0, 1)])
    # ours is a little larger: rates are estimated from the same pairs
    ratio = np.diag(fit.covariance)[2:4] / np.diag(covariance)
    assert ((ratio > 0.999) & (ratio < 1.5)).all()
    correlation = fit.covariance[2, 3] / np.sqrt(fit.covariance[2, 2] * fit.covariance[3, 3])
    wanted = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert correlation == pytest.approx(wanted, abs=2e-3)


def test_order_and_numbers_of_people_play_no_part():
    error, group, x, subject = drawn()
    fit = standardise(error, group, x[:, None], dyads(subject))
    order = np.random.default_rng(3).permutation(len(x))
    other = standardise(error[order], group[order], x[order, None], dyads(97 - subject[order]))
    np.testing.assert_allclose(other.held, fit.held, rtol=1e-9)
    np.testing.assert_allclose(other.covariance, fit.covariance, rtol=1e-6, atol=1e-12)


def test_the_effect_of_a_covariate_is_the_rate_at_one_end_less_that_at_the_other():
    error, group, x, subject = drawn(pairs=4000)
    ends = (float(np.quantile(x, 0.25)), float(np.quantile(x, 0.75)))
    quartiles = [Quartiles((0,), ends[:1], ends[1:])]
    fit = standardise(error, group, x[:, None], dyads(subject), quartiles=quartiles)
    effect = fit.effect(0, level=0.95)
    assert effect.value == pytest.approx(fit.at_high[0] - fit.at_low[0])
    near = [error[abs(x - end) < 0.25].mean() for end in ends]  # group changes little between
    assert fit.at_low[0] == pytest.approx(near[0], abs=0.06)
    assert fit.at_high[0] == pytest.approx(near[1], abs=0.06)
    assert effect.interval[0] > 0 and effect.p < 1e-6


def test_groups_whose_pictures_are_apart_do_not_overlap():
    error, group, x, subject = drawn()
    near = standardise(error, group, (x - group)[:, None], dyads(subject))
    assert near.overlap.min() > 0.99
    apart = standardise(error, group, (x + 8 * group)[:, None], dyads(subject))
    np.testing.assert_allclose(apart.overlap, [np.mean(group == 0), np.mean(group == 1)], atol=0.1)


def test_equality_is_rejected_where_groups_differ_and_only_there():
    error, group, x, subject = drawn(pairs=6000, people=400)
    fit = standardise(error, group, x[:, None], dyads(subject))
    assert fit.equality(held=False) < 1e-6  # x - and so errors - are higher in one group
    shuffled = np.random.default_rng(1).permutation(error)
    assert standardise(shuffled, group, x[:, None], dyads(subject)).equality(held=True) > 0.01


def test_a_variance_that_comes_out_negative_shows_nothing():
    error, group, x, subject = drawn()
    fit = standardise(error, group, x[:, None], dyads(subject))
    indefinite = dataclasses.replace(fit, covariance=-fit.covariance)
    assert indefinite.equality(held=False) == 1.0


def test_a_group_without_errors_is_refused():
    error, group, x, subject = drawn()
    with pytest.raises(ValueError, match="each group needs"):
        standardise(error & (group == 1), group, x[:, None], dyads(subject))


def test_a_group_whose_pairs_all_share_a_person_is_refused():
    error, group, x, subject = drawn()
    subject[group == 1, 0] = 23
    with pytest.raises(ValueError, match="no person in common"):
        standardise(error, group, x[:, None], dyads(subject))


def exact(groups, *, apart=0.0):
    """Two covariance blocks and rates of groups, as a fit gives them, without a covariate."""
    found = np.full(groups, 0.2)
    found[-1] += apart
    covariance = np.diag(np.tile(1e-3 * np.arange(1, groups + 1), 2))
    people = np.full(groups, 30.0)
    return Standardised(found, found, np.zeros(0), np.zeros(0), covariance, people, np.ones(groups))


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_equality_of_any_number_of_groups_is_the_weighted_sum_of_squares(groups):
    assert exact(groups).equality(held=False) == pytest.approx(1.0)
    fit = exact(groups, apart=0.15)
    logits, slope = special.logit(fit.found), fit.found * (1 - fit.found)
    weight = slope**2 / np.diag(fit.covariance)[:groups]
    mean = logits @ weight / weight.sum()
    statistic = (logits - mean) ** 2 @ weight / (groups - 1)
    expected = stats.f.sf(statistic, groups - 1, 29 * groups)
    assert fit.equality(held=False) == pytest.approx(expected)
    assert fit.equality(held=True) == pytest.approx(expected)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_without_a_covariate_held_rates_are_those_found_in_any_number_of_groups(groups):
    rng = np.random.default_rng(groups)
    group = np.arange(600) % groups
    subject = rng.integers(0, 12, (600, 2)) + 12 * group[:, None]
    error = rng.random(600) < np.linspace(0.15, 0.4, groups)[group]
    fit = standardise(error, group, np.zeros((600, 1)), dyads(subject))
    rates = [error[group == one].mean() for one in range(groups)]
    np.testing.assert_allclose(fit.found, rates)
    np.testing.assert_allclose(fit.held, rates, atol=1e-3)  # but for the ridge
    contrast = fit.log_ratio(groups - 1, 0, held=False, level=0.95)
    assert contrast.value == pytest.approx(np.log(rates[-1] / rates[0]))
