"""Logistic regression against an optimiser that knows nothing of Newton's method."""

import numpy as np
import pytest
from scipy import optimize

from fairjax.metrics import logistic
from fairjax.metrics.logistic import fit_logistic


def drawn(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    return x, rng.random(rows) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - x[:, 1] - 2)))


def test_the_fit_is_where_the_penalised_weighted_loss_is_smallest():
    x, label = drawn(300)
    weight = np.random.default_rng(1).uniform(0.5, 2, 300)

    def loss(beta):
        margin = np.where(label, 1, -1) * (x @ beta[:2] + beta[2])
        return 0.7 * (beta[:2] @ beta[:2]) / 2 + weight @ np.logaddexp(0, -margin)

    wanted = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    slope, intercept = fit_logistic(x, label, weight=weight, penalty=0.7)
    np.testing.assert_allclose([*slope, intercept], wanted, atol=1e-5)


def test_many_rows_start_from_a_part_and_end_where_all_rows_say(monkeypatch):
    x, label = drawn(30_000)
    whole = fit_logistic(x, label)
    monkeypatch.setattr(logistic, "_MANY", 1_000)
    started = fit_logistic(x, label)
    np.testing.assert_allclose(started[0], whole[0], rtol=1e-9)
    assert started[1] == pytest.approx(whole[1], rel=1e-9)


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match="one is missing"):
        fit_logistic(np.zeros((3, 1)), np.ones(3, bool))
