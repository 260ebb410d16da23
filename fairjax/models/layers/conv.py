"""Convolution whose lowering follows the backend; parameters and results do not."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from fairjax.models.layers.backend import Images, Lowering, Maps, takes_cpu_form

Kernel = Float[Array, "size size channels features"]

he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def conv(
    x: Images, kernel: Kernel, *, strides: int = 1, padding: int = 0, lowering: Lowering = "auto"
) -> Maps:
    """Cross-correlates `x` with a square `kernel`, as `torch.nn.functional.conv2d` does.

    Args:
      x: Maps, channels last.
      kernel: Kernel in HWIO order, of the same dtype as `x`.
      strides: Step in both directions, at least 1.
      padding: Zeros added on each of the four sides.
      lowering: "lax" is `lax.conv_general_dilated`; "patches" multiplies patches with the
        kernel, as one matrix product; "auto" is "patches" on a CPU where the kernel is 1x1 or a
        side of the result is shorter than 4 pixels, and "lax" elsewhere.

    Returns:
      Maps of `(n + 2 * padding - size) // strides + 1` rows and columns.
    """
    size = len(kernel)
    shortest = (min(x.shape[1:3]) + 2 * padding - size) // strides + 1
    small = size == 1 or shortest < 4 or lowering == "patches"
    if small and takes_cpu_form("tiny_map" if shortest < 4 else "one_pixel", lowering):
        patches = _patches(x, size, strides, padding)
        return jnp.dot(patches, kernel.reshape(-1, kernel.shape[-1]))
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
        size at stride 1 when the kernel is odd. It is not "SAME", which at stride 2 pads unevenly.
      use_bias: Whether to add a bias to each channel.
      dtype: Type of the computation and the result; None follows the input and the parameters.
      param_dtype: Type of the parameters.
      kernel_init: Initialiser of the kernel.
      lowering: How the convolution is computed, as `conv` takes it.
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


def _patches(x: Array, size: int, strides: int, padding: int) -> Array:
    sides = (padding, padding)
    x = jnp.pad(x, ((0, 0), sides, sides, (0, 0)))
    rows, columns = ((n - size) // strides * strides + 1 for n in x.shape[1:3])
    slices = [
        x[:, i : i + rows : strides, j : j + columns : strides]
        for i in range(size)
        for j in range(size)
    ]
    return slices[0] if size == 1 else jnp.concatenate(slices, axis=-1)
