import jax
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

TASKS = {"gender": {"kind": "classes", "attribute": "gender"}}


def build(name="group_dro", **settings):
    return METHODS[name](
        backbone=Stage(), targets=TARGETS, preprocess=preprocess, tasks=TASKS, **settings
    )


def losses_of(method, batch, key):
    """The loss of each row, by the method's own prediction (no layer differs in training)."""
    params, model_state = jax.jit(method.init)(key, batch)
    columns = jax.jit(method.predict)({"params": params, **model_state}, batch)
    return np.asarray(columns["loss"], np.float64)


def test_the_loss_is_the_weighted_mean_of_the_groups_losses_by_hand(key):
    method, batch = build(step=0.5), make_batch()
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    rows, groups = losses_of(method, batch, key), np.asarray(batch["group"])
    means = np.array([rows[groups == g].mean() for g in range(3)])
    weights = np.exp(0.5 * means) / np.exp(0.5 * means).sum()
    np.testing.assert_allclose(loss, weights @ means, rtol=1e-4)
    np.testing.assert_allclose(aux.model_state["objective"]["weights"], weights, rtol=1e-4)
    assert is_finite(gradient)


def test_unknown_and_absent_groups_are_left_out(key):
    batch = make_batch()
    batch["group"] = jnp.where(batch["group"] == 2, -1, batch["group"])
    method = build(step=0.5)
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    rows, groups = losses_of(method, batch, key), np.asarray(batch["group"])
    means = np.array([rows[groups == g].mean() for g in range(2)])
    weights = np.exp([*(0.5 * means), 0.0])
    weights /= weights.sum()
    np.testing.assert_allclose(loss, weights[:2] @ means, rtol=1e-4)
    assert is_finite(gradient)
    assert float(aux.scalars["group_loss_C"][1]) == 0
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    assert not losses_without_rows(aux)
    assert float(loss) == 0
    assert is_finite(gradient)
    np.testing.assert_allclose(aux.model_state["objective"]["weights"], [1 / 3] * 3, rtol=1e-6)


def hard_group():
    """In groups A and B brightness tells the gender; in C it tells the opposite, in fewer rows."""
    rng = np.random.default_rng(0)
    group = np.array([0] * 20 + [1] * 20 + [2] * 8)
    gender = np.arange(48) % 2
    bright = np.where(group == 2, 1 - gender, gender)
    images = 64 + 128 * bright[:, None, None, None] + rng.integers(-30, 31, (48, 8, 8, 3))
    images[group == 2, :2] = 255  # a stripe by which C can be told
    return make_batch(
        rows=48,
        image=images.astype(np.uint8),
        group=group.astype(np.int32),
        gender=gender.astype(np.int32),
    )


def test_weights_move_to_the_worst_group_and_its_loss_falls(key):
    batch = hard_group()
    state, robust = train(build(step=0.1), batch, key, steps=40, lr=0.003)
    weights = np.asarray(state.model_state["objective"]["weights"])
    assert weights.argmax() == 2
    assert weights[2] > 0.5
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-5)
    plain, _ = train(build("classify"), batch, key, steps=40, lr=0.003)
    rows = np.asarray(build("classify").predict(plain.variables, batch)["loss"])
    assert robust[-1]["group_loss_C"] < 0.8 * rows[40:].mean()


def test_predictions_need_no_groups(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    columns = jax.jit(method.predict)(
        {"params": params, **model_state},
        {name: batch[name] for name in ("image", "mask")},
    )
    assert columns["prob_gender"].shape == (12, 2)
    np.testing.assert_allclose(jax.numpy.sum(columns["prob_gender"], axis=1), 1.0, rtol=1e-5)
