"""What every backbone promises: float32 features, one row an image, gradients for every array."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_entry import PIXELS, tiny_settings
from flax import linen as nn

from fairjax.models import BACKBONES

KEY = jax.random.key(3)
every_backbone = pytest.mark.parametrize("name", BACKBONES)
images = np.random.default_rng(0).normal(size=(4, PIXELS, PIXELS, 3)).astype(np.float32)


@functools.cache
def made(name: str) -> tuple[nn.Module, dict]:
    """A tiny backbone and its variables."""
    module = tiny_settings("simclr", name).backbone
    return module, jax.jit(functools.partial(module.init, train=False))(KEY, images)


@functools.cache
def features_of(name: str):
    """`(variables, images) -> features` in inference mode, compiled."""
    return jax.jit(functools.partial(made(name)[0].apply, train=False))


@every_backbone
def test_features_are_float32_one_row_an_image_whatever_the_others_show(name):
    _, variables = made(name)
    features = features_of(name)(variables, images)
    assert features.shape[0] == 4 and features.ndim == 2 and features.dtype == jnp.float32
    assert len(np.unique(np.asarray(features), axis=0)) == 4
    order = np.array([2, 0, 3, 1])
    turned = images[order]
    turned[-1] = 9.0
    again = features_of(name)(variables, turned)
    np.testing.assert_allclose(again[:3], features[order][:3], rtol=1e-4, atol=1e-5)


@every_backbone
def test_every_parameter_has_a_finite_gradient_also_from_images_that_are_blank(name):
    module, variables = made(name)
    state = {kind: tree for kind, tree in variables.items() if kind != "params"}

    @jax.jit
    def gradients(params, pixels):
        def loss(params):
            features, moved = module.apply(
                {"params": params, **state},
                pixels,
                train=True,
                mutable=[*state],
                rngs={"dropout": KEY},
            )
            weights = jnp.cos(jnp.arange(features.size, dtype=jnp.float32))
            return jnp.sum(features**2 * weights.reshape(features.shape)), moved

        return jax.grad(loss, has_aux=True)(params)

    found, moved = gradients(variables["params"], images)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert jnp.isfinite(leaf).all(), path
    assert any(leaf.any() for leaf in jax.tree.leaves(found))
    assert jax.tree.structure(moved) == jax.tree.structure(state)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(moved), strict=True):
        assert not np.array_equal(before, after), "batch statistics stand still"
    for leaf in jax.tree.leaves(gradients(variables["params"], 0 * images)[0]):
        assert jnp.isfinite(leaf).all()


@every_backbone
def test_half_precision_keeps_parameters_and_features_in_float32(name):
    module = made(name)[0].clone(dtype=jnp.bfloat16)
    init = functools.partial(module.init, train=False)
    variables = jax.eval_shape(init, KEY, images)
    features = jax.eval_shape(functools.partial(module.apply, train=False), variables, images)
    assert features.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
