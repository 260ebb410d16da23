"""Convolution whose lowering follows the backend; parameters and results do not.

XLA's CPU backend is quick at matrix products and at most 3x3 convolutions, but a hundred times
slower at convolutions over maps of two or three pixels. There a convolution is a matmul of patches
with the kernel. Where channels are many, products with fewer multiplications than a convolution has
are quicker still. It is also slow where few channels come out, as in the first layers of a narrow
network: there pixels side by side are computed as if they were further channels of one; and it uses
one core where rows are short, so the largest such layer, a strided stem, gets all images in one
row. And the gradient of a kernel needs maps with their axes turned round, which takes far longer if
the arithmetic that made the maps is repeated on the way: there they are held.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from fairjax.models.layers.kernel_gradient import kernel_gradient
from fairjax.models.layers.once import once
from fairjax.models.layers.winograd import conv_winograd

Lowering = Literal["auto", "held", "lax", "patches", "winograd"]
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
        them with the kernel; "held" is "lax" of maps that XLA may not compute twice, with the
        pixels of a row as channels where channels are few; "winograd" is for 3x3 kernels of
        stride 1 and a padding of at most 2, see `conv_winograd`. Either may make NaN of an
        infinity. "auto" is the fastest of them for this shape on the CPU, and "lax" elsewhere. Only
        "lax" has a forward-mode derivative.

    Returns:
      Maps of `(n + 2 * padding - size) // strides + 1` rows and columns.

    Raises:
      ValueError: If the lowering is "winograd" and the convolution not one it is for.
    """
    if lowering == "auto":
        lowering = "lax"
        if jax.default_backend() == "cpu":
            lowering = _fastest_on_cpu(x, kernel, strides, padding)
    if lowering == "patches":
        return _conv_patches(x, kernel, strides, padding)
    if lowering == "winograd":
        if (len(kernel), strides) != (3, 1) or padding > 2:
            raise ValueError(
                "winograd needs a 3x3 kernel, stride 1 and padding of at most 2, not "
                f"{len(kernel)}x{len(kernel)}, {strides} and {padding}."
            )
        return conv_winograd(x, kernel, padding)
    if lowering == "held":
        return _conv_held(x, kernel, strides, padding)
    return _conv_lax(x, kernel, (strides, strides), padding)


def _fastest_on_cpu(x: Array, kernel: Array, strides: int, padding: int) -> Lowering:
    """By measurement on a Zen 5, and on a Zen 4 but for "winograd"."""
    size = kernel.shape[0]
    shortest = (min(x.shape[1:3]) + 2 * padding - size) // strides + 1
    if size == 1 or shortest < 4:
        return "patches"
    if x.dtype != jnp.float32:
        return "lax"
    many = min(kernel.shape[2:]) >= 64
    return "winograd" if many and (size, strides) == (3, 1) and padding <= 2 else "held"


