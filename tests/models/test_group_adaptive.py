import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.models.group_adaptive import (
    AdaptiveConv,
    ChannelAttention,
    adaptive_conv,
    equal_masks,
)


@pytest.mark.parametrize("name", ["gac_conv_adaptive", "gac_conv_shared"])
def test_convolution_and_gradients_are_the_authors(name):
    v = authors_vectors(name)
    shared = name.endswith("shared")
    to_nhwc, to_hwio = (0, 2, 3, 1), (2, 3, 1, 0)
    with jax.enable_x64(True):
        x, base = jnp.asarray(v.x.transpose(to_nhwc)), jnp.asarray(v.base.transpose(to_hwio))
        masks = jnp.asarray(v.mask.transpose(to_nhwc))
        group = jnp.zeros_like(jnp.asarray(v.group)) if shared else jnp.asarray(v.group)
        y, pull = jax.vjp(lambda *a: adaptive_conv(*a, group, strides=2, padding=1), x, base, masks)
        gradients = pull(jnp.asarray(v.cotangent.transpose(to_nhwc)))
    np.testing.assert_allclose(y, v.y.transpose(to_nhwc), rtol=1e-10, atol=1e-12)
    theirs = (
        v.grad_x.transpose(to_nhwc),
        v.grad_base.transpose(to_hwio),
        v.grad_mask.transpose(to_nhwc),
    )
    for ours, gradient in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(ours, gradient, rtol=1e-9, atol=1e-11)


def test_a_shared_layer_uses_the_first_group_s_mask_for_everyone(key):
    layer = AdaptiveConv(features=4, groups=3)
    x = jax.random.normal(key, (3, 5, 5, 2))
    variables = layer.init(key, x, jnp.zeros(3, int))
    params = dict(variables["params"])
    params["masks"] = jax.random.normal(key, params["masks"].shape)
    apart = layer.apply({**variables, "params": params}, x, jnp.array([0, 1, 2]))
    fused = {"params": params, "fusion": {"shared": jnp.array(True)}}
    together = layer.apply(fused, x, jnp.array([0, 1, 2]))
    np.testing.assert_allclose(together[0], apart[0], rtol=1e-6)
    np.testing.assert_allclose(
        together, layer.apply({**variables, "params": params}, x, jnp.zeros(3, int)), rtol=1e-6
    )
    assert not np.allclose(together[1], apart[1])


def test_masks_start_equal_with_the_authors_spread(key):
    v = authors_vectors("gac_init_std")
    for channels, deviation in zip(v.in_channels, v.mask_std, strict=True):
        masks = equal_masks(4)(key, (4, 3, 3, int(channels)))
        assert (masks == masks[:1]).all()
        wide = equal_masks(4)(key, (4, 3, 3, int(channels) * 1))[0]
        error = 4 * deviation / np.sqrt(2 * wide.size)  # four standard errors
        np.testing.assert_allclose(wide.std(), deviation, atol=error)


def test_attention_is_the_authors():
    v = authors_vectors("gac_attention")
    with jax.enable_x64(True):
        y = ChannelAttention(groups=4).apply(
            {"params": {"attention": jnp.asarray(v.att[:, 0, :, 0, 0])}},
            jnp.asarray(v.x.transpose(0, 2, 3, 1)),
            jnp.asarray(v.group),
        )
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), v.y, rtol=1e-10)


def test_attention_starts_alike_for_all_groups_and_near_one_half(key):
    variables = ChannelAttention(groups=4).init(key, jnp.ones((1, 2, 2, 300)), jnp.zeros(1, int))
    start = variables["params"]["attention"]
    assert (start == start[:1]).all() and abs(start).max() <= 0.1
