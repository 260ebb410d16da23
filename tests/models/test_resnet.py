"""Layout, parameter counts and numbers of the ResNets, without torch."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.models import BACKBONES
from fairjax.models.layers.conv import Conv
from fairjax.models.layers.norm import BatchNorm
from fairjax.models.resnet import BottleneckBlock, ResNet


def shapes(module: nn.Module, size: int = 64) -> dict:
    """What `init` would make, without making it."""
    init = partial(module.init, train=True)
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, size, size, 3)))


def count(tree: dict) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("depth", "trunk", "dim"),
    [
        (18, 11_176_512, 512),
        (34, 21_284_672, 512),
        (50, 23_508_032, 2048),
        (101, 44_549_160 - 1000 * 2049, 2048),
    ],
)
def test_trunk_has_the_published_number_of_parameters(depth, trunk, dim):
    module = BACKBONES["resnet"](depth=depth)
    variables = shapes(module)
    assert count(variables["params"]) == trunk
    features, _ = jax.eval_shape(
        partial(module.apply, train=True, mutable=["batch_stats"]),
        variables,
        jnp.zeros((2, 64, 64, 3)),
    )
    assert features.shape == (2, dim)


def test_resnet50_with_a_1000_way_head_has_25557032_parameters():
    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return nn.Dense(1000)(ResNet(50)(x, train=train))

    assert count(shapes(Classifier())["params"]) == 25_557_032


@pytest.mark.parametrize(
    ("stem", "sizes"), [("imagenet", [16, 8, 4, 2]), ("small", [64, 32, 16, 8])]
)
def test_stage_maps_are_sown_and_halve_from_stage_to_stage(stem, sizes):
    module = ResNet(50, stem=stem)
    _, sown = jax.eval_shape(
        partial(module.apply, train=False, mutable=["intermediates"]),
        shapes(module),
        jnp.zeros((2, 64, 64, 3)),
    )
    maps = [sown["intermediates"][f"stage_{k}"][0].shape for k in (1, 2, 3, 4)]
    assert maps == [
        (2, n, n, width) for n, width in zip(sizes, (256, 512, 1024, 2048), strict=True)
    ]


def test_fewer_stages_without_a_pool_end_in_the_map_of_the_last():
    module = ResNet(18, stages=3, width=16, pool="none")
    variables = shapes(module)
    assert not any("stage_4" in name for name in variables["params"])
    images = jnp.zeros((2, 64, 64, 3))
    out = jax.eval_shape(partial(module.apply, train=False), variables, images)
    assert out.shape == (2, 4, 4, 64)


def conv_by_loops(x, kernel, strides, padding):
    size = kernel.shape[0]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - size) // strides + 1 for n in x.shape[1:3])
    y = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
    for r, c in itertools.product(range(rows), range(columns)):
        window = x[:, r * strides : r * strides + size, c * strides : c * strides + size]
        y[:, r, c] = np.einsum("bijk,ijkf->bf", window, kernel)
    return y


def test_bottleneck_is_torchvisions_with_the_stride_on_the_3x3(key):
    rng = np.random.default_rng(0)
    block = BottleneckBlock(4, 2, Conv, BatchNorm, nn.initializers.ones)
    x = jnp.asarray(rng.normal(size=(2, 7, 6, 8)), jnp.float32)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32),
        block.init(key, x, train=False),
    )
    params, stats = variables["params"], variables["batch_stats"]

    def conv_norm(x, conv, norm, strides, padding):
        y = conv_by_loops(x, params[conv]["kernel"], strides, padding)
        scale = params[norm]["scale"] / np.sqrt(stats[norm]["var"] + 1e-5)
        return (y - stats[norm]["mean"]) * scale + params[norm]["bias"]

    y = np.maximum(conv_norm(x, "Conv_0", "BatchNorm_0", 1, 0), 0)
    y = np.maximum(conv_norm(y, "Conv_1", "BatchNorm_1", 2, 1), 0)
    y = conv_norm(y, "Conv_2", "BatchNorm_2", 1, 0)
    shortcut = conv_norm(x, "shortcut_conv", "shortcut_norm", 2, 0)
    expected = np.maximum(y + shortcut, 0)
    assert expected.shape == (2, 4, 3, 16)
    np.testing.assert_allclose(
        block.apply(variables, x, train=False), expected, rtol=1e-4, atol=1e-3
    )


def test_block_starts_as_its_shortcut_when_the_last_scale_is_zero(key):
    x = jax.random.normal(key, (2, 4, 4, 16))
    block = partial(BottleneckBlock, 4, 1, Conv, BatchNorm)
    for last_scale, is_shortcut in [(nn.initializers.zeros, True), (nn.initializers.ones, False)]:
        y, _ = block(last_scale).init_with_output(key, x, train=True)
        assert bool(jnp.array_equal(y, nn.relu(x))) == is_shortcut


def test_zero_init_residual_reaches_every_blocks_last_norm(key):
    params = jax.jit(partial(ResNet(18).init, train=True))(key, jnp.zeros((1, 16, 16, 3)))["params"]
    blocks = [params[name] for name in params if "block" in name]
    assert len(blocks) == 8
    assert all(not block["BatchNorm_1"]["scale"].any() for block in blocks)
    assert all(block["BatchNorm_0"]["scale"].all() for block in blocks)


def test_bfloat16_computes_in_bfloat16_and_keeps_the_rest_in_float32():
    module = ResNet(18, dtype=jnp.bfloat16)
    variables = shapes(module)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    features, state = jax.eval_shape(
        partial(module.apply, train=True, mutable=["batch_stats", "intermediates"]),
        variables,
        jnp.zeros((2, 64, 64, 3)),
    )
    assert features.dtype == jnp.float32
    assert state["intermediates"]["stage_4"][0].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(state["batch_stats"])} == {
        jnp.dtype(jnp.float32)
    }


def test_four_devices_give_the_statistics_and_gradients_of_one(key):
    block = BottleneckBlock(4, 2, Conv, BatchNorm, nn.initializers.ones)
    x = jax.random.normal(key, (8, 12, 12, 16))
    variables = block.init(key, x[:, ::2, ::2], train=True)

    @jax.jit
    def gradients(params, x):
        def loss(params, x):
            variables_now = {**variables, "params": params}
            pooled = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
            y, state = block.apply(variables_now, pooled, train=True, mutable=["batch_stats"])
            return (y**2).mean() + y[0].sum(), state

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    everywhere = jax.device_put(variables["params"], NamedSharding(mesh, PartitionSpec()))
    on_one, on_four = gradients(variables["params"], x), gradients(everywhere, spread)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), on_one, on_four
    )


def test_unknown_depth_names_the_known_ones():
    with pytest.raises(ValueError, match=r"depth=20 .*\[18, 34, 50, 101\]"):
        shapes(ResNet(20))
