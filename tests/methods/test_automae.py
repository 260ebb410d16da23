import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import Stage, make_batch, preprocess, train, value_and_gradient

from fairjax.methods import METHODS
from fairjax.models.discriminator import MaskDiscriminator
from fairjax.models.vit import ViT

VIT = ViT(dim=8, depth=1, heads=2, patch=4, positions="sincos")


def build(backbone=VIT, **settings):
    small = {"decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2}
    return METHODS["automae"](
        backbone=backbone, targets={}, preprocess=preprocess, **{**small, **settings}
    )


@pytest.fixture(scope="module")
def batch():
    return make_batch(rows=6, size=16)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_the_loss_is_the_sum_of_its_terms_and_every_selected_patch_is_masked(key, batch):
    loss, aux, gradient, params = value_and_gradient(build(), batch, key)
    mean = {name: float(total / n) for name, (total, n) in aux.scalars.items()}
    expected = mean["loss_reconstruction"] + mean["loss_discriminator"]
    np.testing.assert_allclose(loss, expected + 0.2 * mean["loss_generator"], rtol=1e-5)
    assert mean["selected_and_masked"] == 1.0
    assert 0 < mean["map_entropy"] <= np.log(16) + 1e-5
    assert largest(gradient["scorer"]) == 0
    for part in ("backbone", "generator", "discriminator", "decoder_embed"):
        assert largest(gradient[part]) > 0, part
    assert params.keys() == gradient.keys()


def test_each_adversary_moves_by_its_own_term_alone(key, batch):
    """The weight of the generator's wish moves the generator alone."""
    _, _, light, params = value_and_gradient(build(adversary_weight=0.0), batch, key)
    _, _, heavy, _ = value_and_gradient(build(adversary_weight=50.0), batch, key)
    for part in params:
        apart = jax.tree.map(lambda a, b: a - b, light[part], heavy[part])
        assert (largest(apart) > 1e-6) == (part == "generator"), part


def test_without_straight_through_the_generator_learns_from_the_discriminator_alone(key, batch):
    settings = {"adversary_weight": 0.0}
    _, _, with_it, _ = value_and_gradient(build(**settings), batch, key)
    _, _, without, _ = value_and_gradient(build(straight_through=False, **settings), batch, key)
    assert largest(with_it["generator"]) > 0
    assert largest(without["generator"]) == 0


def test_training_teaches_the_discriminator_and_leaves_the_scorer(key, batch):
    method = build(adversary_weight=0.0)
    before, _ = jax.jit(method.init)(key, batch)
    state, logged = train(method, batch, key, steps=60, lr=0.01)
    jax.tree.map(np.testing.assert_array_equal, before["scorer"], state.params["scorer"])
    assert logged[-1]["loss_reconstruction"] < logged[0]["loss_reconstruction"]
    assert np.mean([row["loss_discriminator"] for row in logged[-10:]]) < (
        logged[0]["loss_discriminator"] - 0.1
    )


def test_the_generator_is_drawn_towards_what_the_discriminator_takes_for_real(key, batch):
    """With the same draws and discriminator, its maps are taken for real more and more."""
    method = build(adversary_weight=5.0, straight_through=False)
    params, state = jax.jit(method.init)(key, batch)

    def step(params):
        (_, aux), gradient = jax.value_and_grad(method.loss, has_aux=True)(
            params, state, batch, key
        )
        moved = jax.tree.map(lambda p, g: p - 0.5 * g, params["generator"], gradient["generator"])
        total, count = aux.scalars["loss_generator"]
        return {**params, "generator": moved}, total / count

    step, losses = jax.jit(step), []
    for _ in range(10):
        params, loss = step(params)
        losses.append(float(loss))
    assert losses[-1] < losses[5] < losses[0]


def test_predictions_depend_on_no_draw(key, batch):
    method = build()
    params, state = jax.jit(method.init)(key, batch)
    one, other = (method.predict({"params": params, **state}, batch)["loss"] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (6,)


def test_wrong_settings_are_one_line(key):
    with pytest.raises(ValueError, match=r"automae needs config.backbone.name='vit'"):
        build(Stage())
    with pytest.raises(ValueError, match="draws=3 must be 1 or 2"):
        build(draws=3)
    with pytest.raises(ValueError, match="offset=-1.0 must be 0 or more"):
        build(offset=-1.0)
    with pytest.raises(ValueError, match="2x2 patches are too small for automae"):
        jax.jit(build().init)(key, make_batch(rows=2, size=8))


def test_the_discriminators_loss_is_that_of_its_outputs(key, batch):
    """By another route: real maps at 1, generated ones at 0, summed without a half."""
    method = build()
    params, state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, state, batch, key)
    real, made = (float(aux.scalars[name][0]) for name in ("output_real", "output_generated"))
    assert np.isfinite([real, made]).all()
    maps = jnp.full((1, 16), 1 / 16)
    spectral = aux.model_state["spectral"]
    variables = {"params": params["discriminator"], "spectral": spectral}
    uniform = MaskDiscriminator().apply(variables, maps, train=False)
    # Softly drawn maps and rectangles lie around the uniform one: so do the outputs at the start.
    assert abs(real / 6 - uniform[0]) < 0.2 and abs(made / 6 - uniform[0]) < 0.2
