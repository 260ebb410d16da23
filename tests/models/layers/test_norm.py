"""Our batch norm is Linen's: values, gradients, running statistics, names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fairjax.models.layers.norm import BatchNorm


def linens(train: bool) -> nn.Module:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 3)], ids=str)
@pytest.mark.parametrize("train", [True, False])
def test_values_gradients_and_running_statistics_are_linens(key, shape, train):
    x = 2 + 3 * jax.random.normal(key, shape)
    dy = jax.random.normal(jax.random.fold_in(key, 1), shape)
    variables = {
        "params": {"scale": jnp.array([0.5, 1.0, 2.0]), "bias": jnp.array([-1.0, 0.0, 1.0])},
        "batch_stats": {"mean": jnp.array([0.0, 1.0, 2.0]), "var": jnp.array([1.0, 4.0, 9.0])},
    }

    def run(module: nn.Module, **mode: bool) -> tuple:
        def apply(x: jax.Array, params: dict) -> tuple:
            variables_now = {**variables, "params": params}
            return module.apply(variables_now, x, mutable=["batch_stats"], **mode)

        y, pull_back, state = jax.vjp(apply, x, variables["params"], has_aux=True)
        return y, pull_back(dy), state

    ours, theirs = jax.jit(lambda: (run(BatchNorm(), train=train), run(linens(train))))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)


def test_variables_have_linens_names_and_shapes(key):
    x = jnp.ones((2, 4, 4, 3))
    ours, theirs = BatchNorm().init(key, x, train=True), linens(True).init(key, x)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_without_scale_and_bias_it_has_no_parameters_and_only_normalises(key):
    x = 2 + 3 * jax.random.normal(key, (64, 3))
    module = BatchNorm(use_scale=False, use_bias=False)
    y, variables = module.init_with_output(key, x, train=True)
    assert "params" not in variables
    np.testing.assert_allclose(y.mean(axis=0), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), np.ones(3), rtol=1e-4)


def test_running_statistics_move_by_a_tenth_towards_the_batchs():
    x = jnp.array([[1.0], [3.0]])  # mean 2, biased variance 1
    module = BatchNorm()
    _, state = module.apply(
        {
            "params": {"scale": jnp.ones(1), "bias": jnp.zeros(1)},
            "batch_stats": {"mean": jnp.array([12.0]), "var": jnp.array([11.0])},
        },
        x,
        train=True,
        mutable=["batch_stats"],
    )
    np.testing.assert_allclose(state["batch_stats"]["mean"], [11.0], rtol=1e-6)
    np.testing.assert_allclose(state["batch_stats"]["var"], [10.0], rtol=1e-6)


def test_a_constant_channel_becomes_its_bias_with_finite_gradients(key):
    module = BatchNorm()
    x = jnp.full((8, 4, 4, 2), 3.0)
    variables = module.init(key, x, train=True)
    variables["params"]["bias"] = jnp.array([0.25, -0.25])

    def first(x: jax.Array) -> jax.Array:
        return module.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    np.testing.assert_allclose(first(x)[0, 0, 0], [0.25, -0.25], atol=1e-3)
    assert jnp.isfinite(jax.grad(lambda x: first(x).sum())(x)).all()


def test_bfloat16_input_is_normalised_in_float32(key):
    x = 100 + jax.random.normal(key, (64, 3)).astype(jnp.bfloat16)
    module = BatchNorm(dtype=jnp.bfloat16)
    y, variables = module.init_with_output(key, x, train=True)
    wide = np.asarray(x, np.float64)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    expected = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    np.testing.assert_allclose(y.astype(jnp.float32), expected, atol=0.03)
