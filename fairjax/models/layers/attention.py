"""Scaled dot-product attention, as the backend computes it quickest, or with its weights."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from fairjax.models.layers.once import once

Heads = Float[Array, "batch tokens heads dim"]
HeadsFirst = Float[Array, "batch heads tokens dim"]
Weights = Float[Array, "batch heads tokens tokens"]


def attention(q: Heads, k: Heads, v: Heads) -> Heads:
    """Each token's mixture of the values, by what the backend has fused or, on CPU, explicitly.

    On CPU it has no forward-mode derivative.
    """
    if jax.default_backend() == "cpu":
        return _attention(q, k, v)
    return jax.nn.dot_product_attention(q, k, v)


def attention_with_weights(q: Heads, k: Heads, v: Heads) -> tuple[Heads, Weights]:
    """The mixture and the weights, softmax(q k' / sqrt(dim)), float32, rows of which add up to 1.

    Where the weights themselves are not used, jit leaves them out.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), equation 1.
    """
    mixed, powers, total = _mix(*map(_heads_first, (_scaled(q), k, v)))
    return _heads_first(mixed), powers / total


def _scaled(q: Array) -> Array:
    return q / np.sqrt(q.shape[-1]).astype(q.dtype)


def _heads_first(x: Array) -> Array:
    """Swaps tokens and heads: the CPU multiplies matrices that lie heads first. Its own inverse."""
    return x.swapaxes(1, 2)


def _mix(
    q: HeadsFirst, k: HeadsFirst, v: HeadsFirst
) -> tuple[HeadsFirst, Weights, Float[Array, "batch heads tokens 1"]]:
    """The mixture by scaled queries, and the weights as exponentials and the sums of their rows.

    Passes over [tokens, tokens] are what costs on the CPU: so the values are mixed with the
    exponentials, and the mixture is divided by their sum.
    """
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32)
    powers = jnp.exp(logits - lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    total = powers.sum(axis=-1, keepdims=True)
    mixed = jnp.einsum(
        "bhqk,bhkd->bhqd", powers.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return (mixed / total).astype(v.dtype), powers, total


@jax.custom_vjp
def _attention(q: Heads, k: Heads, v: Heads) -> Heads:
    return attention_with_weights(q, k, v)[0]


def _attention_forward(q: Heads, k: Heads, v: Heads) -> tuple[Heads, tuple[Array, ...]]:
    q, k, v = map(_heads_first, (_scaled(q), k, v))
    mixed, powers, total = _mix(q, k, v)
    return _heads_first(mixed), (q, k, v, mixed, powers, total)


def _attention_backward(saved: tuple[Array, ...], d_mixed: Heads) -> tuple[Heads, Heads, Heads]:
    """JAX's own derivative, but for the two matrices that it multiplies with from the wrong side.

    XLA's CPU library takes no factor turned round, and what takes its place is many times slower.
    """
    q, k, v, mixed, powers, total = saved
    d_mixed = _heads_first(d_mixed)
    weights = powers / total
    d_weights = jnp.einsum("bhqd,bhkd->bhqk", d_mixed, v, preferred_element_type=jnp.float32)
    along = (d_mixed * mixed).astype(jnp.float32).sum(axis=-1, keepdims=True)
    d_logits = weights * (d_weights - along)
    turned, d_turned = (once(x.swapaxes(2, 3)).astype(v.dtype) for x in (weights, d_logits))
    dq = _scaled(jnp.einsum("bhqk,bhkd->bhqd", d_logits.astype(v.dtype), k))
    dk = jnp.einsum("bhkq,bhqd->bhkd", d_turned, q)
    dv = jnp.einsum("bhkq,bhqd->bhkd", turned, d_mixed)
    return _heads_first(dq), _heads_first(dk), _heads_first(dv)


_attention.defvjp(_attention_forward, _attention_backward)
