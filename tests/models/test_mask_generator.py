import jax
import jax.numpy as jnp
import numpy as np
from authors_vectors import authors_vectors

from fairjax.models.mask_generator import MaskGenerator, learned_selection, soft_probability


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


def test_masking_and_gradients_are_the_authors():
    v = authors_vectors("automae_masking")
    with jax.enable_x64(True):

        def visible(probability, x):
            chosen = learned_selection(x, probability, jnp.asarray(v.uniform), kept=49, offset=0.5)
            return chosen.visible, chosen

        _, pull, chosen = jax.vjp(visible, jnp.asarray(v.prob), jnp.asarray(v.x), has_aux=True)
        to_probability, to_x = pull(jnp.asarray(v.cotangent))
    np.testing.assert_allclose(chosen.visible, v.visible, rtol=1e-10)
    np.testing.assert_array_equal(chosen.mask, v.mask)
    np.testing.assert_array_equal(chosen.restore_ids, v.restore)
    np.testing.assert_allclose(to_probability, v.grad_prob, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(to_x, v.grad_x, rtol=1e-9, atol=1e-12)


def test_selected_patches_are_all_masked_and_get_no_gradient():
    v = authors_vectors("automae_masking")
    selected = v.prob >= np.sort(v.prob, axis=1)[:, -49:][:, :1]
    assert v.mask[selected].all() and (v.grad_prob[selected] == 0).all()


def test_without_straight_through_no_gradient_reaches_the_generator(key):
    x, probability = jnp.ones((1, 8, 2)), jax.nn.softmax(jnp.arange(8.0))[None]
    uniform = jax.random.uniform(key, (1, 8))
    gradient = jax.grad(
        lambda p: learned_selection(
            x, p, uniform, kept=2, offset=0.5, straight_through=False
        ).visible.sum()
    )(probability)
    np.testing.assert_array_equal(gradient, 0)


def test_soft_probability_sums_to_one_and_differs_between_draws(key):
    log_probability = jnp.log(jnp.full((2, 4), 0.25))
    one, other = (soft_probability(k, log_probability) for k in jax.random.split(key))
    np.testing.assert_allclose(one.sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(one, other)
