"""Scaled dot-product attention, as the backend computes it quickest, or with its weights."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Heads = Float[Array, "batch tokens heads dim"]


def attention(q: Heads, k: Heads, v: Heads) -> Heads:
    """Each token's mixture of the values, by what the backend has fused or, on CPU, explicitly."""
    if jax.default_backend() == "cpu":
        return attention_with_weights(q, k, v)[0]
    return jax.nn.dot_product_attention(q, k, v)


def attention_with_weights(
    q: Heads, k: Heads, v: Heads
) -> tuple[Heads, Float[Array, "batch heads tokens tokens"]]:
    """The mixture and the weights, softmax(q k' / sqrt(dim)), float32, rows of which add up to 1.

    The CPU multiplies matrices that lie heads first, and passes over [tokens, tokens] are what
    costs: so the values are mixed with the exponentials, and the mixture is divided by their sum.
    Where the weights themselves are not used, jit leaves them out.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    q, k, v = (x.swapaxes(1, 2) for x in (q / np.sqrt(q.shape[-1]).astype(q.dtype), k, v))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    powers = jnp.exp(logits - lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    total = powers.sum(axis=-1, keepdims=True)
    mixed = jnp.einsum(
        "bhqk,bhkd->bhqd", powers.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return (mixed / total).astype(v.dtype).swapaxes(1, 2), powers / total
