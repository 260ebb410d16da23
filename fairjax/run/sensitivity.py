"""Where a sensitive attribute's classifier looks: its attention, averaged to a weight a patch.

The UTKFace study's section 3.4: a Vision Transformer learns to tell the attribute (race) from a
face; its attention over all layers, heads and training images becomes one map, which then says
which patches a masked autoencoder should see less often, or more often.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from fairjax.core.files import whole_file
from fairjax.core.settings import SensitivitySettings
from fairjax.core.types import Batch, Method, PyTree
from fairjax.data.dataset import Examples
from fairjax.data.stream.pipeline import eval_batches
from fairjax.run import sharding

Attention = Float[Array, "layers batch heads queries keys"]


@dataclass(frozen=True)
class Sensitivity:
    """A sensitivity map; each array of weights adds up to 1 over the patches, in raster order.

    Attributes:
      overall: [patches], over every image that counts.
      by_value: [values, patches], over the images of each value of the attribute; NaN where there
        is none.
      by_layer: [layers, patches]; for "rollout" there is one row.
      n: [values], how many images counted.
      noise: [values, patches], standard error of each value's map less everyone's, images counting
        as independent; NaN where there is no image.
    """

    overall: Float[np.ndarray, " patches"]
    by_value: Float[np.ndarray, "values patches"]
    by_layer: Float[np.ndarray, "layers patches"]
    n: Float[np.ndarray, " values"]
    noise: Float[np.ndarray, "values patches"]


@dataclass(frozen=True)
class _Moments:
    """Sums over the images of each value, for standard errors.

    Attributes:
      weight: [values, patches], of the patches' weights.
      square: [values, patches], of their squares.
      cross: [values, patches], of their products with the image's total weight.
      total: [values], of the squares of that total.
    """

    weight: np.ndarray
    square: np.ndarray
    cross: np.ndarray
    total: np.ndarray


def collect(
    *,
    backbone: nn.Module,
    method: Method,
    variables: PyTree,
    preprocess: Callable[[jax.Array], jax.Array],
    examples: Examples,
    values: int,
    mesh: Mesh,
    batch_size: int,
    image_size: int,
    cache_mb: int,
    settings: SensitivitySettings,
) -> Sensitivity:
    """Averages a classifier's attention over images, batch by batch, on all devices.

    Args:
      backbone: The classifier's ViT; its attention is what is collected.
      method: The classifier, for its decisions; it predicts `prob_<attribute>`.
      variables: Weights of the classifier.
      preprocess: uint8 images to the backbone's input.
      examples: The images: the training split, in the study.
      values: How many values the attribute has.
      mesh: The devices.
      batch_size: Size of the global batch, a multiple of the devices.
      image_size: Pixels a side.
      cache_mb: Limit of the image cache in MiB, as for evaluation.
      settings: The attribute, and which attention and images count.
    """
    whole, attribute = sharding.replicated(mesh), settings.attribute
    seeing = backbone.clone(maps=True)

    def summed(
        variables: PyTree, batch: Batch
    ) -> tuple[jax.Array, jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
        attention = attention_of(
            seeing, variables["params"]["backbone"], preprocess(batch["image"])
        )
        weights = patch_weights(attention, settings.source)  # [layers, batch, patches]
        counts = jax.nn.one_hot(batch[attribute], values) * batch["mask"][:, None]
        if settings.images == "correct":
            decided = method.predict(variables, batch)[f"prob_{attribute}"].argmax(axis=1)
            counts *= (decided == batch[attribute])[:, None]
        one = weights[-1] if settings.layers == "last" else weights.sum(axis=0)  # [batch, patches]
        one = mirrored(one) if settings.symmetrise else one
        size = one.sum(axis=1)
        moments = (
            jnp.einsum("bp,bv->vp", one**2, counts),
            jnp.einsum("bp,b,bv->vp", one, size, counts),
            jnp.einsum("b,bv->v", size**2, counts),
        )
        return jnp.einsum("lbp,bv->vlp", weights, counts), counts.sum(axis=0), moments

    step = jax.jit(
        summed, in_shardings=(whole, sharding.by_batch(mesh)), out_shardings=(whole, whole, whole)
    )
    totals, n = np.zeros(1), np.zeros(values)
    moments: list[np.ndarray] = [np.zeros(1), np.zeros(1), np.zeros(1)]
    for local in eval_batches(
        examples,
        batch_size=batch_size,
        image_size=image_size,
        cache_mb=cache_mb,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    ):
        total, counted, more = jax.device_get(step(variables, sharding.global_batch(mesh, local)))
        totals, n = totals + total, n + counted  # in float64
        moments = [old + new for old, new in zip(moments, more, strict=True)]
    if settings.layers == "last":
        totals = totals[:, -1:]
    if settings.symmetrise:
        totals = symmetrised(totals)
    return Sensitivity(
        overall=_shares(totals.sum(axis=(0, 1))),
        by_value=_shares(totals.sum(axis=1)),
        by_layer=_shares(totals.sum(axis=0)),
        n=n,
        noise=_standard_errors(_Moments(totals.sum(axis=1), *moments)),
    )


def save(
    path: Path, sensitivity: Sensitivity, *, values: Sequence[str], provenance: Mapping[str, Any]
) -> None:
    """Writes a map as .npz, whole or not at all.

    Args:
      path: The file.
      sensitivity: The map: "sensitivity", "by_value", "by_layer", "n", "noise", and "rank" (patches
        by falling weight).
      values: Names of the attribute's values: "values".
      provenance: How it was made, JSON-ready: "made".
    """
    with whole_file(path) as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            sensitivity=sensitivity.overall,
            by_value=sensitivity.by_value,
            by_layer=sensitivity.by_layer,
            n=sensitivity.n,
            noise=sensitivity.noise,
            rank=np.argsort(-sensitivity.overall, kind="stable"),
            values=np.array(values),
            made=np.array(json.dumps(provenance)),
        )


def attention_of(backbone: nn.Module, params: PyTree, images: jax.Array) -> Attention:
    """The attention of every layer, `[layers, batch, heads, tokens, tokens]`, float32."""
    _, sown = backbone.apply({"params": params}, images, train=False, mutable="intermediates")
    blocks: Any = sown["intermediates"]
    return jnp.stack([blocks[f"block_{k}"]["attention"][0] for k in range(len(blocks))])


def patch_weights(attention: Attention, source: str) -> Float[Array, "rows batch patches"]:
    """A weight for each patch of each image, by layer (one layer for "rollout").

    Args:
      attention: Rows are queries and add up to 1; the class token is the first of the tokens.
      source: Source of the weights; see `SensitivitySettings`.
    """
    by_layer = attention.mean(axis=2)
    if source == "cls":
        return by_layer[:, :, 0, 1:]
    if source == "mean_query":
        return by_layer[:, :, 1:, 1:].mean(axis=2)
    identity = jnp.eye(by_layer.shape[-1])
    steps = (by_layer + identity[None, None]) / 2
    flow = jax.lax.fori_loop(  # rows of a product of such matrices add up to 1 again
        1, len(steps), lambda k, product: steps[k] @ product, steps[0]
    )
    return flow[None, :, 0, 1:]


def symmetrised(weights: Float[np.ndarray, "*rows patches"]) -> Float[np.ndarray, "*rows patches"]:
    """The mean of a map and its mirror image, left for right."""
    return np.asarray(mirrored(weights))


def mirrored(weights: Any) -> Any:
    """The same for arrays of NumPy and of JAX, patches last."""
    side = round(weights.shape[-1] ** 0.5)
    grid = weights.reshape(*weights.shape[:-1], side, side)
    return ((grid + grid[..., ::-1]) / 2).reshape(weights.shape)


def _standard_errors(sums: _Moments) -> np.ndarray:
    """Standard errors of each value's share of a patch less everyone's, [values, patches].

    A share is a ratio of sums over images, weight of the patch over weight of all patches; an image
    moves it by (its weight - share * its total) / the sum of totals, to first order. An image of
    the value moves both shares, another image only everyone's.
    """
    own, whole = sums.weight.sum(axis=1, keepdims=True), sums.weight.sum()
    own = np.where(own > 0, own, np.nan)  # a value without images has no map
    share, share_of_all = sums.weight / own, sums.weight.sum(axis=0) / whole
    scale = 1 / own - 1 / whole
    shift = share / own - share_of_all / whole
    total = sums.total[:, None]
    inside = scale**2 * sums.square - 2 * scale * shift * sums.cross + shift**2 * total
    each = (sums.square - 2 * share_of_all * sums.cross + share_of_all**2 * total) / whole**2
    outside = each.sum(axis=0) - each
    return np.asarray(np.sqrt(np.maximum(inside + outside, 0.0)))


def _shares(totals: np.ndarray) -> np.ndarray:
    whole = totals.sum(axis=-1, keepdims=True)
    return np.divide(totals, whole, out=np.full(totals.shape, np.nan), where=whole > 0)
