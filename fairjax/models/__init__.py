"""Linen modules: backbones, heads, masking."""

from fairjax.models.resnet import ResNet

BACKBONES = {
    "resnet": ResNet,
}
