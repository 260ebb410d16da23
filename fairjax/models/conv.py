"""Convolution whose lowering follows the backend: patches and a matmul on CPU, elsewhere XLA's own.

XLA's CPU convolutions reach a small fraction of what its matmul does, forwards and above all
backwards. Here a convolution is one matmul between patches and the kernel, and so are both of its
gradients; autodiff of the patches would scatter instead. Parameters and results are the same
whichever way is taken.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

Lowering = Literal["auto", "lax", "patches"]
Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch out_height out_width features"]
Kernel = Float[Array, "size size channels features"]

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv(
    x: Images, kernel: Kernel, *, strides: int = 1, padding: int = 0, lowering: Lowering = "auto"
) -> Maps:
    """Cross-correlates `x` with a square `kernel`, as `torch.nn.functional.conv2d` does.

    Args:
      x: Maps, channels last.
      kernel: In HWIO order, of the same dtype as `x`.
      strides: Step in both directions, at least 1.
      padding: Zeros added on each of the four sides.
      lowering: "lax" is `lax.conv_general_dilated`; "patches" gathers patches and multiplies
        them with the kernel, in both passes; "auto" takes "patches" on CPU, "lax" elsewhere.

    Returns:
      Maps of `(n + 2 * padding - size) // strides + 1` rows and columns.
    """
    if lowering == "auto":
        lowering = "patches" if jax.default_backend() == "cpu" else "lax"
    if lowering == "patches":
        return _conv_patches(x, kernel, strides, padding)
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class Conv(nn.Module):
    """A convolution with a square kernel; the parameters are those of `nn.Conv`.

    Attributes:
      features: Channels out.
      kernel_size: Rows, and columns, of the kernel.
      strides: Step in both directions.
      padding: Zeros on each of the four sides; None is `(kernel_size - 1) // 2`, which keeps the
        size at stride 1 when the kernel is odd, and at stride 2 is not "SAME", which pads
        unevenly.
      use_bias: Whether to add a bias to each channel.
      dtype: Of the computation and the result; None follows the input and the parameters.
      param_dtype: Of the parameters.
      kernel_init: Initialiser of the kernel.
      lowering: See `conv`.
    """

    features: int
    kernel_size: int
    strides: int = 1
    padding: int | None = None
    use_bias: bool = False
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = he_normal
    lowering: Lowering = "auto"

    @nn.compact
    def __call__(self, x: Images) -> Maps:
        """Maps `[batch, height, width, channels]` to `[batch, height, width, features]`."""
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        padding = (size - 1) // 2 if self.padding is None else self.padding
        y = conv(x, kernel, strides=self.strides, padding=padding, lowering=self.lowering)
        return y if bias is None else y + bias[None, None, None]


def _patches(
    x: Array, taps: Sequence[tuple[int, int]], size: tuple[int, int], strides: int
) -> Array:
    """Row after row of what each output pixel sees at `taps`; beyond the edges `x` is zero."""
    ends = [
        [(min(0, low), max(0, high + (rows - 1) * strides + 1 - n)) for low, high in [span]]
        for span, rows, n in zip(
            [(min(t), max(t)) for t in zip(*taps, strict=True)], size, x.shape[1:3], strict=True
        )
    ]
    (((top, bottom),), ((left, right),)) = ends
    x = jnp.pad(x, ((0, 0), (-top, bottom), (-left, right), (0, 0)))
    pieces = [
        lax.slice(
            x,
            (0, i - top, j - left, 0),
            (
                x.shape[0],
                i - top + (size[0] - 1) * strides + 1,
                j - left + (size[1] - 1) * strides + 1,
                x.shape[3],
            ),
            (1, strides, strides, 1),
        )
        for i, j in taps
    ]
    return jnp.concatenate(pieces, axis=-1)


def _forward_patches(x: Array, size: int, strides: int, padding: int) -> Array:
    out = [(n + 2 * padding - size) // strides + 1 for n in x.shape[1:3]]
    taps = [(i - padding, j - padding) for i in range(size) for j in range(size)]
    return _patches(x, taps, (out[0], out[1]), strides)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_patches(x: Array, kernel: Array, strides: int, padding: int) -> Array:
    patches = _forward_patches(x, kernel.shape[0], strides, padding)
    return jnp.dot(patches, kernel.reshape(-1, kernel.shape[-1]))


def _conv_patches_forward(
    x: Array, kernel: Array, strides: int, padding: int
) -> tuple[Array, tuple[Array, Array]]:
    return _conv_patches(x, kernel, strides, padding), (x, kernel)


def _conv_patches_backward(
    strides: int, padding: int, saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    return (
        _input_gradient(dy, kernel, x.shape, strides, padding),
        _kernel_gradient(x, dy, kernel.shape[0], strides, padding),
    )


_conv_patches.defvjp(_conv_patches_forward, _conv_patches_backward)


def _kernel_gradient(x: Array, dy: Array, size: int, strides: int, padding: int) -> Array:
    """Patches against the output's gradient, summed over every output pixel."""
    patches = _forward_patches(x, size, strides, padding)
    over_pixels = (((0, 1, 2), (0, 1, 2)), ((), ()))
    if patches.shape[-1] > dy.shape[-1]:  # on CPU the matmul likes the longer side last
        gradient = lax.dot_general(dy, patches, over_pixels).T
    else:
        gradient = lax.dot_general(patches, dy, over_pixels)
    return gradient.reshape(size, size, x.shape[-1], dy.shape[-1])


def _input_gradient(
    dy: Array, kernel: Array, shape: tuple[int, ...], strides: int, padding: int
) -> Array:
    """The convolution of `dy` with the turned kernel, one phase of the stride at a time.

    Input row r meets kernel row i at output row (r + padding - i) / strides, when that is whole:
    so the rows of one residue modulo the stride see the same few kernel rows, and each such phase
    is a convolution of stride 1. None of its products is with an inserted zero.
    """
    batch, height, width, channels = shape
    phase_size = (-(-height // strides), -(-width // strides))

    def meets(phase: int) -> list[tuple[int, int]]:
        """(kernel row, offset of the output row) for the rows of this residue."""
        reach = [(i, phase + padding - i) for i in range(kernel.shape[0])]
        return [(i, offset // strides) for i, offset in reach if offset % strides == 0]

    phases = []
    for rows in map(meets, range(strides)):
        for columns in map(meets, range(strides)):
            if not rows or not columns:  # a stride longer than the kernel skips these pixels
                phases.append(jnp.zeros((batch, *phase_size, channels), dy.dtype))
                continue
            taps = [(row, column) for _, row in rows for _, column in columns]
            turned = jnp.concatenate([kernel[i, j] for i, _ in rows for j, _ in columns], axis=-1)
            patches = _patches(dy, taps, phase_size, 1)
            phases.append(lax.dot_general(patches, turned, (((3,), (1,)), ((), ()))))
    if strides == 1:
        return phases[0]
    grid = jnp.stack(phases, axis=3).reshape(batch, *phase_size, strides, strides, channels)
    full = grid.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, phase_size[0] * strides, phase_size[1] * strides, channels
    )
    return full[:, :height, :width]
