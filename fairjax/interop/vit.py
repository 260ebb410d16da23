"""Vision Transformers and masked autoencoders under the names of timm, DeiT and MAE.

Those three name the same things alike. A tensor there is [out, in] where ours is [in, out], and the
patch embedding a convolution [dim, channel, row, column] where ours is a matrix.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fairjax.interop.tensors import Tensors, leaves, unwrapped

_BLOCK = {
    "norm1": "norm_1",
    "attn.qkv": "qkv",
    "attn.proj": "out",
    "norm2": "norm_2",
    "mlp.fc1": "up",
    "mlp.fc2": "down",
}
_LAYERS = {
    "patch_embed.proj": "backbone/embed",
    "norm": "backbone/norm",
    "fc_norm": "backbone/pooled_norm",
    "decoder_embed": "decoder_embed",
    "decoder_norm": "decoder_norm",
    "decoder_pred": "decoder_out",
}
_ARRAYS = {
    "cls_token": "backbone/cls",
    "pos_embed": "backbone/positions",
    "mask_token": "mask_token",
}
_SCALES = {  # LayerScale, by what it multiplies
    "ls1.gamma": "attn.proj",
    "ls2.gamma": "mlp.fc2",
    "gamma_1": "attn.proj",
    "gamma_2": "mlp.fc2",
}
# What may be left out: it comes after the features, or is a decoder's fixed table.
_UNUSED = ("head.", "head_dist.", "classifier.", "decoder_pos_embed")
_STACKS = {"blocks": "backbone/block_", "decoder_blocks": "decoder_block_"}


def from_timm(tensors: Tensors, *, head: str = "") -> tuple[dict[str, Any], list[str]]:
    """Parameters of our modules from a checkpoint of timm, DeiT or MAE.

    Args:
      tensors: Named tensors, as `read_tensors` gives them.
      head: The task whose head the checkpoint's "head" becomes; "" leaves it out.

    Returns:
      A tree with "backbone" and, where they are there, the decoder and the head; and the names of
      tensors that have no place in it: those of other heads. A fixed position table has none where
      the model makes its own: whoever puts the tree into a model finds that out. LayerScale is
      folded into the layer before it; positions without one for the class token get zeros for it.

    Raises:
      ValueError: If there is no Vision Transformer among the tensors, or one that our modules
        cannot compute: with register tokens, a norm before the blocks, and the like.
    """
    tensors = _folded(unwrapped(tensors))
    if "patch_embed.proj.weight" not in tensors or "cls_token" not in tensors:
        raise ValueError(
            "no Vision Transformer as timm, DeiT or MAE name it: patch_embed.proj.weight or "
            f"cls_token is missing; found {', '.join(sorted(tensors)[:5])}, ..."
        )
    tree: dict[str, Any] = {}
    leftovers = []
    for name, tensor in sorted(tensors.items()):
        place = _ours(name, head)
        if place is None:
            leftovers.append(name)
            continue
        *folders, leaf = place.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[leaf] = _turned_in(name, np.asarray(tensor, np.float32))
    if computed := [name for name in leftovers if not name.startswith(_UNUSED)]:
        more = f" and {len(computed) - 5} more" if len(computed) > 5 else ""
        raise ValueError(
            f"the checkpoint computes with {', '.join(computed[:5])}{more}, which our Vision "
            "Transformer does not have (register tokens, a norm before the blocks, gated "
            "perceptrons ...); without it, it would be another network. Convert another one."
        )
    return tree, leftovers


def _folded(tensors: Tensors) -> Tensors:
    """The tensors with each LayerScale multiplied into the weight and bias before it.

    Raises:
      ValueError: If that layer is not there.
    """
    folded = dict(tensors)
    for name in tensors:
        block, _, end = name.partition(".")[2].partition(".")
        stack = name.partition(".")[0]
        if stack not in _STACKS or end not in _SCALES:
            continue
        gamma = np.asarray(folded.pop(name), np.float32)
        for kind in ("weight", "bias"):
            layer = f"{stack}.{block}.{_SCALES[end]}.{kind}"
            if layer not in folded:
                raise ValueError(f"{name} scales {layer}, which is not there.")
            tensor = np.asarray(folded[layer], np.float32)
            folded[layer] = tensor * (gamma[:, None] if kind == "weight" else gamma)
    return folded


def to_timm(params: Mapping[str, Any], *, patch: int, head: str = "") -> Tensors:
    """The inverse of `from_timm`.

    Args:
      params: Parameters of a ViT classifier or a masked autoencoder of ours.
      patch: Side of a patch in pixels.
      head: The task whose head is to be exported; "" exports none.

    Raises:
      ValueError: If a parameter has no name there.
    """
    tensors = {}
    for place, value in leaves(params):
        if place.startswith("head_") and not place.startswith(f"head_{head}/"):
            continue
        name = _theirs(place, head)
        if name is None:
            raise ValueError(f"{place} has no name in timm; only ViT and MAE are exported.")
        tensors[name] = _turned_out(name, np.asarray(value, np.float32), patch)
    return tensors


def _ours(name: str, head: str) -> str | None:
    """Where a tensor of theirs belongs, or None."""
    if name in _ARRAYS:
        return _ARRAYS[name]
    layer, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    hit = re.fullmatch(r"(blocks|decoder_blocks)\.(\d+)\.(.+)", layer)
    if hit and hit[3] in _BLOCK:
        place = f"{_STACKS[hit[1]]}{hit[2]}/{_BLOCK[hit[3]]}"
    elif layer in _LAYERS:
        place = _LAYERS[layer]
    elif layer == "head" and head:
        place = f"head_{head}"
    else:
        return None
    if kind == "bias":
        return f"{place}/bias"
    return f"{place}/scale" if "norm" in place else f"{place}/kernel"


def _theirs(place: str, head: str) -> str | None:
    """The name of a parameter of ours there, or None."""
    for name, ours in _ARRAYS.items():
        if place == ours:
            return name
    layer, _, leaf = place.rpartition("/")
    kind = "bias" if leaf == "bias" else "weight"
    for name, ours in _LAYERS.items():
        if layer == ours:
            return f"{name}.{kind}"
    if layer == f"head_{head}":
        return f"head.{kind}"
    hit = re.fullmatch(r"(backbone/block_|decoder_block_)(\d+)/(\w+)", layer)
    if hit:
        stack = next(name for name, ours in _STACKS.items() if ours == hit[1])
        part = next((name for name, ours in _BLOCK.items() if ours == hit[3]), None)
        return part and f"{stack}.{hit[2]}.{part}.{kind}"
    return None


def _turned_in(name: str, tensor: np.ndarray) -> np.ndarray:
    if name in ("cls_token", "mask_token"):
        return tensor.reshape(-1)
    if name == "pos_embed":
        table = tensor.reshape(tensor.shape[-2:])
        if math.isqrt(len(table)) ** 2 == len(table):  # none for the class token
            table = np.concatenate([np.zeros_like(table[:1]), table])
        return table
    if name == "patch_embed.proj.weight":
        return tensor.transpose(2, 3, 1, 0).reshape(-1, len(tensor))
    return tensor.T


def _turned_out(name: str, value: np.ndarray, patch: int) -> np.ndarray:
    if name in ("cls_token", "mask_token"):
        return value.reshape(1, 1, -1)
    if name == "pos_embed":
        return value[None]
    if name == "patch_embed.proj.weight":
        return value.reshape(patch, patch, -1, value.shape[1]).transpose(3, 2, 0, 1)
    return value.T
