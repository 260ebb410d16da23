"""Shrunk rates: by hand, and in simulation."""

import numpy as np
import pytest
from scipy import stats

from fairjax.metrics.shrinkage import shrink

ASKED = dict(draws=20_000, level=0.9, seed=0)


def test_each_rate_moves_towards_the_common_one_the_more_the_fewer_its_trials():
    rates, trials = np.array([0.3, 0.3, 0.1, 0.1]), np.array([10.0, 1000.0, 1000.0, 1000.0])
    found = shrink(rates, trials, **ASKED)
    common = (rates @ trials + 0.5) / (trials.sum() + 1)
    assert common < found.rates[0] < found.rates[1] < 0.3
    assert (found.low < found.rates).all() and (found.rates < found.high).all()
    assert found.worst.sum() == pytest.approx(1)


def test_with_one_strength_the_posterior_is_the_beta_distributions():
    rates, trials = np.array([0.25, 0.05]), np.array([1e6, 2e6])  # nothing left to borrow
    found = shrink(rates, trials, **ASKED)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-4)
    ends = stats.beta.ppf([0.05, 0.95], 0.25e6, 0.75e6)
    np.testing.assert_allclose([found.low[0], found.high[0]], ends, rtol=2e-3)
    np.testing.assert_array_equal(found.worst, [1, 0])


def test_alike_groups_are_drawn_together_and_others_are_not():
    rng = np.random.default_rng(1)
    trials = np.full(20, 200.0)
    alike = shrink(rng.binomial(200, 0.1, 20) / 200, trials, **ASKED)
    apart = shrink(rng.binomial(200, rng.beta(2, 18, 20)) / 200, trials, **ASKED)
    assert alike.strength > 5 * apart.strength
    assert alike.worst.max() < 0.5


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng, inside = np.random.default_rng(2), []
    for _ in range(60):
        true = rng.beta(4, 76, 12)
        trials = rng.integers(30, 400, 12)
        found = shrink(rng.binomial(trials, true) / trials, trials.astype(float), **ASKED)
        inside.append((found.low <= true) & (true <= found.high))
    assert 0.85 < np.mean(inside) < 0.95  # 0.9, give or take a few standard errors


def test_no_error_anywhere_has_no_rate_of_zero():
    found = shrink(np.zeros(3), np.array([10.0, 20.0, 30.0]), **ASKED)
    assert (found.rates > 0).all() and (found.high < 0.2).all()
    with pytest.raises(ValueError, match="nothing to shrink"):
        shrink(np.zeros(0), np.zeros(0), **ASKED)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_any_number_of_groups_is_shrunk_and_the_worst_named(groups):
    rates = np.full(groups, 0.05)
    rates[-1] = 0.4
    found = shrink(rates, np.full(groups, 500.0), **ASKED)
    assert found.rates.shape == found.low.shape == found.high.shape == (groups,)
    assert found.worst[-1] > 0.999 and found.rates[-1] == pytest.approx(0.4, abs=0.02)
    assert (found.rates[:-1] > 0.05).all() and (found.high[:-1] < found.low[-1]).all()
