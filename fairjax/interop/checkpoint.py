"""The network in a checkpoint of another library, whichever of the known ones it is."""

import math
from typing import Any

import numpy as np

from fairjax.interop.residual import Imported, from_iresnet, from_resnet
from fairjax.interop.tensors import Tensors, unwrapped
from fairjax.interop.vit import from_timm

KNOWN = (
    "IResNet (InsightFace, TFace, CVLface, AdaFace), ResNet (torchvision, timm), ViT and MAE "
    "(timm, DeiT, MAE, DINOv2)"
)


def from_checkpoint(tensors: Tensors, *, channels: str = "rgb") -> Imported:
    """Our variables out of a checkpoint; the tensors' names say which network it is.

    Args:
      tensors: Named tensors, as `read_tensors` gives them.
      channels: Order of colours that the network was trained with, "rgb" or "bgr". Our images are
        RGB: the first layer of a "bgr" network is turned.

    Raises:
      ValueError: If it is none of the known networks, or one that ours cannot compute.
    """
    tensors = unwrapped(tensors)
    if "patch_embed.proj.weight" in tensors:
        weights = _vit(tensors)
    elif "layer1.0.prelu.weight" in tensors or "body.0.res_layer.0.weight" in tensors:
        weights = from_iresnet(tensors)
    elif "layer1.0.conv1.weight" in tensors:
        weights = from_resnet(tensors)
    else:
        raise ValueError(
            f"none of the known networks: {KNOWN}; it holds {', '.join(sorted(tensors)[:5])} ..."
        )
    if channels == "bgr":
        _turn_colours(weights.variables["params"]["backbone"])
    return weights


def _vit(tensors: Tensors) -> Imported:
    tree, leftovers = from_timm(tensors)
    dim, _, side, _ = tensors["patch_embed.proj.weight"].shape
    blocks = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
    backbone = {"name": "vit", "dim": int(dim), "depth": len(blocks), "patch": int(side)}
    if "positions" not in tree["backbone"]:
        return Imported({"params": tree}, leftovers, backbone)
    side = math.isqrt(len(tree["backbone"]["positions"]) - 1)
    return Imported({"params": tree}, leftovers, {**backbone, "grid": side})


def _turn_colours(backbone: dict[str, Any]) -> None:
    """Exchanges red and blue in what the first layer takes."""
    if "stem_conv" in backbone:
        kernel = backbone["stem_conv"]["kernel"]
        backbone["stem_conv"]["kernel"] = np.ascontiguousarray(kernel[:, :, ::-1])
        return
    kernel = backbone["embed"]["kernel"]  # [(row, column, colour), dim]
    turned = kernel.reshape(-1, 3, kernel.shape[-1])[:, ::-1]
    backbone["embed"]["kernel"] = turned.reshape(kernel.shape)
