"""Linen modules: backbones, heads, masking."""

from flax import linen as nn

from fairjax.models.gac import GacNet
from fairjax.models.iresnet import IResNet
from fairjax.models.resnet import ResNet
from fairjax.models.tfc import TFC
from fairjax.models.vit import ViT

# Arguments that the program supplies; a config cannot set them.
SUPPLIED = ("dtype", "groups", "lowering", "maps", "name", "parent")
BACKBONES: dict[str, type[nn.Module]] = {
    "gac": GacNet,
    "iresnet": IResNet,
    "resnet": ResNet,
    "tfc": TFC,
    "vit": ViT,
}
