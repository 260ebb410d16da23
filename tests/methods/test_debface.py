import jax
import jax.numpy as jnp
import numpy as np
import pytest
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


def build(dim=8, **settings):
    defaults = {"scale": 8.0, "margin": 0.1}
    return METHODS["debface"](
        backbone=Stage(dim=dim),
        targets=TARGETS,
        preprocess=preprocess,
        **{**defaults, **settings},
    )


def mean(scalars, name):
    total, count = scalars[name]
    return float(total) / float(count)


TERMS = (
    "independence_loss",
    "loss_identity",
    "loss_group",
    "confusion_identity_in_group",
    "confusion_group_in_identity",
    "confusion",
)


def test_the_loss_is_the_sum_of_its_terms_and_reaches_every_part(key):
    loss, aux, gradient, params = value_and_gradient(build(), make_batch(), key)
    assert aux.scalars.keys() == {"loss", *TERMS}
    np.testing.assert_allclose(loss, mean(aux.scalars, "loss"), rtol=1e-6)
    np.testing.assert_allclose(loss, sum(mean(aux.scalars, t) for t in TERMS), rtol=1e-5)
    assert is_finite(gradient)
    assert params.keys() == {
        "backbone",
        "discriminator",
        "head_group_bias",
        "head_group_kernel",
        "identity_kernel",
    }
    for part in params:
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient[part])) > 0


def test_terms_of_the_blocks_by_hand(key):
    method, batch = build(), make_batch()
    _, aux, _, params = value_and_gradient(method, batch, key)
    x = jax.lax.conv_general_dilated(
        preprocess(batch["image"]),
        params["backbone"]["Conv_0"]["kernel"],
        (2, 2),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = np.maximum(np.asarray(x, np.float64), 0).reshape(12, -1)  # biases start at 0
    x = x @ np.asarray(params["backbone"]["Dense_0"]["kernel"], np.float64)
    group_block, identity_block = x[:, :4], x[:, 4:]

    def log_softmax(logits):
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    head = np.asarray(params["head_group_kernel"], np.float64)
    rows, groups = np.arange(12), np.asarray(batch["group"])
    own = -log_softmax(group_block @ head)[rows, groups].mean()
    np.testing.assert_allclose(mean(aux.scalars, "loss_group"), own, rtol=1e-3)
    told = -log_softmax(identity_block @ head).mean()
    np.testing.assert_allclose(mean(aux.scalars, "confusion_group_in_identity"), told, rtol=1e-3)
    weights = np.asarray(params["identity_kernel"], np.float64)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    people = np.asarray(batch["identity"])
    for block, term, row_term in (
        (identity_block, "loss_identity", lambda z: -z[rows, people]),
        (group_block, "confusion_identity_in_group", lambda z: -z.mean(1)),
    ):
        cosines = block / np.linalg.norm(block, axis=1, keepdims=True) @ weights.T
        logits = 8 * (cosines - 0.1 * np.eye(6)[people])
        np.testing.assert_allclose(
            mean(aux.scalars, term), row_term(log_softmax(logits)).mean(), rtol=1e-3
        )


def test_making_blocks_uninformative_moves_the_encoder_alone(key):
    batch = make_batch()
    _, _, without, _ = value_and_gradient(build(adversary_weight=0.0), batch, key)
    _, _, with_it, _ = value_and_gradient(build(adversary_weight=5.0), batch, key)
    for part in without:
        apart = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), without[part], with_it[part])
        apart = max(float(leaf) for leaf in jax.tree.leaves(apart))
        assert (apart > 1e-3) == (part == "backbone"), part


def test_a_face_is_its_identity_block(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    before = jax.jit(method.predict)({"params": params, **model_state}, batch)["embedding"]
    assert before.shape == (12, 4)
    dense = params["backbone"]["Dense_0"]
    dense["kernel"] = dense["kernel"].at[:, :4].mul(-3.0)  # the group's block
    after = jax.jit(method.predict)({"params": params, **model_state}, batch)["embedding"]
    np.testing.assert_allclose(before, after, rtol=1e-6)


def test_unknown_and_absent_groups_give_no_nan_and_count_for_the_other_terms(key):
    batch = make_batch()
    batch["group"] = jnp.where(batch["group"] == 2, -1, batch["group"])
    loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
    assert is_finite((loss, gradient))
    assert float(aux.scalars["loss_group"][1]) == 8
    assert float(aux.scalars["loss_identity"][1]) == 12
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
    assert not losses_without_rows(aux)
    assert is_finite((loss, gradient))


def test_a_width_that_cannot_be_cut_is_refused(key):
    with pytest.raises(ValueError, match="dim=7 must be a multiple of the 2 blocks"):
        jax.jit(build(dim=7).init)(key, make_batch())


def test_the_group_head_learns_less_from_the_identity_block(key):
    def told(weight):
        method = build(adversary_weight=weight)
        _, logged = train(method, make_batch(rows=24), key, steps=60, lr=0.02)
        return logged[-1]

    free, confused = told(0.0), told(1.0)
    chance = np.log(3)
    free_gap = free["confusion_group_in_identity"] - chance
    assert confused["confusion_group_in_identity"] - chance < 0.5 * free_gap
    assert confused["loss_group"] < 0.5 * chance  # its own block still tells the group
