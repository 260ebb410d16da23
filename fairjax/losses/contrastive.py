"""Losses between two views of each image of a batch, and measures of a collapsed representation.

Under jit the batch is the global one: every image of every device is a negative.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Vectors = Float[Array, "batch dim"]


def unit(x: Vectors) -> Vectors:
    """Vectors of length 1, float32; a vector of length 0 stays 0, and so does its gradient."""
    x = x.astype(jnp.float32)
    squared = jnp.square(x).sum(axis=-1, keepdims=True)
    return x * jnp.where(squared > 0, jax.lax.rsqrt(squared + 1e-12), 0.0)


def nt_xent(
    first: Vectors,
    second: Vectors,
    mask: Bool[Array, " batch"],
    *,
    temperature: float,
    poly: bool = False,
) -> Float[Array, " batch"]:
    r"""NT-Xent: cross-entropy of telling an image's other view from all else in the batch.

    $-\log\frac{e^{u\cdot v/\tau}}{\sum_{w\ne u} e^{u\cdot w/\tau}}$ over the 2n unit vectors of
    both views, the mean of each image's two.

    Args:
      first: A vector for each image, of any length.
      second: The vector of each image's other view.
      mask: False on padding, which is nobody's negative.
      temperature: Temperature of the softmax, above 0.
      poly: Add n (1/n - p / (2n - 1)), p the probability of the other view: the first term of a
        polynomial loss, as in TF-C's code.

    Returns:
      Nats, 0 or more; finite on padding, too.

    Source: Chen et al. 2020 (SimCLR, arXiv 2002.05709), equation 1.
    """
    a, b = unit(first), unit(second)
    both, valid = jnp.concatenate([a, b]), jnp.concatenate([mask, mask])
    row = jnp.arange(len(both))
    partner = (row + len(a)) % len(both)
    seen = valid[None, :] | (row[None, :] == partner[:, None])
    seen &= row[None, :] != row[:, None]
    logits = jnp.where(seen, both @ both.T / temperature, -jnp.inf)
    positive = jnp.tile((a * b).sum(axis=1) / temperature, 2)
    losses = jax.nn.logsumexp(logits, axis=1) - positive
    if poly:
        n = mask.sum()
        losses += 1.0 - n * jnp.exp(-losses) / jnp.maximum(2 * n - 1, 1)
    return losses.reshape(2, -1).mean(axis=0)


class Spaces(NamedTuple):
    """An image's representations, by encoder and by level.

    Attributes:
      time: The time encoder's output, before its projector.
      frequency: The frequency encoder's output, before its projector.
      time_low: The time encoder's projection.
      frequency_low: The frequency encoder's projection.
    """

    time: Vectors
    frequency: Vectors
    time_low: Vectors
    frequency_low: Vectors


class TimeFrequency(NamedTuple):
    """The parts of TF-C's loss, one value an image.

    Attributes:
      time: NT-Xent of the two views' time representations.
      frequency: NT-Xent of the two views' frequency representations.
      across: NT-Xent of the first view's time and frequency projections.
      margins: How far `across` is from being smaller, by the margin, than the same between
        perturbed views: the sum of the three hinges.
    """

    time: Float[Array, " batch"]
    frequency: Float[Array, " batch"]
    across: Float[Array, " batch"]
    margins: Float[Array, " batch"]


def time_frequency(
    first: Spaces,
    second: Spaces,
    mask: Bool[Array, " batch"],
    *,
    temperature: float,
    margin: float,
    poly: bool = False,
) -> TimeFrequency:
    r"""Contrast within time, within frequency, and the consistency of the two.

    `margins` is $\sum_k \max(0, \delta + L_{TF} - l_k)$ with $l_k$ the NT-Xent of (time,
    perturbed frequency), (perturbed time, frequency) and (both perturbed).

    Args:
      first: Representations of the images.
      second: Representations of the perturbed images.
      mask: False on padding.
      temperature: Temperature of each NT-Xent, above 0.
      margin: Margin delta of the hinges.
      poly: Whether to add the polynomial term of `nt_xent`.

    Source: Zhang et al. 2022 (arXiv 2206.08496), equations 1 to 3. Differs from it in: the hinge,
      without which the sum is unbounded below, since it rewards making $l_k$ large.
    """

    def contrast(a: Vectors, b: Vectors) -> Float[Array, " batch"]:
        return nt_xent(a, b, mask, temperature=temperature, poly=poly)

    across = contrast(first.time_low, first.frequency_low)
    mixed = (
        contrast(first.time_low, second.frequency_low),
        contrast(second.time_low, first.frequency_low),
        contrast(second.time_low, second.frequency_low),
    )
    return TimeFrequency(
        time=contrast(first.time, second.time),
        frequency=contrast(first.frequency, second.frequency),
        across=across,
        margins=sum((jax.nn.relu(margin + across - each) for each in mixed), jnp.zeros(len(mask))),
    )


def alignment(first: Vectors, second: Vectors) -> Float[Array, " batch"]:
    """Squared distance between the unit vectors of two views, in [0, 4]; 0 is alike.

    Source: Wang and Isola 2020 (arXiv 2005.10242), equation 1 with alpha = 2.
    """
    return jnp.square(unit(first) - unit(second)).sum(axis=1)


def feature_std(x: Vectors, mask: Bool[Array, " batch"]) -> Float[Array, ""]:
    """How far unit vectors spread: the mean over dimensions of their deviation, times sqrt(dim).

    About 1 where they are spread over the sphere, 0 where all images have become one point.

    Source: Chen and He 2021 (SimSiam, arXiv 2011.10566), section 4.1.
    """
    deviation = jnp.std(unit(x), axis=0, where=mask[:, None])
    return deviation.mean() * x.shape[1] ** 0.5


def uniformity(x: Vectors, mask: Bool[Array, " batch"]) -> Float[Array, ""]:
    """The logarithm of the mean of exp(-2 squared distance) over pairs of images.

    0 where all are one point, about -4 where they are spread over a sphere of many dimensions.

    Source: Wang and Isola 2020 (arXiv 2005.10242), equation 2 with t = 2.
    """
    u, rows = unit(x), jnp.arange(len(x))
    weights = mask[:, None] & mask[None] & (rows[:, None] != rows[None])
    near = jnp.exp(4 * (u @ u.T) - 4)
    return jnp.log(jnp.sum(near * weights) / jnp.maximum(weights.sum(), 1))
