import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.cosine_head import CosineHead, two_sided_cosines, unit


def test_unit_keeps_the_direction_and_tells_the_length():
    direction, length = unit(jnp.array([[3.0, 4.0], [0.0, -2.0]]))
    np.testing.assert_allclose(direction, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-6)
    np.testing.assert_allclose(length, [5.0, 2.0], rtol=1e-6)


@pytest.mark.parametrize("short", [0.0, 1e-13, 1e-30])
def test_a_vector_without_a_direction_stays_zero_and_gets_no_gradient(short):
    rows = jnp.array([[short, -short, 0.0], [3.0, 4.0, 0.0]])

    def total(x):
        direction, length = unit(x)
        return (direction * jnp.array([1.0, 2.0, 3.0])[None]).sum() + length.sum()

    np.testing.assert_array_equal(unit(rows).direction[0], np.zeros(3))
    gradient = jax.jit(jax.grad(total))(rows)
    np.testing.assert_array_equal(gradient[0], np.zeros(3))
    # By hand: (w - (w u) u) / 5 + u, with u = (0.6, 0.8, 0) and w u = 2.2.
    np.testing.assert_allclose(gradient[1], [0.536, 0.848, 0.6], rtol=1e-5)


def test_unit_computes_in_float32():
    direction, length = unit(jnp.full((1, 4), 0.1, jnp.bfloat16))
    assert direction.dtype == length.dtype == jnp.float32
    np.testing.assert_allclose(direction, 0.5, rtol=1e-6)


def test_a_class_is_a_row_of_small_normal_weights(key):
    head = CosineHead(500, rows=512)
    (embeddings, weights), variables = head.init_with_output(key, jnp.ones((2, 64)))
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (512, 64)
    assert kernel.dtype == jnp.float32
    assert not kernel[500:].any()
    kernel = kernel[:500]
    assert abs(float(kernel.mean())) < 1e-3
    np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.02)
    np.testing.assert_array_equal(weights[:500], kernel)
    np.testing.assert_allclose(embeddings.length, [8.0, 8.0], rtol=1e-6)


def test_each_side_of_the_cosines_sends_its_gradient_where_it_should(key):
    keys = jax.random.split(key, 4)
    x, w = jax.random.normal(keys[0], (5, 3)), jax.random.normal(keys[1], (7, 3))
    first, second = jax.random.normal(keys[2], (5, 7)), jax.random.normal(keys[3], (5, 7))
    (both, through_embedding), pull_back = jax.vjp(two_sided_cosines, x, w)
    np.testing.assert_allclose(both, np.asarray(x) @ np.asarray(w).T, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(both, through_embedding)

    def by_autodiff(x, w):
        return (first * (x @ w.T)).sum() + (second * (x @ jax.lax.stop_gradient(w).T)).sum()

    expected = jax.grad(by_autodiff, argnums=(0, 1))(x, w)
    for ours, theirs in zip(pull_back((first, second)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
