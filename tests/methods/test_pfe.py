import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import TARGETS, Stage, make_batch, preprocess, train, value_and_gradient

from fairjax.losses.likelihood import genuine_pairs_loss
from fairjax.methods import METHODS
from fairjax.models.vit import ViT


def build(backbone=None, **settings):
    return METHODS["pfe"](
        backbone=backbone or Stage(norm=True), targets=TARGETS, preprocess=preprocess, **settings
    )


def test_the_loss_is_that_of_the_predicted_means_and_trained_variances(key):
    method, batch = build(), make_batch()
    loss, aux, gradient, params = value_and_gradient(method, batch, key)
    _, model_state = jax.jit(method.init)(key, batch)
    mean = jax.jit(method.predict)({"params": params, **model_state}, batch)["embedding"]
    # At the start gamma is 1e-4 and beta -7: every variance is close to 1e-6 + exp(-7).
    logs = jnp.full(mean.shape, jnp.log(1e-6 + jnp.exp(-7.0)))
    total, count = genuine_pairs_loss(mean, logs, batch["identity"], batch["mask"])
    assert count == 12  # six people with two images each, in both orders
    np.testing.assert_allclose(loss, total / count, rtol=1e-3)
    np.testing.assert_allclose(aux.scalars["loss"][0], 12 * loss, rtol=1e-5)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient["backbone"]))
    assert gradient["uncertainty"]["beta"] != 0


def test_training_moves_the_head_alone_and_lowers_the_loss(key):
    method, batch = build(), make_batch()
    before, model_state = jax.jit(method.init)(key, batch)
    state, logged = train(method, batch, key, steps=20, lr=1e-4)
    jax.tree.map(np.testing.assert_array_equal, state.params["backbone"], before["backbone"])
    jax.tree.map(
        np.testing.assert_array_equal,
        state.model_state["batch_stats"]["backbone"],
        model_state["batch_stats"]["backbone"],
    )
    assert logged[-1]["loss"] < logged[0]["loss"] - 1
    assert logged[-1]["standard_deviation"] > logged[0]["standard_deviation"]


def test_fusing_with_the_mirror_image_takes_the_smaller_variance(key):
    batch = make_batch()
    params, model_state = jax.jit(build().init)(key, batch)
    params["uncertainty"]["gamma"] = jnp.float32(1.0)  # variances that differ
    variables = {"params": params, **model_state}
    plain = jax.jit(build().predict)(variables, batch)
    mirrored = jax.jit(build().predict)(variables, {**batch, "image": batch["image"][:, :, ::-1]})
    both = jax.jit(build(tta="fuse").predict)(variables, batch)
    np.testing.assert_allclose(
        both["variance"], jnp.minimum(plain["variance"], mirrored["variance"]), rtol=1e-5
    )
    np.testing.assert_allclose(jnp.linalg.norm(both["embedding"], axis=1), 1, rtol=1e-5)
    assert not np.allclose(both["embedding"], plain["embedding"], atol=1e-3)


def test_a_person_with_one_image_in_the_batch_teaches_nothing(key):
    batch = make_batch(rows=6)
    loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
    assert loss == 0 and aux.scalars["loss"][1] == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))


def test_wrong_settings_are_one_line(key):
    with pytest.raises(ValueError, match="tta='sum' is not known; known: none, fuse"):
        build(tta="sum")
    with pytest.raises(ValueError, match="exposes no map 'stage_9'; pfe needs"):
        jax.jit(build(layer="stage_9").init)(key, make_batch())
    vit = ViT(dim=8, depth=1, heads=2, patch=4)
    with pytest.raises(
        ValueError, match="pfe needs config.backbone.name='iresnet', 'gac' or 'resnet'"
    ):
        jax.jit(build(vit).init)(key, make_batch())
