"""Two Transformer encoders over a face's feature map: one over its cells, one over its spectrum."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from fairjax.models.layers.attention import attention
from fairjax.models.projector import Projector
from fairjax.models.resnet import ResNet

Tokens = Float[Array, "batch tokens dim"]
_TINY = 1e-12  # under the root of a magnitude, so that its gradient is finite at 0


class View(NamedTuple):
    """What one encoder says of each image.

    Attributes:
      high: The mean of its tokens, [batch, dim].
      low: The projection of that mean, [batch, projection].
    """

    high: Float[Array, "batch dim"]
    low: Float[Array, "batch projection"]


class TFC(nn.Module):
    """A convolutional trunk, a "time" and a "frequency" encoder, and a projector for each.

    An image has no time: its first axis here is the raster of the trunk's last map, and the second
    view is the spectrum of the same cells, as the reference's is that of the same sequence. As a
    backbone it gives both low-dimensional projections together.

    Attributes:
      depth: Depth of the trunk, a `ResNet`.
      width: Channels of the trunk's first stage.
      stem: First layer of the trunk, "imagenet" or "small".
      stages: Number of the trunk's stages, up to four.
      dim: Width of a token; a multiple of `heads`.
      layers: Layers of each encoder.
      heads: Attention heads of a layer.
      hidden: Width of a layer's perceptron.
      dropout: Dropout rate after the attention, in and after the perceptron.
      projection: Width of the low-dimensional representation of each view.
      transform: What the Fourier transform runs over: "grid", the two axes of the map, or
        "sequence", its cells in raster order.
      transform_norm: "ortho", "backward" or "forward", as `numpy.fft` has it.
      half: Leave out the frequencies that mirror others: the transform is of real numbers.
      dtype: Type of the computation; parameters, statistics, spectrum and result are float32.

    Source: Zhang et al. 2022 (TF-C, arXiv 2206.08496), whose encoders and projectors these are;
      the UTKFace study's section 3.2, which puts a CNN before them and states no size. Differs from
      TF-C in: two-dimensional input, so a trunk, positions and `log1p` with a LayerNorm on the
      spectrum; attention runs over the tokens of one image; attention weights have no dropout.
    """

    depth: int = 18
    width: int = 64
    stem: Literal["imagenet", "small"] = "imagenet"
    stages: int = 4
    dim: int = 256
    layers: int = 2
    heads: int = 2
    hidden: int = 512
    dropout: float = 0.1
    projection: int = 128
    transform: Literal["grid", "sequence"] = "grid"
    transform_norm: Literal["ortho", "backward", "forward"] = "ortho"
    half: bool = False
    dtype: Any = jnp.float32

    def setup(self) -> None:
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim} must be a multiple of heads={self.heads}.")
        self.trunk = ResNet(
            self.depth,
            width=self.width,
            stem=self.stem,
            stages=self.stages,
            pool="none",
            dtype=self.dtype,
        )
        self.cell = nn.Dense(self.dim, dtype=self.dtype)
        self.frequency_norm = nn.LayerNorm(epsilon=1e-5)
        self.time_encoder, self.frequency_encoder = (
            Encoder(self.layers, self.heads, self.hidden, self.dropout, self.dtype)
            for _ in range(2)
        )
        self.time_projector, self.frequency_projector = (
            Projector(self.projection) for _ in range(2)
        )

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, train: bool
    ) -> Float[Array, "batch features"]:
        """Maps `[batch, height, width, 3]` to float32 `[batch, 2 * projection]`, time first."""
        cells = self.cells(images, train=train)
        time = self.in_time(cells, train=train)
        frequency = self.in_frequency(self.spectrum(cells), train=train)
        return jnp.concatenate([time.low, frequency.low], axis=1)

    def cells(
        self, images: Float[Array, "batch height width 3"], *, train: bool
    ) -> Float[Array, "batch rows columns dim"]:
        """The feature map: `[batch, height, width, 3]` to `[batch, rows, columns, dim]`."""
        return self.cell(self.trunk(images, train=train))

    def in_time(self, cells: Float[Array, "batch rows columns dim"], *, train: bool) -> View:
        """The view of a feature map `[batch, rows, columns, dim]` in raster order."""
        high = self.encode_time(cells, train=train)
        return View(high, self.time_projector(high, train=train))

    def encode_time(
        self, cells: Float[Array, "batch rows columns dim"], *, train: bool
    ) -> Float[Array, "batch dim"]:
        """The high-dimensional half of `in_time`, which knows no batch statistics."""
        return self.time_encoder(cells.reshape(cells.shape[0], -1, self.dim), train=train)

    def spectrum(self, cells: Float[Array, "batch rows columns dim"]) -> Tokens:
        """Magnitudes `[batch, frequencies, dim]` of a feature map, float32, 0 or more."""
        _, rows, columns, _ = cells.shape
        waves = fourier(rows, columns, over=self.transform, norm=self.transform_norm)
        if self.half:
            waves = waves[distinct(rows, columns, over=self.transform)]
        tokens = cells.reshape(cells.shape[0], -1, self.dim).astype(jnp.float32)
        real, imaginary = (
            jnp.einsum("fn,bnd->bfd", jnp.asarray(wave, jnp.float32), tokens)
            for wave in (waves.real, waves.imag)
        )
        return jnp.sqrt(real**2 + imaginary**2 + _TINY)

    def in_frequency(self, magnitudes: Tokens, *, train: bool) -> View:
        """The view of a spectrum `[batch, frequencies, dim]`, of magnitudes."""
        high = self.encode_frequency(magnitudes, train=train)
        return View(high, self.frequency_projector(high, train=train))

    def encode_frequency(self, magnitudes: Tokens, *, train: bool) -> Float[Array, "batch dim"]:
        """The high-dimensional half of `in_frequency`, which knows no batch statistics."""
        tokens = self.frequency_norm(jnp.log1p(magnitudes))
        return self.frequency_encoder(tokens.astype(self.dtype), train=train)


class Encoder(nn.Module):
    """Learned positions, post-norm Transformer layers, and the mean over tokens.

    Attributes:
      layers: Number of layers.
      heads: Attention heads of a layer.
      hidden: Width of the perceptron.
      dropout: Dropout rate after the attention, in and after the perceptron.
      dtype: Type of the computation; the result is float32.
    """

    layers: int
    heads: int
    hidden: int
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Tokens, *, train: bool) -> Float[Array, "batch dim"]:
        """Maps `[batch, tokens, dim]` to float32 `[batch, dim]`."""
        positions = self.param("positions", nn.initializers.normal(0.02), x.shape[1:], jnp.float32)
        x = x + positions[None].astype(x.dtype)
        for layer in range(self.layers):
            x = PostNormLayer(
                self.heads, self.hidden, self.dropout, self.dtype, name=f"layer_{layer}"
            )(x, train=train)
        return x.astype(jnp.float32).mean(axis=1)


class PostNormLayer(nn.Module):
    """Attention, then a perceptron with ReLU, each beside a shortcut and followed by a norm."""

    heads: int
    hidden: int
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Tokens, *, train: bool) -> Tokens:
        """Maps `[batch, tokens, dim]` to the same shape."""
        batch, tokens, dim = x.shape
        drop = partial(nn.Dropout(self.dropout), deterministic=not train)
        qkv = nn.Dense(
            3 * dim,
            dtype=self.dtype,
            kernel_init=nn.initializers.xavier_uniform(),
            name="qkv",
        )(x)
        q, k, v = (x.reshape(batch, tokens, self.heads, -1) for x in jnp.split(qkv, 3, axis=-1))
        mixed = attention(q, k, v).reshape(batch, tokens, dim)
        y = nn.Dense(dim, dtype=self.dtype, name="out")(mixed)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm_1")(x + drop(y))
        y = drop(nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="up")(x)))
        y = nn.Dense(dim, dtype=self.dtype, name="down")(y)
        return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm_2")(x + drop(y))


def fourier(rows: int, columns: int, *, over: str, norm: str) -> np.ndarray:
    """The discrete Fourier transform of a grid in raster order, as a complex matrix.

    Over so few cells a product with this matrix is cheaper than a fast transform, and its gradient
    is another product.

    Args:
      rows: Rows of the grid.
      columns: Columns of the grid.
      over: "grid" transforms along both axes, "sequence" along the raster.
      norm: Normalisation, by the names of `numpy.fft.fft`.

    Returns:
      [frequencies, cells], frequencies in the order of `numpy.fft`, raster order for "grid".

    Raises:
      ValueError: If `over` is neither.
    """
    cells = rows * columns
    basis = np.eye(cells)
    if over == "sequence":
        return np.fft.fft(basis, axis=0, norm=norm)  # type: ignore[arg-type]
    if over != "grid":
        raise ValueError(f"transform={over!r} is not known; known: grid, sequence.")
    waves = np.fft.fft2(basis.reshape(rows, columns, cells), axes=(0, 1), norm=norm)  # type: ignore[arg-type]
    return waves.reshape(cells, cells)


def distinct(rows: int, columns: int, *, over: str) -> np.ndarray:
    """Frequencies of which no earlier one is the mirror: those that a real signal does not repeat.

    Returns:
      Numbers of those frequencies in the order of `fourier`.
    """
    cells = np.arange(rows * columns)
    if over == "sequence":
        mirror = -cells % len(cells)
    else:
        row, column = np.divmod(cells, columns)
        mirror = (-row % rows) * columns + (-column % columns)
    return np.flatnonzero(cells <= mirror)


def perturbed(key: jax.Array, magnitudes: Tokens, *, share: float, strength: float) -> Tokens:
    """Another version of each spectrum: some components removed, or some raised.

    A coin decides for each image whether `share` of its components, drawn one by one, become 0, or
    gain a uniform wave of up to `strength` times its largest component.

    Args:
      key: Decides all of it.
      magnitudes: `[batch, frequencies, dim]`, 0 or more.
      share: Share of the components that are changed, in [0, 1].
      strength: Largest amount added, as a share of the largest component; 0 or more.

    Source: TF-C's `remove_frequency` and `add_frequency`, which add both versions up and so double
      every amplitude; here an image gets one of the two.
    """
    coin_key, choice_key, size_key = jax.random.split(key, 3)
    remove = jax.random.bernoulli(coin_key, shape=(len(magnitudes), 1, 1))
    chosen = jax.random.bernoulli(choice_key, share, magnitudes.shape)
    top = strength * magnitudes.max(axis=(1, 2), keepdims=True)
    raised = magnitudes + top * jax.random.uniform(size_key, magnitudes.shape)
    return jnp.where(chosen, jnp.where(remove, 0.0, raised), magnitudes)
