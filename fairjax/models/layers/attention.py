"""Scaled dot-product attention, fused by the backend, or with its weights."""

import functools

import jax
import jax.numpy as jnp
from absl import logging
from jaxtyping import Array, Float

Heads = Float[Array, "batch tokens heads dim"]
Weights = Float[Array, "batch heads tokens tokens"]


def attention(q: Heads, k: Heads, v: Heads) -> Heads:
    """The mixture softmax(q k' / sqrt(dim)) v, by cuDNN's fused kernel where it can be used.

    cuDNN's kernel has no second derivative: a method that needs one takes
    `attention_with_weights`.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    device = jax.devices()[0]
    reason = why_not_fused(
        jnp.dtype(q.dtype).name,
        q.shape[-1],
        platform=device.platform,
        capability=getattr(device, "compute_capability", ""),
    )
    _log_once(reason)
    return jax.nn.dot_product_attention(q, k, v, implementation="xla" if reason else "cudnn")


def why_not_fused(dtype: str, head_dim: int, *, platform: str, capability: str) -> str:
    """Why cuDNN's fused attention cannot be used; "" where it can.

    Args:
      dtype: Type of queries, keys and values, such as "bfloat16".
      head_dim: Width of a head.
      platform: Platform of the device: "cpu", "gpu" or "tpu".
      capability: Compute capability of an NVIDIA GPU, such as "9.0"; "" for another device.
    """
    major = capability.split(".")[0]
    if platform not in ("gpu", "cuda"):
        return f"the device is a {platform.upper()}"
    if not major.isdecimal():
        return "the GPU is not NVIDIA's"
    if int(major) < 8:
        return f"the GPU has compute capability {capability}, below 8.0"
    if dtype not in ("bfloat16", "float16"):
        return f"the computation is in {dtype}; set config.compute_dtype='bfloat16'"
    if head_dim % 8 or head_dim > 128:
        return f"a head has {head_dim} channels; a multiple of 8 up to 128 is needed"
    return ""


@functools.cache
def _log_once(reason: str) -> None:
    if reason:
        logging.info("Attention is XLA's, not fused by cuDNN: %s.", reason)
    else:
        logging.info("Attention is fused by cuDNN.")


def attention_with_weights(q: Heads, k: Heads, v: Heads) -> tuple[Heads, Weights]:
    """The mixture and the weights, softmax(q k' / sqrt(dim)), float32, rows of which add up to 1.

    Where the weights themselves are not used, jit leaves them out.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    scaled = q / jnp.sqrt(q.shape[-1]).astype(q.dtype)
    logits = jnp.einsum("bqhd,bkhd->bhqk", scaled, k, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits)
    mixed = jnp.einsum(
        "bhqk,bkhd->bqhd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return mixed.astype(v.dtype), weights
