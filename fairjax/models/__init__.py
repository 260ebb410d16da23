"""Linen modules: backbones, heads, masking."""

from fairjax.models.resnet import ResNet
from fairjax.models.vit import ViT

BACKBONES = {
    "resnet": ResNet,
    "vit": ViT,
}
