"""Gradient attention maps: where on its last map a network finds what makes a face its person."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from fairjax.models.cosine_head import unit

MapKind = Literal["gradcam", "abs_grad", "grad_x_input"]
Activations = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch height width"]
OFFSETS = "offsets"  # the collection of numbers added to a module's maps


def expose(module: nn.Module, name: str, x: Array) -> Array:
    """Lets a caller read a module's activations and differentiate with respect to them.

    The activations are sown as `name` in "intermediates". Where the caller passes an array of that
    name in the collection "offsets", it is added to them: the gradient with respect to an offset
    of zeros is the gradient with respect to the activations.

    Args:
      module: The module that is called.
      name: Name of the activations within it.
      x: The activations.

    Returns:
      The activations, with the offset where there is one.
    """
    if module.has_variable(OFFSETS, name):
        x = x + module.get_variable(OFFSETS, name).astype(x.dtype)
    module.sow("intermediates", name, x)
    return x


def attention_map(
    activations: Activations,
    gradient: Activations,
    *,
    kind: MapKind,
    second_order: bool = True,
) -> Maps:
    r"""How much each position contributes to a score, as a distribution over positions.

    "gradcam" is $\mathrm{relu}(\sum_c \mathrm{mean}_{hw}(g)_c F_c)$, "abs_grad" $\sum_c |g_c|$,
    "grad_x_input" $\mathrm{relu}(\sum_c g_c F_c)$; each over its sum plus 1e-6.

    Args:
      activations: F, a map of the network.
      gradient: g, the gradient of the score with respect to F.
      kind: How the two become a map.
      second_order: Whether the gradient of the map reaches the network through `gradient`, too,
        which makes it a second derivative; False treats `gradient` as constant.

    Returns:
      0 or more, with a sum of at most 1; all zeros where no position contributes.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2, for "gradcam".
    """
    f, g = activations.astype(jnp.float32), gradient.astype(jnp.float32)
    if not second_order:
        g = jax.lax.stop_gradient(g)
    if kind == "gradcam":
        weighed = jax.nn.relu((g.mean(axis=(1, 2), keepdims=True) * f).sum(axis=-1))
    elif kind == "grad_x_input":
        weighed = jax.nn.relu((g * f).sum(axis=-1))
    elif kind == "abs_grad":
        weighed = jnp.abs(g).sum(axis=-1)
    else:
        raise ValueError(f"map={kind!r} is not known; known: gradcam, abs_grad, grad_x_input.")
    return weighed / (weighed.sum(axis=(1, 2), keepdims=True) + 1e-6)


def erase_top(
    images: Float[Array, "batch image_height image_width channels"], maps: Maps, *, regions: int
) -> Float[Array, "batch image_height image_width channels"]:
    """Sets the regions to 0 that a map values most.

    Args:
      images: Normalised images, or maps of the network.
      maps: Attention maps of the images; each position stands for an equal rectangle of the image.
      regions: How many positions are erased, 0 to all.

    Returns:
      The images; the choice of the regions has no gradient.
    """
    batch, height, width = maps.shape
    flat = jax.lax.stop_gradient(maps).reshape(batch, -1)
    rank = jnp.argsort(jnp.argsort(-flat, axis=1), axis=1)
    keep = (rank >= regions).reshape(batch, height, width)
    rows = jnp.arange(images.shape[1]) * height // images.shape[1]
    columns = jnp.arange(images.shape[2]) * width // images.shape[2]
    return images * keep[:, rows][:, :, columns][..., None].astype(images.dtype)


def with_map(
    embed: Callable[[Array], tuple[Any, Array]],
    score: Callable[[Any], Float[Array, " batch"]],
    like: jax.ShapeDtypeStruct | Array,
) -> tuple[Any, Activations, Activations]:
    """Runs a network once, with the gradient of a score with respect to one of its maps.

    Args:
      embed: `offset -> (output, activations)`, with the offset added to the activations.
      score: `output -> [batch]`; its sum is differentiated.
      like: Anything with the shape and type of the activations.

    Returns:
      The output, the activations and the gradient.
    """

    def total(offset: Array) -> tuple[Array, tuple[Any, Array]]:
        output, activations = embed(offset)
        return score(output).sum(), (output, activations)

    gradient, (output, activations) = jax.grad(total, has_aux=True)(
        jnp.zeros(like.shape, like.dtype)
    )
    return output, activations, gradient


def entropy(maps: Maps) -> Float[Array, " batch"]:
    """Entropy of each map in nats: the logarithm of how many positions it spreads over."""
    flat = maps.reshape(len(maps), -1)
    return jax.scipy.special.entr(flat).sum(axis=1)


def distance_to_reference(
    maps: Maps,
    group: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    groups: int,
    reference: int,
) -> tuple[Float[Array, " groups"], Bool[Array, " groups"]]:
    """Total variation distance between each group's mean map and the reference group's.

    Args:
      maps: Attention maps.
      group: Group of each image; negative is unknown.
      mask: False on padding.
      groups: How many groups there are.
      reference: Number of the reference group.

    Returns:
      Distances in [0, 1], and whether both groups have an image in the batch; 0 where not.
    """
    member = ((group[:, None] == jnp.arange(groups)[None]) & mask[:, None]).astype(jnp.float32)
    count = member.sum(axis=0)
    mean = (member.T @ maps.reshape(len(maps), -1)) / jnp.maximum(count, 1)[:, None]
    present = (count > 0) & (count[reference] > 0)
    distance = 0.5 * jnp.abs(mean - mean[reference][None]).sum(axis=1)
    return jnp.where(present, distance, 0), present


def running_mean_maps(
    mean: Float[Array, "groups height width"],
    maps: Maps,
    group: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    *,
    rate: float = 0.01,
) -> Float[Array, "groups height width"]:
    """Each group's mean map a step nearer to that of the batch; of absent groups as it was.

    Args:
      mean: Mean maps after the step before.
      maps: Attention maps.
      group: Group of each image; negative is unknown.
      mask: False on padding.
      rate: Weight of the batch.
    """
    member = ((group[:, None] == jnp.arange(len(mean))[None]) & mask[:, None]).astype(jnp.float32)
    count = member.sum(axis=0)[:, None, None]
    now = jnp.einsum("bg,bhw->ghw", member, maps) / jnp.maximum(count, 1)
    return jax.lax.stop_gradient(jnp.where(count > 0, (1 - rate) * mean + rate * now, mean))


def overlay(
    images: UInt8[Array, "batch image_height image_width 3"], maps: Maps
) -> UInt8[Array, "batch image_height image_width 3"]:
    """Images with their maps in red over them, each relative to its own largest value.

    Args:
      images: Pictures.
      maps: Attention maps, 0 or more; a map of zeros leaves its picture as it is.
    """
    strength = maps / jnp.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
    strength = jax.image.resize(strength, images.shape[:3], "bilinear")[..., None]
    red = jnp.array([255.0, 0.0, 0.0])[None, None, None]
    blend = 0.6 * jnp.clip(strength, 0, 1)
    return jnp.round((1 - blend) * images + blend * red).astype(jnp.uint8)


def pair_maps(
    backbone: nn.Module,
    variables: Mapping[str, Any],
    first: Float[Array, "pairs image_height image_width 3"],
    second: Float[Array, "pairs image_height image_width 3"],
    *,
    layer: str,
    kind: MapKind = "gradcam",
) -> tuple[Float[Array, "pairs height width"], Float[Array, "pairs height width"], Array]:
    """Where a network finds two faces alike: Grad-CAM of the cosine of their embeddings.

    Args:
      backbone: From images to embeddings; exposes its maps.
      variables: `{"params": ..., **statistics}` of the backbone.
      first: Normalised images.
      second: Normalised images that they are compared with.
      layer: Map of the backbone, such as "stage_4".
      kind: Form of the map; see `attention_map`.

    Returns:
      Maps of the first images, maps of the second, and the cosines [pairs].

    Raises:
      ValueError: If the backbone exposes no such map.
    """
    images = jnp.concatenate([first, second])

    def embed(offset: Array | None) -> tuple[Array, Array]:
        extra = {} if offset is None else {OFFSETS: {layer: offset}}
        embedding, sown = backbone.apply(
            {**variables, **extra}, images, train=False, mutable=["intermediates"]
        )
        kept = sown.get("intermediates", {})
        if layer not in kept:
            known = ", ".join(name for name in kept if name.startswith("stage_")) or "none"
            raise ValueError(f"this backbone exposes no map {layer!r}; it has: {known}.")
        return embedding, kept[layer][0]

    def cosine(embedding: Array) -> Array:
        one, other = jnp.split(unit(embedding).direction, 2)
        return (one * other).sum(axis=1)

    like = jax.eval_shape(lambda: embed(None))[1]
    embedding, activations, gradient = with_map(embed, cosine, like)
    maps = attention_map(activations, gradient, kind=kind)
    one, other = jnp.split(maps, 2)
    return one, other, cosine(embedding)
