import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.models import masking
from fairjax.models.mask_generator import (
    MaskGenerator,
    block_masks,
    learned_noise,
    selected_patches,
    soft_probability,
)
from fairjax.models.vit import with_weight


def test_generator_is_the_authors():
    v = authors_vectors("automae_generator")
    with jax.enable_x64(True):
        params = {
            "conv_1": {"kernel": jnp.asarray(v.w1.transpose(2, 3, 1, 0)), "bias": v.b1},
            "conv_2": {"kernel": jnp.asarray(v.w2.transpose(2, 3, 1, 0)), "bias": v.b2},
        }
        ours = MaskGenerator().apply(
            {"params": params}, jnp.asarray(v.attention.transpose(0, 2, 3, 1))
        )
    np.testing.assert_allclose(ours, v.log_prob, rtol=1e-10)


def test_generator_starts_within_pytorchs_bounds(key):
    params = MaskGenerator().init(key, jnp.zeros((1, 4, 4, 12)))["params"]
    for name, channels in (("conv_1", 12), ("conv_2", 6)):
        bound = (9 * channels) ** -0.5
        for leaf in params[name].values():
            assert 0.2 * bound < jnp.abs(leaf).max() <= bound
    assert params["conv_1"]["bias"].any()


def test_masking_and_gradients_are_the_authors():
    v = authors_vectors("automae_masking")
    with jax.enable_x64(True):

        def visible(probability, x):
            noise = learned_noise(probability, jnp.asarray(v.uniform), kept=49, offset=0.5)
            order = jnp.argsort(noise, axis=1)  # the authors' order of visible tokens
            weighed = with_weight(x, noise)
            return jnp.take_along_axis(weighed, order[:, :49, None], axis=1), noise

        shown, pull, noise = jax.vjp(visible, jnp.asarray(v.prob), jnp.asarray(v.x), has_aux=True)
        to_probability, to_x = pull(jnp.asarray(v.cotangent))
        chosen = masking.select(noise, ratio=0.75)
    np.testing.assert_allclose(shown, v.visible, rtol=1e-10)
    np.testing.assert_array_equal(chosen.mask, v.mask)
    np.testing.assert_array_equal(np.argsort(np.argsort(noise)), v.restore)
    np.testing.assert_allclose(to_probability, v.grad_prob, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(to_x, v.grad_x, rtol=1e-9, atol=1e-12)


def test_selected_patches_are_all_masked_and_get_no_gradient():
    v = authors_vectors("automae_masking")
    selected = np.asarray(selected_patches(jnp.asarray(v.prob), kept=49))
    assert (selected.sum(axis=1) == 49).all()
    assert v.mask[selected].all() and (v.grad_prob[selected] == 0).all()


def test_without_straight_through_no_gradient_reaches_the_generator(key):
    probability = jax.nn.softmax(jnp.arange(8.0))[None]
    uniform = jax.random.uniform(key, (1, 8))

    def total(probability, straight_through):
        noise = learned_noise(
            probability, uniform, kept=2, offset=0.5, straight_through=straight_through
        )
        return noise.sum()

    np.testing.assert_array_equal(jax.grad(total)(probability, False), 0)
    np.testing.assert_array_equal(jax.grad(total)(probability, True), 0.5)


def test_soft_probability_sums_to_one_and_differs_between_draws(key):
    log_probability = jnp.log(jnp.full((2, 4), 0.25))
    one, other = (soft_probability(k, log_probability) for k in jax.random.split(key))
    np.testing.assert_allclose(one.sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("side", [4, 14])
def test_block_masks_are_rectangles_of_the_stated_sizes(key, side):
    masks = np.asarray(block_masks(key, 300, side), np.float64)
    np.testing.assert_allclose(masks.sum(axis=1), 1, rtol=1e-5)
    # Outside, log p - log p_least lies in [0, 1); inside in [0.5, 1.5), so that what is 1 or more
    # above the least is inside for sure, and with 300 masks some cell of each row and column is.
    logs = np.log(masks)
    sure = (logs - logs.min(axis=1, keepdims=True) > 1.0).reshape(-1, side, side)
    scale = (side / 14) ** 2
    # A rectangle's area is at least 40 and below 160 + one side of 10.
    rows, columns = sure.any(axis=2), sure.any(axis=1)
    spans = [
        (np.ptp(np.flatnonzero(r)) + 1) * (np.ptp(np.flatnonzero(c)) + 1)
        for r, c in zip(rows, columns, strict=True)
        if r.any()
    ]
    assert max(spans) <= round(160 * scale) + max(1, round(10 * side / 14))
    if side == 14:
        # The share of cells inside: E over area uniform on 40..160, cut at 14 columns.
        assert 60 < np.mean(spans) < 125
