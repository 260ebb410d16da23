"""Checksums of arrays that do not depend on how the arrays are spread over devices.

The checksum of an array is sum_i h(x_i xor h(i)) modulo 2^32, x_i being the bits of element i as an
unsigned number and h a one-to-one hash of 32 bits; two such sums with different hashes stand side
by side. As h is one-to-one, a change of any one element (one flipped bit, for instance) always
changes both sums; other changes go unnoticed with a probability of about 2^-64. Sums of integers
are exact in any order, so a device adds up what it holds and no array is gathered.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped, UInt32

from fairjax.core.types import PyTree

_SEEDS = (0x9E3779B9, 0x85EBCA6B)  # of the two sums


def checksums(tree: PyTree) -> dict[str, str]:
    """The checksum of every array of a tree, 16 hexadecimal digits, by its path.

    Args:
      tree: Arrays of any shape and of 1, 8, 16 or 32 bits an element, on the host or on devices.

    Returns:
      `{"params/head/kernel": "09af..."}`; the paths are those of `jax.tree_util.keystr`.
    """
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    # An array at a time: arrays of one shape share a program, and a network has few shapes.
    sums = jax.device_get({name: _sums(leaf) for name, leaf in leaves.items()})
    return {name: "".join(f"{int(word):08x}" for word in both) for name, both in sums.items()}


@jax.jit
def _sums(array: Shaped[Array, "..."]) -> UInt32[Array, " 2"]:
    """Both sums of one array."""
    array = array.astype(jnp.uint8) if array.dtype == bool else array
    bits = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[array.dtype.itemsize]
    words = jax.lax.bitcast_convert_type(array, bits).astype(jnp.uint32)
    index = jnp.zeros(array.shape, jnp.uint32)  # of an element in the flat array, modulo 2^32
    for axis, length in enumerate(array.shape):
        step = jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis)
        index = index * jnp.uint32(length % 2**32) + step
    return jnp.stack(
        [jnp.sum(_hash(words ^ _hash(index, seed), seed), dtype=jnp.uint32) for seed in _SEEDS]
    )


def _hash(words: UInt32[Array, "..."], seed: int) -> UInt32[Array, "..."]:
    """MurmurHash3's finaliser, which is one-to-one."""
    mixed = words ^ jnp.uint32(seed)
    mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
    return mixed ^ (mixed >> 16)
