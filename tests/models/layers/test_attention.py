"""Attention against loops over tokens in float64, and its gradient against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.layers import attention as module
from fairjax.models.layers.attention import attention, attention_with_weights, why_not_fused


def queries_keys_values(key, *, scale=1.0, dtype=jnp.float32):
    shape = (3, 2, 5, 3, 4)  # 2 images of 5 tokens, 3 heads of 4 channels
    return tuple((scale * jax.random.normal(key, shape)).astype(dtype))


def by_loops(q, k, v):
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    batch, tokens, heads, dim = q.shape
    mixed, weights = np.zeros(q.shape), np.zeros((batch, heads, tokens, tokens))
    for b, h, t in np.ndindex(batch, heads, tokens):
        logits = k[b, :, h] @ q[b, t, h] / np.sqrt(dim)
        powers = np.exp(logits - logits.max())
        weights[b, h, t] = powers / powers.sum()
        mixed[b, t, h] = weights[b, h, t] @ v[b, :, h]
    return mixed, weights


# Logits of some hundreds would overflow a float32 exponential.
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_mixture_and_weights_are_those_of_a_loop_over_tokens(key, scale):
    arrays = queries_keys_values(key, scale=scale)
    mixed, weights = attention_with_weights(*arrays)
    expected, expected_weights = by_loops(*arrays)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(attention(*arrays), expected, rtol=1e-4, atol=1e-4 * scale)


def test_gradients_are_the_same_with_and_without_weights(key):
    arrays = queries_keys_values(key)
    ours, theirs = (
        jax.jit(jax.grad(lambda qkv, f=f: jnp.sin(f(*qkv)).sum()))(arrays)
        for f in (lambda *qkv: attention_with_weights(*qkv)[0], attention)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_bfloat16_comes_out_as_bfloat16_with_float32_weights(key):
    arrays = queries_keys_values(key, dtype=jnp.bfloat16)
    mixed, weights = attention_with_weights(*arrays)
    assert (mixed.dtype, weights.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(mixed.astype(jnp.float32), by_loops(*arrays)[0], atol=0.02)


@pytest.mark.parametrize(
    ("dtype", "head_dim", "platform", "capability", "reason"),
    [
        ("bfloat16", 64, "gpu", "9.0", ""),
        ("float16", 128, "cuda", "8.0", ""),
        ("bfloat16", 64, "gpu", "12.0", ""),
        ("float32", 64, "gpu", "9.0", "compute_dtype='bfloat16'"),
        ("bfloat16", 60, "gpu", "9.0", "60 channels"),
        ("bfloat16", 136, "gpu", "9.0", "136 channels"),
        ("bfloat16", 64, "gpu", "7.5", "capability 7.5"),
        ("bfloat16", 64, "gpu", "gfx942", "not NVIDIA's"),
        ("bfloat16", 64, "gpu", "", "not NVIDIA's"),
        ("bfloat16", 64, "cpu", "", "the device is a CPU"),
        ("bfloat16", 64, "tpu", "", "the device is a TPU"),
    ],
)
def test_cudnn_computes_attention_where_it_can(dtype, head_dim, platform, capability, reason):
    why = why_not_fused(dtype, head_dim, platform=platform, capability=capability)
    assert bool(why) == bool(reason)
    assert reason in why


@pytest.mark.parametrize(("reason", "implementation"), [("", "cudnn"), ("a reason", "xla")])
def test_the_models_ask_for_the_form_that_can_be_used(monkeypatch, reason, implementation):
    asked = []
    monkeypatch.setattr(module, "why_not_fused", lambda *_, **__: reason)
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        lambda q, k, v, *, implementation: asked.append(implementation) or q,
    )
    heads = jnp.zeros((1, 2, 1, 8))
    attention(heads, heads, heads)
    assert asked == [implementation]
