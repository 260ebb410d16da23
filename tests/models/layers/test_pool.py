"""The max-pool by slices against `lax.reduce_window`, ties and all."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.layers.pool import max_pool


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 8), (8, 8), (5, 9)])
def test_max_pool_by_slices_is_reduce_window_with_its_gradient(key, size):
    # Few distinct values, so that windows hold ties, as they do after a ReLU.
    x = jax.random.randint(key, (2, *size, 3), -3, 3).astype(jnp.float32)
    y, pull_back = jax.vjp(partial(max_pool, lowering="patches"), x)
    expected, expected_pull_back = jax.vjp(partial(max_pool, lowering="lax"), x)
    np.testing.assert_array_equal(y, expected)
    dy = jax.random.normal(key, y.shape)
    np.testing.assert_allclose(pull_back(dy)[0], expected_pull_back(dy)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lowering", ["patches", "lax"])
def test_first_of_equal_pixels_gets_the_whole_gradient_of_the_max(lowering):
    x = jnp.zeros((1, 4, 4, 1))
    dx = jax.grad(lambda x: max_pool(x, lowering=lowering).sum())(x)
    # Windows start at rows and columns -1 and 1; the padding is minus infinity and never wins.
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx[0, :, :, 0], expected)
