"""`Dense` is `nn.Dense`, but that its gradients sum over one axis."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fairjax.models.layers.dense import Dense


@pytest.mark.parametrize("shape", [(4, 7, 5), (6, 5), (2, 3, 2, 5), (5,)])
def test_parameters_numbers_and_gradients_are_those_of_nn_dense(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    plain = nn.Dense(3)
    variables = Dense(3).init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, variables, plain.init(jax.random.key(1), x))

    def loss(layer: nn.Module, variables: Any, x: jax.Array) -> jax.Array:
        return (layer.apply(variables, x) ** 3).sum()

    got, wanted = (
        jax.value_and_grad(lambda v, x, layer=layer: loss(layer, v, x), argnums=(0, 1))(
            variables, x
        )
        for layer in (Dense(3), plain)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), got, wanted)


def test_it_computes_in_the_dtype_it_is_given():
    x = jnp.ones((2, 3, 4))
    layer = Dense(5, dtype=jnp.bfloat16)
    assert layer.apply(layer.init(jax.random.key(0), x), x).dtype == jnp.bfloat16


@pytest.mark.parametrize(("layer", "axes"), [(Dense(3), 1), (nn.Dense(3), 2)])
def test_a_kernels_gradient_sums_over_one_axis(layer, axes):
    x = jnp.ones((4, 7, 5))
    variables = layer.init(jax.random.key(0), x)
    jaxpr = jax.make_jaxpr(jax.grad(lambda v: (layer.apply(v, x) ** 2).sum()))(variables)
    products = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    contracted = [len(e.params["dimension_numbers"][0][0]) for e in products]
    assert contracted[-1] == axes, jaxpr
