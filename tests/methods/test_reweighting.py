import jax.numpy as jnp
import numpy as np
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    losses_without_rows,
    make_batch,
    preprocess,
    train,
    value_and_gradient,
)

from fairjax.methods import METHODS
from fairjax.methods.reweighting import independence_weights

TASKS = {"gender": {"kind": "classes", "attribute": "gender"}}


def build(**settings):
    return METHODS["reweighting"](
        backbone=Stage(), targets=TARGETS, preprocess=preprocess, tasks=TASKS, **settings
    )


def test_weights_of_a_table_by_hand():
    # P(a) = 0.5, 0.5; P(y) = 0.6, 0.4; P(a, y) = 0.5, 0 / 0.1, 0.4.
    weights = independence_weights(jnp.array([[5.0, 0.0], [1.0, 4.0]]))
    np.testing.assert_allclose(weights, [[0.6, 1.0], [3.0, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(independence_weights(jnp.zeros((2, 2))), np.ones((2, 2)))


def test_weighted_rows_make_group_and_label_independent():
    counts = np.array([[7.0, 2.0], [3.0, 9.0], [1.0, 4.0]])
    shares = counts * np.asarray(independence_weights(jnp.asarray(counts)))
    shares /= shares.sum()
    expected = shares.sum(1, keepdims=True) * shares.sum(0, keepdims=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-5)


def test_the_loss_weighs_each_row_by_its_cell(key):
    method, batch = build(), make_batch()
    batch["group"] = batch["group"].at[0].set(-1)
    batch["mask"] = batch["mask"].at[1].set(False)
    loss, aux, gradient, params = value_and_gradient(method, batch, key)
    rows = np.asarray(method.predict({"params": params}, batch)["loss"], np.float64)
    group, gender = np.asarray(batch["group"]), np.asarray(batch["gender"])
    counts = np.zeros((3, 2))
    for row in range(2, 12):
        counts[group[row], gender[row]] += 1
    np.testing.assert_array_equal(aux.model_state["objective"]["counts"], counts)
    weights = np.asarray(independence_weights(jnp.asarray(counts)))
    total = rows[0] + sum(weights[group[i], gender[i]] * rows[i] for i in range(2, 12))
    np.testing.assert_allclose(loss, total / 11, rtol=1e-4)
    assert is_finite(gradient)


def test_counts_add_up_over_steps(key):
    state, _ = train(build(), make_batch(), key, steps=3)
    assert float(state.model_state["objective"]["counts"].sum()) == 36


def test_without_known_groups_rows_weigh_one(key):
    method, batch = build(), make_batch()
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    assert not losses_without_rows(aux)
    np.testing.assert_allclose(loss, aux.scalars["loss_tasks"][0], rtol=1e-5)
    assert is_finite(gradient)


def test_predictions_depend_less_on_a_group_that_tells_nothing_by_itself(key):
    """Nothing but the group is in the image; its label is male in 80 or 20 percent of rows."""
    group = np.arange(40) % 2
    gender = np.where(group == 0, np.arange(40) % 10 < 8, np.arange(40) % 10 < 2).astype(int)
    images = np.full((40, 8, 8, 3), 90) + 60 * group[:, None, None, None]
    batch = make_batch(
        rows=40,
        image=images.astype(np.uint8),
        group=group.astype(np.int32),
        gender=gender.astype(np.int32),
    )

    def gap(name):
        method = METHODS[name](
            backbone=Stage(), targets=TARGETS, preprocess=preprocess, tasks=TASKS
        )
        state, _ = train(method, batch, key, steps=60, lr=0.02)
        probability = np.asarray(method.predict(state.variables, batch)["prob_gender"])[:, 1]
        return abs(probability[group == 0].mean() - probability[group == 1].mean())

    plain, reweighted = gap("classify"), gap("reweighting")
    assert plain > 0.4  # the data's 0.6
    assert reweighted < 0.1
