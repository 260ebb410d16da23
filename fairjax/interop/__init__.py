"""Weights of other libraries, in and out; nothing that is read can run code."""

from fairjax.interop.tensors import read_tensors as read_tensors
from fairjax.interop.tensors import write_tensors as write_tensors
from fairjax.interop.vit import from_timm as from_timm
from fairjax.interop.vit import to_timm as to_timm
