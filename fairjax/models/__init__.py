"""Linen modules: backbones, heads, masking."""

from functools import partial

from fairjax.models.resnet import ResNet

# name -> the backbone's module; the rest of its fields are keyword arguments.
BACKBONES = {
    "resnet18": partial(ResNet, depth=18),
    "resnet34": partial(ResNet, depth=34),
    "resnet50": partial(ResNet, depth=50),
    "resnet101": partial(ResNet, depth=101),
}
