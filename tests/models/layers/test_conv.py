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


@pytest.mark.parametrize("lowering", ["lax", "patches"])
def test_a_gradient_of_a_gradient_is_that_of_finite_differences(key, lowering):
    x, kernel, _ = random_case(key, (3, 3, 3, 1, 1))

    @jax.jit
    def sharpness(kernel):
        dx = jax.grad(lambda x: jnp.tanh(conv(x, kernel, padding=1, lowering=lowering)).sum())(x)
        return (dx**2).sum()

    direction = jax.random.normal(jax.random.fold_in(key, 1), kernel.shape)
    step = 1e-2
    measured = (sharpness(kernel + step * direction) - sharpness(kernel - step * direction)) / (
        2 * step
    )
    slope = (jax.grad(sharpness)(kernel) * direction).sum()
    np.testing.assert_allclose(slope, measured, rtol=1e-2)
    _, forwards = jax.jvp(sharpness, (kernel,), (direction,))
    np.testing.assert_allclose(forwards, slope, rtol=1e-4)


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
