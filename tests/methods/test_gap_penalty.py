import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import (
    TARGETS,
    TASKS,
    Stage,
    genders_by_group,
    is_finite,
    losses_without_rows,
    make_batch,
    preprocess,
    train,
    value_and_gradient,
)

from fairjax.methods import METHODS


def build(**settings):
    return METHODS["gap_penalty"](
        backbone=Stage(), targets=TARGETS, preprocess=preprocess, tasks=TASKS, **settings
    )


def gap(probability, groups, rows):
    """Mean absolute deviation of the groups' means from the mean of all known rows."""
    rows = rows & (groups >= 0)
    if not rows.any():
        return 0.0
    means = [probability[rows & (groups == g)].mean() for g in set(groups[rows].tolist())]
    return np.abs(np.array(means) - probability[rows].mean()).mean()


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity", "equalised_odds"])
def test_the_penalty_is_the_gap_of_the_criterion_by_another_route(key, criterion):
    batch = make_batch()
    batch["group"] = batch["group"].at[0].set(-1)
    method = build(criterion=criterion, weight=3.0)
    loss, aux, gradient, params = value_and_gradient(method, batch, key)
    columns = jax.jit(method.predict)({"params": params}, batch)
    probability = np.asarray(columns["prob_gender"], np.float64)
    groups, gender = np.asarray(batch["group"]), np.asarray(batch["gender"])
    everyone, expected = np.ones(12, bool), 0.0
    for k in range(2):
        of_class = gender == k
        expected += {
            "demographic_parity": gap(probability[:, k], groups, everyone),
            "equal_opportunity": gap(probability[:, k], groups, of_class),
            "equalised_odds": gap(probability[:, k], groups, of_class)
            + gap(probability[:, k], groups, ~of_class),
        }[criterion]
    np.testing.assert_allclose(aux.scalars["gap_penalty"][0], expected / 2, rtol=1e-4)
    main = float(aux.scalars["loss_tasks"][0])
    np.testing.assert_allclose(loss, main + 3 * expected / 2, rtol=1e-4)
    assert is_finite(gradient)


def test_unknown_and_absent_groups_give_no_nan(key):
    batch = make_batch()
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
    assert not losses_without_rows(aux)
    assert is_finite((loss, gradient))
    assert float(aux.scalars["gap_penalty"][0]) == 0
    batch["group"] = jnp.zeros_like(batch["group"])
    batch["gender"] = jnp.zeros_like(batch["gender"])  # no row of one class
    loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
    assert is_finite((loss, gradient))
    np.testing.assert_allclose(aux.scalars["gap_penalty"][0], 0.0, atol=1e-6)


def test_the_gap_in_demographic_parity_shrinks(key):
    batch = genders_by_group()

    def last(weight):
        method = build(criterion="demographic_parity", weight=weight)
        return train(method, batch, key, steps=60, lr=0.01)[1][-1]["gap_penalty"]

    free, penalised = last(0.0), last(8.0)
    assert free > 0.2
    assert penalised < 0.25 * free
