import jax
import jax.numpy as jnp
import numpy as np
from authors_vectors import authors_vectors

from fairjax.losses.invariant import invariance_penalty


def test_penalty_and_gradient_are_the_authors():
    v = authors_vectors("invreg_irm")
    with jax.enable_x64(True):

        def loss(z):
            return 0.2 * invariance_penalty(
                z, jnp.asarray(v.label), jnp.asarray(v.partition), jnp.ones(10, bool)
            )

        value, gradient = jax.value_and_grad(loss)(jnp.asarray(v.logits))
    np.testing.assert_allclose(value, v.loss, rtol=1e-10)
    np.testing.assert_allclose(gradient, v.grad, rtol=1e-9, atol=1e-11)


def test_slope_is_the_derivative_of_the_scaled_cross_entropy():
    logits, label = jnp.array([[1.0, -0.5, 2.0]]), jnp.array([0])

    def cross_entropy(s):
        return -jax.nn.log_softmax(s * logits)[0, 0]

    slope = jax.grad(cross_entropy)(1.0)
    value = invariance_penalty(logits, label, jnp.ones((3, 1)), jnp.ones(1, bool))
    np.testing.assert_allclose(value, slope**2, rtol=1e-5)


def test_an_environment_without_images_is_left_out():
    logits, label = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.array([0, 0])
    alone = invariance_penalty(logits, label, jnp.array([[1.0], [0.0]]), jnp.ones(2, bool))
    both = invariance_penalty(logits, label, jnp.eye(2), jnp.ones(2, bool))
    np.testing.assert_allclose(alone, both)
    nothing = jax.grad(invariance_penalty)(logits, label, jnp.eye(2), jnp.zeros(2, bool))
    np.testing.assert_array_equal(nothing, 0)
