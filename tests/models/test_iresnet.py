"""Layout, parameter counts and numbers of the face networks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models import BACKBONES
from fairjax.models.iresnet import BottleneckUnit, IResNet, PReLU, Unit
from fairjax.models.layers.conv import Conv
from fairjax.models.layers.norm import BatchNorm


def shapes(module, size=112):
    """What `init` would make, without making it."""
    init = partial(module.init, train=False)
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, size, size, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("depth", "tface", "insightface"),
    [
        (18, 24_020_352, 24_025_600),
        (34, 34_134_080, 34_139_328),
        (50, 43_585_600, 43_590_848),
        pytest.param(100, 65_150_912, 65_156_160, marks=pytest.mark.exhaustive),
        pytest.param(200, 114_138_240, 118_833_920, marks=pytest.mark.exhaustive),
    ],
)
def test_each_depth_has_the_published_number_of_parameters(depth, tface, insightface):
    network = BACKBONES["iresnet"]
    assert count(shapes(network(depth=depth))["params"]) == tface
    frozen = 512  # insightface counts the scale that its last norm holds at 1
    trained = count(shapes(network(depth=depth, dialect="insightface"))["params"])
    assert trained + frozen == insightface


def test_tfaces_200_has_its_own_stages_of_bottlenecks():
    params = shapes(IResNet(200))["params"]
    units = [sum(name.startswith(f"stage_{k}_") for name in params) for k in (1, 2, 3, 4)]
    assert units == [3, 24, 36, 3]
    kernels = [params["stage_3_unit_2"][f"Conv_{i}"]["kernel"].shape for i in range(3)]
    assert kernels == [(1, 1, 1024, 256), (3, 3, 256, 256), (1, 1, 256, 1024)]
    projected = [name for name, unit in params.items() if "shortcut_conv" in unit]
    assert sorted(projected) == [f"stage_{k}_unit_1" for k in (1, 2, 3, 4)]
    assert params["embedding"]["kernel"].shape == (2048 * 7 * 7, 512)


def test_a_bottleneck_has_its_stride_on_the_last_convolution(key):
    unit = BottleneckUnit(width=2, strides=2, subsample=True, conv=Conv, norm=BatchNorm)
    x = jax.random.normal(key, (2, 7, 6, 8))
    variables = unit.init(key, x, train=False)
    assert "shortcut_conv" not in variables["params"]
    y, pull_back = jax.vjp(lambda x: unit.apply(variables, x, train=False), x)
    assert y.shape == (2, 4, 3, 8)
    # A pixel of the result sees 3x3 of the input, around every second one.
    (seen,) = pull_back(jnp.zeros_like(y).at[0, 1, 1].set(1.0))
    rows, columns = np.nonzero(np.asarray(seen[0]).any(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 3, 1, 3)


@pytest.mark.parametrize(("size", "maps"), [(112, [56, 28, 14, 7]), (50, [25, 13, 7, 4])])
def test_each_stage_halves_the_map_and_doubles_the_width(size, maps):
    module = IResNet(34, width=16, dim=64)
    embedding, sown = jax.eval_shape(
        partial(module.apply, train=False, mutable=["intermediates"]),
        shapes(module, size),
        jnp.zeros((2, size, size, 3)),
    )
    assert embedding.shape == (2, 64)
    stages = [sown["intermediates"][f"stage_{k}"][0].shape for k in (1, 2, 3, 4)]
    assert stages == [(2, n, n, w) for n, w in zip(maps, (16, 32, 64, 128), strict=True)]


def test_prelu_by_hand():
    x = jnp.array([[-2.0, -2.0, 3.0]])
    slopes = {"params": {"slope": jnp.array([0.25, -1.0, 0.5])}}
    np.testing.assert_allclose(PReLU().apply(slopes, x), [[-0.5, 2.0, 3.0]])
    np.testing.assert_array_equal(PReLU().init(jax.random.key(0), x)["params"]["slope"], [0.25] * 3)


@pytest.mark.parametrize(
    ("channels", "strides", "subsample", "projects"),
    [(4, 2, True, False), (4, 2, False, True), (4, 1, False, False), (8, 2, True, True)],
)
def test_a_unit_is_norms_convolutions_and_a_bare_sum(key, channels, strides, subsample, projects):
    rng = np.random.default_rng(0)
    unit = Unit(width=4, strides=strides, subsample=subsample, conv=Conv, norm=BatchNorm)
    x = jnp.asarray(rng.normal(size=(2, 7, 6, channels)), jnp.float32)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32),
        unit.init(key, x, train=False),
    )
    params, stats = jax.tree.map(np.asarray, (variables["params"], variables["batch_stats"]))
    assert ("shortcut_conv" in params) == projects

    def normed(x, name):
        scale = params[name]["scale"] / np.sqrt(stats[name]["var"] + 1e-5)
        return (np.asarray(x) - stats[name]["mean"]) * scale + params[name]["bias"]

    def convolved(x, name, strides):
        kernel = params[name]["kernel"]
        sides = [((k - 1) // 2,) * 2 for k in kernel.shape[:2]]
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            jnp.asarray(x), kernel, (strides, strides), sides, dimension_numbers=dimensions
        )

    y = normed(convolved(normed(x, "BatchNorm_0"), "Conv_0", 1), "BatchNorm_1")
    y = np.where(y > 0, y, y * params["PReLU_0"]["slope"])
    y = normed(convolved(y, "Conv_1", strides), "BatchNorm_2")
    shortcut = x[:, ::strides, ::strides]
    if projects:
        shortcut = normed(convolved(x, "shortcut_conv", strides), "shortcut_norm")
    ours = unit.apply(variables, x, train=False)
    np.testing.assert_allclose(ours, shortcut + y, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("dialect", ["tface", "insightface"])
def test_the_embedding_is_normed_last_and_dropout_acts_in_training_alone(key, dialect):
    module = IResNet(10, dialect=dialect, width=4, dim=8, dropout=0.5)
    x = jax.random.normal(key, (16, 16, 16, 3))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.1, 1, leaf.shape).astype(np.float32), shapes(module, 16)
    )
    if dialect == "insightface":
        assert variables["params"]["embedding_norm"].keys() == {"bias"}
        variables["params"]["embedding_norm"]["bias"][:] = 0
    else:
        assert "embedding_norm" not in variables["params"]

    @jax.jit
    def train(dropout_key):
        return module.apply(
            variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": dropout_key}
        )[0]

    first, second = train(jax.random.key(1)), train(jax.random.key(2))
    assert not np.allclose(first, second)
    np.testing.assert_allclose(first.mean(axis=0), np.zeros(8), atol=1e-4)
    np.testing.assert_allclose(first.std(axis=0), np.ones(8), rtol=1e-3)
    evaluate = jax.jit(partial(module.apply, train=False))  # without a dropout key
    assert np.isfinite(evaluate(variables, x)).all()


@pytest.mark.parametrize(
    ("dialect", "conv_std", "last_std"),
    [("tface", (2 / 9 / 64) ** 0.5, (2 / 512) ** 0.5), ("insightface", 0.1, (1 / 3 / 2048) ** 0.5)],
)
def test_kernels_start_as_the_dialect_says(key, dialect, conv_std, last_std):
    @jax.jit
    def some_kernels(key):
        module = IResNet(18, dialect=dialect)
        params = module.init(key, jnp.zeros((1, 32, 32, 3)), train=False)["params"]
        return params["stage_1_unit_2"]["Conv_1"]["kernel"], params["embedding"]["kernel"]

    conv, last = some_kernels(key)
    np.testing.assert_allclose(conv.std(), conv_std, rtol=0.03)
    np.testing.assert_allclose(last.std(), last_std, rtol=0.03)


def test_bfloat16_computes_in_bfloat16_and_ends_in_float32():
    module = IResNet(18, dtype=jnp.bfloat16)
    variables = shapes(module)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    embedding, sown = jax.eval_shape(
        partial(module.apply, train=False, mutable=["intermediates"]),
        variables,
        jnp.zeros((2, 112, 112, 3)),
    )
    assert embedding.dtype == jnp.float32
    assert sown["intermediates"]["stage_4"][0].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"depth": 101}, r"depth=101 is not an IResNet; .*\[10, 18, 34, 50, 100, 200\]"),
        ({"dialect": "caffe"}, "dialect='caffe' is not known; known: tface, insightface"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(ValueError, match=said):
        shapes(IResNet(**settings))
