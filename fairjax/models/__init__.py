"""Linen modules: backbones, heads, masking."""

from flax import linen as nn

from fairjax.models.iresnet import IResNet
from fairjax.models.resnet import ResNet
from fairjax.models.tfc import TFC
from fairjax.models.vit import ViT

# Arguments that the program supplies; a config cannot set them.
SUPPLIED = ("dtype", "lowering", "maps", "name", "parent")
BACKBONES: dict[str, type[nn.Module]] = {
    "iresnet": IResNet,
    "resnet": ResNet,
    "tfc": TFC,
    "vit": ViT,
}
