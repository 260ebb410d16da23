"""Residual networks under the names of InsightFace, TFace, CVLface and AdaFace, and of torchvision.

A convolution there is [out, in, row, column] where ours is [row, column, in, out]; the last map is
flattened channel first there and channel last here.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fairjax.interop.tensors import Tensors, leaves

_UNITS: dict[tuple[int, ...], int] = {  # of a stage, by depth
    (1, 1, 1, 1): 10,  # our smoke tests'
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 34,
    (3, 4, 14, 3): 50,
    (3, 13, 30, 3): 100,
    (6, 26, 60, 6): 200,
}
_RESNETS: dict[
    tuple[tuple[int, ...], int], int
] = {  # by the blocks of a stage and the convolutions of a block
    ((2, 2, 2, 2), 2): 18,
    ((3, 4, 6, 3), 2): 34,
    ((3, 4, 6, 3), 3): 50,
    ((3, 4, 23, 3), 3): 101,
}
_INSIGHTFACE = {
    "conv1": "stem_conv",
    "bn1": "stem_norm",
    "prelu": "stem_prelu",
    "bn2": "map_norm",
    "fc": "embedding",
    "features": "embedding_norm",
}
_INSIGHTFACE_UNIT = {
    "bn1": "BatchNorm_0",
    "conv1": "Conv_0",
    "bn2": "BatchNorm_1",
    "prelu": "PReLU_0",
    "conv2": "Conv_1",
    "bn3": "BatchNorm_2",
    "downsample.0": "shortcut_conv",
    "downsample.1": "shortcut_norm",
}
_TFACE = {
    "input_layer.0": "stem_conv",
    "input_layer.1": "stem_norm",
    "input_layer.2": "stem_prelu",
    "output_layer.0": "map_norm",
    "output_layer.3": "embedding",
    "output_layer.4": "embedding_norm",
}
_TFACE_UNIT = {
    "res_layer.0": "BatchNorm_0",
    "res_layer.1": "Conv_0",
    "res_layer.2": "BatchNorm_1",
    "res_layer.3": "PReLU_0",
    "res_layer.4": "Conv_1",
    "res_layer.5": "BatchNorm_2",
    "shortcut_layer.0": "shortcut_conv",
    "shortcut_layer.1": "shortcut_norm",
}
_TORCHVISION = {"conv1": "stem_conv", "bn1": "stem_norm"}
_TORCHVISION_BLOCK = {
    **{f"conv{k + 1}": f"Conv_{k}" for k in range(3)},
    **{f"bn{k + 1}": f"BatchNorm_{k}" for k in range(3)},
    "downsample.0": "shortcut_conv",
    "downsample.1": "shortcut_norm",
}
_HEADS = ("head.", "classifier.", "kernel")  # they follow the features
_STATISTICS = {"running_mean": "mean", "running_var": "var"}
_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "slope"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


class Imported(NamedTuple):
    """A network out of a checkpoint.

    Attributes:
      variables: {"params": {"backbone": ...}, "batch_stats": {"backbone": ...}}, as our models take
        them; a network without running statistics has no "batch_stats".
      leftovers: Tensors without a place in it: those of heads.
      backbone: The `backbone` section of the config that builds this network.
      image_size: Side of the images that it was made for; 0 where any will do.
    """

    variables: dict[str, Any]
    leftovers: list[str]
    backbone: dict[str, Any]
    image_size: int = 0

    @property
    def settings(self) -> str:
        """The config's keys that build this network, as one would type them."""
        keys = ", ".join(f"{key}={value!r}" for key, value in self.backbone.items())
        return f"backbone: {keys}" + (
            f"; input.image_size={self.image_size}" if self.image_size else ""
        )


