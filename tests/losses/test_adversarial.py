import jax
import jax.numpy as jnp
import numpy as np

from fairjax.losses.adversarial import reverse_gradient, uniform_cross_entropy


def test_reversed_gradient_keeps_the_value_and_turns_the_gradient():
    x = jnp.array([1.0, -2.0])
    value, gradient = jax.value_and_grad(lambda x: (reverse_gradient(x, 0.5) ** 2).sum())(x)
    assert value == 5.0
    np.testing.assert_array_equal(gradient, [-1.0, 2.0])


def test_strength_zero_stops_the_gradient_and_the_strength_has_none():
    loss = jax.jit(lambda x, s: (3 * reverse_gradient(x, s)).sum())
    through_x, through_strength = jax.grad(loss, argnums=(0, 1))(jnp.ones(2), jnp.float32(0))
    np.testing.assert_array_equal(through_x, [0.0, 0.0])
    assert through_strength == 0


def test_uniform_cross_entropy_by_hand():
    # p = (1/4, 3/4): -(log 1/4 + log 3/4) / 2 = log(4 / sqrt 3)
    logits = jnp.log(jnp.array([[1.0, 3.0], [2.0, 2.0]]))
    np.testing.assert_allclose(uniform_cross_entropy(logits), np.log([4 / 3**0.5, 2.0]), rtol=1e-6)