def _conv_lax(x: Array, kernel: Array, strides: tuple[int, int], padding: int) -> Array:
    sides = [(padding, padding)] * 2
    return lax.conv_general_dilated(
        x, kernel, strides, sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
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


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_patches(x: Array, kernel: Array, strides: int, padding: int) -> Array:
    patches = _patches(x, kernel.shape[0], strides, padding)
    return jnp.dot(patches, kernel.reshape(-1, kernel.shape[-1]))


def _conv_patches_forward(
    x: Array, kernel: Array, strides: int, padding: int
) -> tuple[Array, tuple[Array, Array]]:
    return _conv_patches(x, kernel, strides, padding), (x, kernel)


def _conv_patches_backward(
    strides: int, padding: int, saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    to_patches = partial(_patches, size=kernel.shape[0], strides=strides, padding=padding)
    patches = to_patches(x)
    over_pixels = (((0, 1, 2), (0, 1, 2)), ((), ()))
    if patches.shape[-1] > dy.shape[-1]:  # the CPU's matmul is faster with the longer side last
        d_kernel = lax.dot_general(dy, patches, over_pixels).T
    else:
        d_kernel = lax.dot_general(patches, dy, over_pixels)
    d_patches = jnp.dot(dy, kernel.reshape(-1, kernel.shape[-1]).T)
    (dx,) = jax.linear_transpose(to_patches, x)(d_patches)
    return dx, d_kernel.reshape(kernel.shape)


_conv_patches.defvjp(_conv_patches_forward, _conv_patches_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_held(x: Array, kernel: Array, strides: int, padding: int) -> Array:
    return _conv_wide(x, kernel, strides, padding)


def _conv_held_forward(
    x: Array, kernel: Array, strides: int, padding: int
) -> tuple[Array, tuple[Array, Array]]:
    x = once(x)
    return _conv_wide(x, kernel, strides, padding), (x, kernel)


def _conv_held_backward(
    strides: int, padding: int, saved: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    plain = partial(_conv_lax, strides=(strides, strides), padding=padding)
    if strides == 1:  # dx is a convolution like any other, with the kernel turned by 180 degrees
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        dx = _conv_neighbours(dy, turned, 1, len(kernel) - 1 - padding)
    else:
        (dx,) = jax.vjp(lambda x: plain(x, kernel), x)[1](dy)
    return dx, kernel_gradient(x, dy, len(kernel), strides, padding)


_conv_held.defvjp(_conv_held_forward, _conv_held_backward)


def _conv_wide(x: Array, kernel: Array, strides: int, padding: int) -> Array:
    """A convolution, of which XLA's CPU library gets as much to do at once as there is."""
    _, height, width, channels = x.shape
    narrow_stem = channels <= 4 and kernel.shape[-1] <= 32 and strides == 2
    if narrow_stem and height % 2 == width % 2 == 0:
        return _conv_folded(x, kernel, padding)
    return _conv_neighbours(x, kernel, strides, padding)


def _conv_folded(x: Array, kernel: Array, padding: int) -> Array:
    """A convolution of stride 2 as one of stride 1 over blocks of 2x2 pixels, all images in a row.

    A block's pixels are its channels. Images are so far apart that no window sees two of them.
    """
    batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    rows, columns = ((n + 2 * padding - size) // 2 + 1 for n in (height, width))
    before = -(-padding // 2)  # blocks of a window that lie before its output
    lead = 2 * before - padding
    kernel = jnp.pad(kernel, ((lead, (size + lead) % 2),) * 2 + ((0, 0),) * 2)
    size = len(kernel) // 2
    kernel = kernel.reshape(size, 2, size, 2, channels, features).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(size, size, 4 * channels, features)

    together = max(1, 32 // features)
    after = size - 1 - before
    period = max(width // 2 + before, columns + max(after, 0))
    period = -(-period // together) * together
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(1, 0, 3, 2, 4, 5)
    blocks = blocks.reshape(height // 2, batch, width // 2, 4 * channels)
    blocks = jnp.pad(blocks, ((0, 0), (0, 0), (0, period - width // 2), (0, 0)))
    y = lax.conv_general_dilated(
        blocks.reshape(1, height // 2, batch * period, 4 * channels),
        _side_by_side(kernel, 1, together),
        (1, together),
        ((before, rows + after - height // 2), (before, after)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return once(y.reshape(rows, batch, period, features)[:, :, :columns].swapaxes(0, 1))


def _conv_neighbours(x: Array, kernel: Array, strides: int, padding: int) -> Array:
    """A convolution in which few features of neighbouring pixels, up to 64, come out as one's."""
    size, _, channels, features = kernel.shape
    rows, columns = ((n + 2 * padding - size) // strides + 1 for n in x.shape[1:3])
    together = max(1, (64 if channels <= 4 else 32) // features)
    if together == 1 or columns % together:
        return _conv_lax(x, kernel, (strides, strides), padding)
    wide = _side_by_side(kernel, strides, together)
    y = _conv_lax(x, wide, (strides, strides * together), padding)
    return y.reshape(len(x), rows, columns, features)


def _side_by_side(kernel: Array, strides: int, count: int) -> Array:
    """One kernel that spans the windows of `count` pixels, with a copy at the place of each."""
    right = [strides * i for i in range(count)]
    copies = [
        jnp.pad(kernel, ((0, 0), (before, right[-1] - before), (0, 0), (0, 0))) for before in right
    ]
    return jnp.concatenate(copies, axis=-1)
