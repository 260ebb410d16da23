"""Which patches a masked autoencoder does not see: random, or following a sensitivity map.

Masking is a function of a key and of weights, outside any module. Each patch gets a score, weighted
and random; those with the largest scores are removed. That draws a set without replacement with
probabilities that follow the weights (Plackett-Luce), since adding Gumbel noise to log weights and
taking the largest is such a draw.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from fairjax.core.files import read_arrays

Scheme = Literal["random", "mask_sensitive", "mask_nonsensitive"]
_TINY = 1e-12  # keeps the logarithm of a weight of 0 finite: such a patch keeps a chance


class Selection(NamedTuple):
    """Which patches are kept, and the way back.

    Attributes:
      keep_ids: int32 [rows, kept], the patches kept, in ascending order.
      restore_ids: int32 [rows, patches]: place of each patch in the list of kept, then removed
        ones, so that gathering by it puts a list in that order back in raster order.
      mask: float32 [rows, patches]: 1 is removed, 0 is kept.
    """

    keep_ids: Int[Array, "rows kept"]
    restore_ids: Int[Array, "rows patches"]
    mask: Float[Array, "rows patches"]


def kept_count(patches: int, ratio: float) -> int:
    """How many patches stay when a share of `ratio` is removed: floor(patches * (1 - ratio)).

    Raises:
      ValueError: If no patch would stay, or none would be removed.
    """
    kept = int(patches * (1 - ratio))
    if not 0 < kept < patches:
        raise ValueError(
            f"ratio={ratio} of {patches} patches leaves {kept}; at least one must stay and one go: "
            f"use a ratio from {1 / patches:.3g} to {1 - 1 / patches:.3g}."
        )
    return kept


def select(scores: Float[Array, "rows patches"], *, ratio: float) -> Selection:
    """Removes the patches with the largest scores.

    Args:
      scores: One row an image, or one row for all of a batch.
      ratio: Share of the patches to remove; see `kept_count`.
    """
    patches = scores.shape[1]
    kept = kept_count(patches, ratio)
    order = jnp.argsort(scores, axis=1)  # stable: of equal scores the first patch is kept
    removed = jnp.argsort(order, axis=1) >= kept
    # Kept patches in raster order first, then removed ones: the gather reads memory forwards.
    listed = jnp.argsort(removed, axis=1, stable=True)
    return Selection(
        keep_ids=listed[:, :kept].astype(jnp.int32),
        restore_ids=jnp.argsort(listed, axis=1).astype(jnp.int32),
        mask=removed.astype(jnp.float32),
    )


def scores(
    key: Key[Array, ""],
    log_weights: Float[Array, "rows patches"],
    *,
    strength: float,
) -> Float[Array, "rows patches"]:
    """Scores whose largest are a draw without replacement by weights to the power `strength`.

    Args:
      key: A fresh one for each draw.
      log_weights: Larger: likelier to be removed. Rows may differ: a map an image, or a group.
      strength: 0 is uniform, 1 follows the weights, inf removes the largest and draws nothing.

    Source: the Gumbel-top-k trick (Kool et al. 2019, arXiv 1903.06059, section 3).
    """
    if np.isinf(strength):
        return log_weights
    return strength * log_weights + jax.random.gumbel(key, log_weights.shape)


def log_weights(
    sensitivity: Float[np.ndarray, " patches"],
    *,
    scheme: Scheme,
    weights: Literal["value", "rank"] = "value",
    reverse: Literal["neg_log", "reflect"] = "neg_log",
) -> Float[np.ndarray, " patches"]:
    """What a scheme makes of a sensitivity map.

    Args:
      sensitivity: 0 or more a patch, raster order; any sum above 0.
      scheme: "random" ignores the map; "mask_sensitive" removes patches of large sensitivity
        more often, "mask_nonsensitive" those of small.
      weights: "value": the logarithm of the sensitivity; "rank": a straight line over the ranks,
        from 1 for the most sensitive to -1.
      reverse: What "mask_nonsensitive" takes for weights: "neg_log", the inverse of the
        sensitivity; "reflect", largest + smallest - sensitivity.

    Raises:
      ValueError: If the map is negative somewhere, not finite, or all zero.
    """
    bad = ~np.isfinite(sensitivity) | (sensitivity < 0)
    if bad.any():
        raise ValueError(
            f"sensitivity map: patch {np.argmax(bad)} has weight {sensitivity[np.argmax(bad)]}; "
            "weights must be finite and 0 or more."
        )
    if not sensitivity.any():
        raise ValueError("sensitivity map: all weights are 0; it says nothing of any patch.")
    share = sensitivity / sensitivity.sum()
    if scheme == "random":
        return np.zeros(len(share))
    if weights == "rank":
        ramp = np.linspace(1, -1, len(share))
        ranked = np.empty(len(share))
        ranked[np.argsort(-share, kind="stable")] = ramp
        return ranked if scheme == "mask_sensitive" else -ranked
    if scheme == "mask_sensitive":
        return np.log(share + _TINY)
    if reverse == "reflect":
        return np.log(share.max() + share.min() - share + _TINY)
    return -np.log(share + _TINY)


def read_map(path: str) -> np.ndarray:
    """The sensitivity map of an .npz file, or of the run whose folder this is: [patches].

    Raises:
      ValueError: If there is no such file, or it holds none.
    """
    file = Path(path)
    if file.is_dir():
        file /= "sensitivity.npz"
    if not file.exists():
        raise ValueError(f"{file}: no such file; a ViT classifier's run leaves one.")
    stored = read_arrays(file).get("sensitivity")
    if stored is None or stored.ndim != 1 or stored.dtype.kind != "f":
        raise ValueError(f"{path} holds no array 'sensitivity' [patches].")
    return stored.astype(np.float64)
