"""Scaled dot-product attention, fused by the backend, or with its weights."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Heads = Float[Array, "batch tokens heads dim"]
Weights = Float[Array, "batch heads tokens tokens"]

attention = jax.nn.dot_product_attention


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
