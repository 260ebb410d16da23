"""Every lowering is the same function: against XLA's own, against loops, against autodiff."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from fairjax.models.layers.conv import Conv, conv

# height, width, size, strides, padding: odd and even maps, 1x1 and 2x2 maps, strides that leave
# pixels over or skip them, no padding and more than "same".
CASES = [
    (8, 8, 1, 1, 0),
    (8, 7, 1, 2, 0),
    (2, 2, 3, 1, 1),
    (1, 1, 3, 1, 1),
    (8, 8, 3, 2, 1),
    (7, 5, 3, 2, 1),
    (9, 8, 3, 3, 0),
    (4, 4, 3, 1, 2),
    (9, 10, 7, 2, 3),
    (5, 5, 2, 3, 1),
    (9, 9, 2, 4, 0),
]


def conv_by_loops(x: np.ndarray, kernel: np.ndarray, strides: int, padding: int) -> np.ndarray:
    size = kernel.shape[0]
    sides = (padding, padding)
    x = np.pad(x, ((0, 0), sides, sides, (0, 0)))
    rows, columns = ((n - size) // strides + 1 for n in x.shape[1:3])
    y = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
    for r, c in itertools.product(range(rows), range(columns)):
        window = x[:, r * strides : r * strides + size, c * strides : c * strides + size]
        y[:, r, c] = np.einsum("bijk,ijkf->bf", window, kernel)
    return y


def random_case(key: jax.Array, case: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> tuple:
    height, width, size, strides, padding = case
    keys = jax.random.split(key, 3)
    rows, columns = ((n + 2 * padding - size) // strides + 1 for n in (height, width))
    x = jax.random.normal(keys[0], (2, height, width, 5), dtype)
    kernel = jax.random.normal(keys[1], (size, size, 5, 3), dtype)
    return x, kernel, jax.random.normal(keys[2], (2, rows, columns, 3), dtype)


@partial(jax.jit, static_argnames=("strides", "padding", "lowering"))
def value_and_gradients(x, kernel, dy, *, strides, padding, lowering):
    f = partial(conv, strides=strides, padding=padding, lowering=lowering)
    y, pull_back = jax.vjp(f, x, kernel)
    return y, *pull_back(dy)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_patches_and_lax_give_the_same_values_and_gradients(key, case):
    x, kernel, dy = random_case(key, case)
    run = partial(value_and_gradients, x, kernel, dy, strides=case[3], padding=case[4])
    expected = conv_by_loops(np.asarray(x), np.asarray(kernel), case[3], case[4])
    by_patches, by_lax = run(lowering="patches"), run(lowering="lax")
    np.testing.assert_allclose(by_patches[0], expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(by_patches, by_lax, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


# Rows of pixels of which 21 of 3 features go together, or 10, or which do not come out even; of 8
# features, of which 8 or 4 go together and one is left over; maps wider than high; windows that end
# before the map does. Few channels, few features and stride 2, which fold into blocks: more padding
# and less, too. Images of a page and of two.
HELD = [
    (3, 21, 3, 1, 1, 3, 3),
    (5, 83, 7, 2, 3, 3, 3),
    (5, 9, 3, 1, 1, 3, 3),
    (6, 33, 2, 2, 0, 3, 8),
    (4, 10, 3, 1, 1, 6, 3),
    (5, 8, 3, 1, 1, 8, 8),
    (7, 6, 3, 2, 1, 5, 40),
    (8, 5, 3, 3, 0, 5, 2),
    (4, 6, 2, 1, 0, 5, 33),
    (4, 4, 3, 1, 2, 6, 6),
    (8, 16, 7, 2, 3, 3, 16),
    (6, 8, 7, 2, 3, 3, 24),
    (8, 6, 3, 2, 1, 4, 3),
    (6, 8, 2, 2, 0, 1, 8),
    (8, 8, 5, 2, 0, 3, 16),
    (6, 6, 3, 2, 2, 3, 32),
    (4, 6, 1, 2, 0, 3, 16),
    (6, 4, 3, 2, 4, 2, 8),
    (16, 16, 3, 1, 1, 4, 8),
    (8, 16, 3, 2, 1, 8, 4),
]


@pytest.mark.parametrize("case", HELD, ids=str)
def test_held_maps_give_the_same_values_and_gradients(key, case):
    height, width, size, strides, padding, channels, features = case
    keys = jax.random.split(key, 3)
    rows, columns = ((n + 2 * padding - size) // strides + 1 for n in (height, width))
    x = jax.random.normal(keys[0], (2, height, width, channels))
    kernel = jax.random.normal(keys[1], (size, size, channels, features))
    dy = jax.random.normal(keys[2], (2, rows, columns, features))
    run = partial(value_and_gradients, x, kernel, dy, strides=strides, padding=padding)
    ours = run(lowering="held")
    expected = conv_by_loops(np.asarray(x), np.asarray(kernel), strides, padding)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(ours, run(lowering="lax"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


# Even and odd maps, every padding it knows, more channels than features and the reverse; many of
# both, whose kernel's gradient goes another way.
WINOGRAD = [
    (8, 8, 1, 5, 3),
    (7, 6, 1, 3, 5),
    (4, 7, 0, 3, 3),
    (5, 4, 2, 3, 3),
    (1, 1, 1, 3, 3),
    (3, 3, 0, 3, 3),
    (4, 5, 1, 129, 130),
    (5, 4, 2, 130, 129),
    (6, 5, 0, 128, 128),
]


@pytest.mark.parametrize("case", WINOGRAD, ids=str)
def test_winograd_gives_the_same_values_and_gradients(key, case):
    height, width, padding, channels, features = case
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (2, height, width, channels))
    kernel = jax.random.normal(keys[1], (3, 3, channels, features)) / channels**0.5
    shape = (2, height + 2 * padding - 2, width + 2 * padding - 2, features)
    dy = jax.random.normal(keys[2], shape)
    run = partial(value_and_gradients, x, kernel, dy, strides=1, padding=padding)
    ours = run(lowering="winograd")
    expected = conv_by_loops(np.asarray(x), np.asarray(kernel), 1, padding)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(ours, run(lowering="lax"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_winograd_rounds_up_to_a_few_times_as_much_as_a_plain_convolution(key):
    keys = jax.random.split(key)
    x = np.asarray(jax.random.normal(keys[0], (2, 8, 8, 64)), np.float64)
    kernel = np.asarray(jax.random.normal(keys[1], (3, 3, 64, 64)), np.float64)
    exact = conv_by_loops(x, kernel, 1, 1)
    x, kernel = jnp.float32(x), jnp.float32(kernel)

    def error(lowering: str) -> float:
        return np.sqrt(((conv(x, kernel, padding=1, lowering=lowering) - exact) ** 2).mean())

    assert error("winograd") < 4 * error("lax")


@pytest.mark.parametrize(("size", "strides", "padding"), [(1, 1, 0), (3, 2, 1), (3, 1, 3)])
def test_winograd_refuses_what_it_is_not_for(size, strides, padding):
    x, kernel = jnp.ones((1, 8, 8, 2)), jnp.ones((size, size, 2, 2))
    with pytest.raises(ValueError, match="winograd needs a 3x3 kernel, stride 1 and padding of"):
        conv(x, kernel, strides=strides, padding=padding, lowering="winograd")


def test_auto_multiplies_less_where_channels_are_many_on_cpu():
    def program(channels: int, features: int, dtype: type = jnp.float32, strides: int = 1) -> str:
        x = jnp.ones((2, 8, 8, channels), dtype)
        kernel = jnp.ones((3, 3, channels, features), dtype)
        return str(jax.make_jaxpr(partial(conv, padding=1, strides=strides))(x, kernel))

    assert "conv_general_dilated" not in program(64, 128)
    for few in (program(48, 64), program(64, 48), program(64, 64, strides=2)):
        assert "conv_general_dilated" in few
    assert "conv_general_dilated" in program(64, 64, jnp.bfloat16)


@pytest.mark.parametrize("lowering", ["held", "winograd"])
def test_a_gradient_of_a_gradient_passes_held_maps(key, lowering):
    x, kernel, _ = random_case(key, (6, 6, 3, 1, 1))

    def sharpness(kernel, lowering):
        dx = jax.grad(lambda x: jnp.tanh(conv(x, kernel, padding=1, lowering=lowering)).sum())(x)
        return (dx**2).sum()

    ours, lax = (jax.grad(sharpness)(kernel, name) for name in (lowering, "lax"))
    np.testing.assert_allclose(ours, lax, rtol=1e-4, atol=1e-3)


def test_cpu_repeats_no_arithmetic_inside_a_transposition_of_held_maps(key):
    """What makes "held" quick, as the compiled program has it: only copies are turned round."""
    x, kernel, _ = random_case(key, (16, 16, 3, 1, 1))

    def loss(x, kernel, lowering):
        y = conv(jnp.tanh(x) + 1, kernel, padding=1, lowering=lowering)
        return (y**2).sum()

    def turned_with_arithmetic(lowering: str) -> bool:
        step = jax.jit(jax.grad(partial(loss, lowering=lowering), argnums=1))
        program = step.lower(x, kernel).compile().as_text()
        bodies = [body for body in program.split("\n\n") if " transpose(" in body]
        assert bodies
        return any(" add(" in body and "ENTRY" not in body for body in bodies)

    assert turned_with_arithmetic("lax")
    assert not turned_with_arithmetic("held")


def test_bfloat16_patches_agree_with_float32_to_bfloat16_rounding(key):
    case = (7, 5, 3, 2, 1)
    arrays = random_case(key, case, jnp.bfloat16)
    run = partial(value_and_gradients, strides=2, padding=1, lowering="patches")
    exact = run(*[a.astype(jnp.float32) for a in arrays])
    for rounded, wanted in zip(run(*arrays), exact, strict=True):
        assert rounded.dtype == jnp.bfloat16
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(rounded.astype(jnp.float32) / scale, wanted / scale, atol=0.01)


@pytest.mark.parametrize("case", [(16, 16, 3, 1, 1), (4, 4, 3, 2, 1), (8, 8, 1, 2, 0)], ids=str)
def test_auto_gives_the_same_result_whichever_it_picks(key, case):
    x, kernel, dy = random_case(key, case)
    run = partial(value_and_gradients, x, kernel, dy, strides=case[3], padding=case[4])
    for ours, theirs in zip(run(lowering="auto"), run(lowering="lax"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_auto_leaves_tiny_maps_and_1x1_kernels_to_the_matmul_on_cpu(key):
    def primitives(case: tuple[int, ...]) -> str:
        x, kernel, _ = random_case(key, case)
        f = partial(conv, strides=case[3], padding=case[4])
        return str(jax.make_jaxpr(f)(x, kernel))

    assert "conv_general_dilated" not in primitives((2, 2, 3, 1, 1))
    assert "conv_general_dilated" not in primitives((16, 16, 1, 2, 0))
    assert "conv_general_dilated" in primitives((16, 16, 3, 1, 1))


@pytest.mark.parametrize(
    ("size", "strides", "as_one", "result"),
    [
        (3, 1, "[3,6,3,64]", "[2,16,16,16]"),  # four pixels of 16 features
        (7, 2, "[4,5,12,32]", "[2,8,8,16]"),  # two blocks of 2x2 pixels of 3 channels
    ],
)
def test_auto_computes_several_pixels_of_a_narrow_stem_as_one_on_cpu(size, strides, as_one, result):
    x, kernel = jnp.ones((2, 16, 16, 3)), jnp.ones((size, size, 3, 16))
    f = partial(conv, strides=strides, padding=(size - 1) // 2)
    program = str(jax.make_jaxpr(f)(x, kernel))
    assert f"f32{as_one}" in program
    assert f"f32{result}" in program
    half = jax.make_jaxpr(f)(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    assert as_one not in str(half)


def test_module_is_linens_conv_with_the_same_parameters(key):
    x = jax.random.normal(key, (2, 9, 9, 4))
    ours = Conv(6, 3, strides=2, use_bias=True, lowering="patches")
    theirs = nn.Conv(6, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    variables = theirs.init(key, x)
    variables["params"]["bias"] = jnp.arange(6.0)
    assert jax.tree.map(jnp.shape, ours.init(key, x)) == jax.tree.map(jnp.shape, variables)
    np.testing.assert_allclose(
        ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-4, atol=1e-5
    )


def test_padding_of_a_stride_2_convolution_is_even_and_not_same():
    image = jnp.arange(16.0).reshape(1, 4, 4, 1)
    module = Conv(1, 3, strides=2)
    y = module.apply({"params": {"kernel": jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1)}}, image)
    np.testing.assert_array_equal(y[0, :, :, 0], [[0, 2], [8, 10]])  # SAME would give 5, 7, 13, 15


def test_module_computes_in_its_dtype_and_keeps_float32_parameters(key):
    module = Conv(6, 3, dtype=jnp.bfloat16)
    y, variables = module.init_with_output(key, jnp.ones((1, 5, 5, 2)))
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == jnp.float32
