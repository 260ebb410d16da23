"""Checksums: they notice any change of one element, and do not notice how arrays are spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.run import sharding
from fairjax.run.checksum import checksums

WEIGHTS = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)


def hashed(words, seed):
    """MurmurHash3's finaliser, in Python's own numbers."""
    found = []
    for word in words:
        word ^= seed
        word = (word ^ word >> 16) * 0x85EBCA6B % 2**32
        word = (word ^ word >> 13) * 0xC2B2AE35 % 2**32
        found.append(word ^ word >> 16)
    return found


def by_hand(array):
    """The definition, by another route."""
    kind = {1: "<u1", 2: "<u2", 4: "<u4"}[array.itemsize]
    words = np.ascontiguousarray(array).view(kind).ravel().tolist()
    sums = []
    for seed in (0x9E3779B9, 0x85EBCA6B):
        places = hashed(range(len(words)), seed)
        sums.append(sum(hashed([w ^ p for w, p in zip(words, places, strict=True)], seed)) % 2**32)
    return "".join(f"{value:08x}" for value in sums)


@pytest.mark.parametrize(
    "array",
    [
        WEIGHTS,
        WEIGHTS.astype(np.float16),
        np.array(jnp.asarray(WEIGHTS, jnp.bfloat16)),
        np.arange(-3, 4, dtype=np.int32),
        np.float32(2.5).reshape(()),
        np.array([True, False, True]),
        np.zeros((0, 3), np.float32),
        np.arange(30, dtype=np.uint8).reshape(2, 3, 5),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_it_is_the_sum_that_its_definition_names(array):
    assert checksums({"a": {"b": array}}) == {"a/b": by_hand(array)}


@settings(max_examples=50, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 119), st.integers(0, 31)), min_size=1, max_size=3))
def test_flipped_bits_are_noticed(bits):
    damaged = WEIGHTS.copy()
    for place, bit in bits:
        damaged.view(np.uint32).reshape(-1)[place] ^= np.uint32(1 << bit)
    assert checksums({"w": damaged}) != checksums({"w": WEIGHTS})


def test_exchanged_elements_and_another_shape_of_the_same_kind_are_told_apart():
    rows = WEIGHTS[::-1].copy()
    assert checksums({"w": rows}) != checksums({"w": WEIGHTS})


@pytest.mark.parametrize("spec", [(None, None), ("model", None)])
def test_arrays_over_four_devices_have_the_checksum_of_the_host(spec):
    mesh = sharding.make_mesh(4)
    spread = jax.device_put(WEIGHTS, NamedSharding(mesh, PartitionSpec(*spec)))
    assert checksums({"w": spread}) == checksums({"w": WEIGHTS})