def from_iresnet(tensors: Tensors) -> Imported:
    """An IResNet 18, 34, 50, 100 or InsightFace's 200 from a checkpoint of one of its programs.

    InsightFace names its units "layer1.0"; TFace, CVLface and AdaFace "body.0". Counters of batches
    (num_batches_tracked) are passed over.

    Args:
      tensors: Named tensors, without the prefix of a wrapper.

    Raises:
      ValueError: If a tensor has no place in our network: squeeze-and-excitation, bottlenecks,
        units without a norm after their first convolution, a last norm with a learned scale.
    """
    tface = "body.0.res_layer.0.weight" in tensors
    if "body.0.res_layer.7.weight" in tensors:
        raise ValueError(
            "its units are bottlenecks of three convolutions (TFace's IResNet-152 and 200), which "
            "are not imported; convert one of basic units: 18 to 100, or InsightFace's 200."
        )
    stages = _tface_stages(tensors) if tface else _stages(tensors, "layer")
    own, unit_own = (_TFACE, _TFACE_UNIT) if tface else (_INSIGHTFACE, _INSIGHTFACE_UNIT)
    if tface and "body.0.res_layer.2.running_mean" not in tensors:
        raise ValueError(
            "its units have no norm after their first convolution, as in older programs "
            "(InsightFace_Pytorch); ours have one. Convert another checkpoint."
        )

    def place(layer: str) -> str | None:
        if layer in own:
            return own[layer]
        if tface and (hit := re.fullmatch(r"body\.(\d+)\.(.+)", layer)) and hit[2] in unit_own:
            stage, unit = stages.places[int(hit[1])]
            return f"stage_{stage}_unit_{unit}/{unit_own[hit[2]]}"
        hit = None if tface else re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", layer)
        if hit and hit[3] in unit_own:
            return f"stage_{hit[1]}_unit_{int(hit[2]) + 1}/{unit_own[hit[3]]}"
        return None

    name = "features.weight"
    if not tface and name in tensors:  # frozen at 1 by its authors
        if not np.allclose(np.asarray(tensors[name], np.float32), 1.0):
            raise ValueError(f"{name} is a learned scale of the embedding; ours has none.")
        tensors = {key: value for key, value in tensors.items() if key != name}
    depth = _UNITS.get(stages.counts)
    if depth is None:
        raise ValueError(f"stages of {stages.counts} units are no IResNet; known: {list(_UNITS)}.")
    variables, leftovers = _translated(tensors, place, _HEADS, "IResNet")
    params = variables["params"]["backbone"]
    backbone = {
        "name": "iresnet",
        "depth": depth,
        "dialect": "tface" if tface else "insightface",
        "dim": int(params["embedding"]["kernel"].shape[1]),
        "width": int(params["stem_conv"]["kernel"].shape[-1]),
    }
    rows = params["embedding"]["kernel"].shape[0]
    side = math.isqrt(rows // params["map_norm"]["scale"].shape[0])
    return Imported(variables, leftovers, backbone, 16 * side)  # four stages halve the map


def from_resnet(tensors: Tensors) -> Imported:
    """A ResNet 18, 34, 50 or 101 without its last layer, as torchvision and timm name it.

    In a bottleneck the stride must sit on the 3x3, as in both; a checkpoint cannot tell.

    Args:
      tensors: Named tensors, without the prefix of a wrapper.

    Raises:
      ValueError: If a tensor has no place in our network.
    """
    stages = _stages(tensors, "layer")
    convolutions = 3 if "layer1.0.conv3.weight" in tensors else 2
    depth = _RESNETS.get((stages.counts, convolutions))
    if depth is None:
        raise ValueError(
            f"stages of {stages.counts} blocks of {convolutions} convolutions are no ResNet 18, "
            "34, 50 or 101."
        )

    def place(layer: str) -> str | None:
        if layer in _TORCHVISION:
            return _TORCHVISION[layer]
        hit = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", layer)
        if hit and hit[3] in _TORCHVISION_BLOCK:
            return f"stage_{hit[1]}_block_{int(hit[2]) + 1}/{_TORCHVISION_BLOCK[hit[3]]}"
        return None

    variables, leftovers = _translated(tensors, place, ("fc.", *_HEADS), "ResNet")
    stem = variables["params"]["backbone"]["stem_conv"]["kernel"]
    backbone = {
        "name": "resnet",
        "depth": depth,
        "stem": "imagenet" if stem.shape[0] == 7 else "small",
        "width": int(stem.shape[-1]),
    }
    return Imported(variables, leftovers, backbone)


def to_iresnet(variables: Mapping[str, Any]) -> Tensors:
    """The inverse of `from_iresnet`: InsightFace's or TFace's names, by the network's dialect.

    Args:
      variables: {"params": ..., "batch_stats": ...} of an `IResNet` of basic units; or of a model
        whose "backbone" is one.

    Raises:
      ValueError: If an array has no name there.
    """
    trees = {
        kind: variables[kind].get("backbone", variables[kind]) for kind in ("params", "batch_stats")
    }
    tface = "shortcut_conv" not in trees["params"].get("stage_1_unit_1", {})
    own = {ours: name for name, ours in (_TFACE if tface else _INSIGHTFACE).items()}
    unit_own = {ours: name for name, ours in (_TFACE_UNIT if tface else _INSIGHTFACE_UNIT).items()}
    units = sorted(
        (int(hit[1]), int(hit[2]))
        for name in trees["params"]
        if (hit := re.fullmatch(r"stage_(\d)_unit_(\d+)", name))
    )
    channels = len(trees["params"]["map_norm"]["scale"])
    tensors = {}
    for kind, tree in trees.items():
        for path, value in leaves(tree):
            *folders, leaf = path.split("/")
            hit = re.fullmatch(r"stage_(\d)_unit_(\d+)", folders[0])
            if hit and len(folders) == 2 and folders[1] in unit_own:
                number = units.index((int(hit[1]), int(hit[2])))
                here = f"body.{number}" if tface else f"layer{hit[1]}.{int(hit[2]) - 1}"
                layer = f"{here}.{unit_own[folders[1]]}"
            elif len(folders) == 1 and folders[0] in own:
                layer = own[folders[0]]
            else:
                raise ValueError(f"{path} has no name in an IResNet of basic units.")
            name = f"{layer}.{_LEAVES[kind, leaf]}"
            tensors[name] = _turned_out(np.asarray(value, np.float32), folders[0], channels)
    if not tface:
        tensors["features.weight"] = np.ones_like(tensors["features.bias"])
    return tensors


class _Stages(NamedTuple):
    """How units are distributed over stages.

    Attributes:
      counts: Units of each stage.
      places: Stage and unit, both from 1, by the number of a unit over all stages.
    """

    counts: tuple[int, ...]
    places: list[tuple[int, int]]


def _stages(tensors: Tensors, prefix: str) -> _Stages:
    """The units of "layer1.0", "layer1.1" ..."""
    stages = {
        (int(hit[1]), int(hit[2]))
        for name in tensors
        if (hit := re.match(rf"{prefix}(\d)\.(\d+)\.", name))
    }
    last = max((stage for stage, _ in stages), default=0)
    counts = tuple(sum(stage == k for stage, _ in stages) for k in range(1, last + 1))
    return _Stages(counts, sorted((stage, unit + 1) for stage, unit in stages))


def _tface_stages(tensors: Tensors) -> _Stages:
    """The units of "body.0", "body.1" ...; a stage after the first begins with a projection."""
    numbers = {int(name.split(".")[1]) for name in tensors if re.match(r"body\.\d+\.", name)}
    places: list[tuple[int, int]] = []
    for number in range(len(numbers)):
        stage, unit = places[-1] if places else (1, 0)
        starts = f"body.{number}.shortcut_layer.0.weight" in tensors
        places.append((stage + 1, 1) if starts else (stage, unit + 1))
    counts = tuple(sum(stage == k for stage, _ in places) for k in range(1, places[-1][0] + 1))
    return _Stages(counts, places)


def _translated(
    tensors: Tensors, place: Callable[[str], str | None], heads: tuple[str, ...], what: str
) -> tuple[dict[str, Any], list[str]]:
    """All tensors in their places, and the names of those of heads.

    Raises:
      ValueError: If a tensor that the network computes with has no place.
    """
    variables: dict[str, Any] = {"params": {"backbone": {}}, "batch_stats": {"backbone": {}}}
    homeless = []
    last_map = [n for n in tensors if place(n.rpartition(".")[0]) == "map_norm"]
    channels = max((np.size(tensors[name]) for name in last_map), default=0)
    for name, tensor in sorted(tensors.items()):
        layer, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        where = place(layer)
        if where is None or kind not in ("weight", "bias", *_STATISTICS):
            homeless.append(name)
            continue
        tree = variables["batch_stats" if kind in _STATISTICS else "params"]["backbone"]
        for folder in where.split("/"):
            tree = tree.setdefault(folder, {})
        value = np.asarray(tensor, np.float32)
        tree[_leaf(where, kind)] = _turned(value, where, channels) if kind == "weight" else value
    computed = [name for name in homeless if not name.startswith(heads)]
    if computed:
        more = f" and {len(computed) - 5} more" if len(computed) > 5 else ""
        raise ValueError(
            f"the checkpoint computes with {', '.join(computed[:5])}{more}, which our {what} does "
            "not have (squeeze-and-excitation, bottlenecks ...); without it, it would be another "
            "network. Convert another one."
        )
    return variables, homeless


def _leaf(where: str, kind: str) -> str:
    if kind in _STATISTICS:
        return _STATISTICS[kind]
    if kind == "bias":
        return "bias"
    if "norm" in where.lower():
        return "scale"
    return "slope" if "prelu" in where.lower() else "kernel"


def _turned(value: np.ndarray, where: str, channels: int) -> np.ndarray:
    """A weight in our order of axes."""
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if where != "embedding":
        return value
    side = math.isqrt(value.shape[1] // max(channels, 1))
    if not channels or channels * side**2 != value.shape[1]:
        raise ValueError(
            f"the embedding takes {value.shape[1]} numbers, which is no square map of {channels} "
            "channels."
        )
    flat = value.reshape(len(value), channels, side, side)
    return flat.transpose(2, 3, 1, 0).reshape(-1, len(value))


def _turned_out(value: np.ndarray, layer: str, channels: int) -> np.ndarray:
    """An array of ours in their order of axes."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    if layer != "embedding" or value.ndim == 1:
        return value
    side = math.isqrt(len(value) // channels)
    flat = value.reshape(side, side, channels, -1)
    return flat.transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
