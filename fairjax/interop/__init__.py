"""Weights of other libraries, in and out; nothing that is read can run code."""

from fairjax.interop.checkpoint import from_checkpoint as from_checkpoint
from fairjax.interop.residual import Imported as Imported
from fairjax.interop.residual import from_iresnet as from_iresnet
from fairjax.interop.residual import from_resnet as from_resnet
from fairjax.interop.residual import to_iresnet as to_iresnet
from fairjax.interop.tensors import FILES as FILES
from fairjax.interop.tensors import read_tensors as read_tensors
from fairjax.interop.tensors import write_tensors as write_tensors
from fairjax.interop.vit import from_timm as from_timm
from fairjax.interop.vit import to_timm as to_timm
