"""Randomness that is a function of what it is for: hashed permutations and uniforms.

A number drawn here depends on (seed, purpose, epoch, row) and on nothing else: not on how many rows
are asked for at once, on process counts, on worker order, or on numpy's generators, whose streams
are free to change between versions. So a resumed run, or one on other hardware, sees the same data.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# What tells the rounds of the Feistel network apart. Four rounds leave a bias that shows in classes
# of three rows; eight do not.
_ROUNDS = GOLDEN * np.arange(1, 9, dtype=np.uint64)


def mix(state: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """The finaliser of splitmix64, a bijection of the 64-bit integers.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def unit_uniform(words: UInt64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Words as numbers in [0, 1), multiples of 2**-53."""
    return (words >> np.uint64(11)) * 2.0**-53


def _stream(
    key: UInt64[np.ndarray, "..."], index: Int64[np.ndarray, "..."]
) -> UInt64[np.ndarray, "..."]:
    """The `index`-th number of the splitmix64 generator that starts at `key`."""
    return mix(key + (index.astype(np.uint64) + np.uint64(1)) * GOLDEN)


def _key(seed: int, purpose: str) -> UInt64[np.ndarray, "1"]:
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


@lru_cache(maxsize=4)  # a batch may straddle two epochs, and two splits may be read in turn
def permutation(seed: int, epoch: int, n: int) -> Int64[np.ndarray, " rows"]:
    """The order of `n` rows in an epoch: a read-only array holding 0 to n - 1 once each."""
    key = _stream(_key(seed, "shuffle"), np.array([epoch]))
    order = np.argsort(_stream(key, np.arange(n)), kind="stable")
    order.setflags(write=False)
    return order


def rows_at(
    positions: Int64[np.ndarray, " batch"], *, n: int, seed: int, shuffle: bool
) -> tuple[Int64[np.ndarray, " batch"], Int64[np.ndarray, " batch"]]:
    """Where the endless stream of examples stands at the given positions.

    The stream is epoch after epoch without a gap: position p is place p % n of epoch p // n.

    Args:
      positions: Counted from 0 at the start of training.
      n: How many rows there are, at least 1.
      seed: Seed of the run.
      shuffle: Whether an epoch is permuted or in order.

    Returns:
      The epoch of each position, and its row in [0, n).
    """
    epochs, offsets = np.divmod(positions, n)
    if not shuffle:
        return epochs, offsets
    rows = np.empty_like(offsets)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = permutation(seed, int(epoch), n)[offsets[here]]
    return epochs, rows


@dataclass(frozen=True)
class Classes:
    """Rows sorted into classes.

    Attributes:
      rows: Every row, class by class.
      start: Where each class starts in `rows`.
      size: How many rows it has.
    """

    rows: Int64[np.ndarray, " rows"]
    start: Int64[np.ndarray, " classes"]
    size: Int64[np.ndarray, " classes"]


def classes_of(label: Int[np.ndarray, " rows"]) -> Classes:
    """The rows of each value of a label; UNKNOWN is a class like any other."""
    rows = np.argsort(label, kind="stable")
    _, start, size = np.unique(label[rows], return_index=True, return_counts=True)
    return Classes(rows, start, size)


def balanced_rows_at(
    positions: Int64[np.ndarray, " batch"], *, classes: Classes, seed: int, each: int = 1
) -> tuple[Int64[np.ndarray, " batch"], Int64[np.ndarray, " batch"]]:
    """Where the endless stream stands in which every class comes equally often.

    The stream is round after round: in each, every class comes once, in an order of its own, with
    `together` rows. In the rounds a class goes through its rows, each once, and then again in
    another order.

    Args:
      positions: Counted from 0 at the start of training.
      classes: The rows of each class.
      seed: Seed of the run.
      each: Rows of a class that follow one another when it comes, 1 or more. They differ where the
        class has so many; it then leaves out a different few of its rows, fewer than `each`, every
        time that it goes through them.

    Returns:
      A number and the row: together they tell apart all times that a row comes, as (epoch, row) do.
    """
    coming, within = np.divmod(positions, each)
    rounds, position = np.divmod(coming, len(classes.size))
    key = _stream(_key(seed, "order of classes"), rounds)
    which = scattered(position, size=np.full_like(position, len(classes.size)), key=key)
    size = classes.size[which]
    turn, nth = np.divmod(rounds * each + within, np.where(size < each, size, size // each * each))
    key = _stream(_stream(_key(seed, "rows of a class"), which), turn)
    nth = scattered(nth, size=size, key=key)
    return turn, classes.rows[classes.start[which] + nth]


def scattered(
    index: Int64[np.ndarray, " batch"],
    *,
    size: Int64[np.ndarray, " batch"],
    key: UInt64[np.ndarray, " batch"],
) -> Int64[np.ndarray, " batch"]:
    """Each index's place in a hashed permutation of 0 to size - 1, one permutation a key.

    Unlike `permutation` it looks up single places, without ordering the rest: a Feistel network on
    the next power of four, walked until it is back below `size`.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains" (CT-RSA 2002), section 5.
    """
    half = np.maximum((np.frexp((size - 1).astype(np.float64))[1] + 1) // 2, 1).astype(np.uint64)
    mask = (np.uint64(1) << half) - np.uint64(1)
    state, out = index.astype(np.uint64), np.full(index.shape, -1, np.int64)
    walking = np.arange(len(index))
    while walking.size:
        k, h, m = key[walking], half[walking], mask[walking]
        left, right = state >> h, state & m
        for number in _ROUNDS:
            word = mix((k + number) ^ mix(right + GOLDEN))
            left, right = right, left ^ (word & m)
        state = (left << h) | right
        home = state < size[walking].astype(np.uint64)
        out[walking[home]] = state[home].astype(np.int64)
        walking, state = walking[~home], state[~home]
    return out


def uniforms(
    seed: int,
    purpose: str,
    epochs: Int64[np.ndarray, " batch"],
    rows: Int64[np.ndarray, " batch"],
    count: int,
) -> Float64[np.ndarray, "batch draws"]:
    """`count` independent numbers in [0, 1) for each (epoch, row), multiples of 2**-53.

    Asking for more of them leaves the first ones as they are. Another `purpose` gives other numbers
    for the same example, such as a second view of it.
    """
    keys = _stream(_stream(_key(seed, purpose), epochs), rows)
    bits = _stream(keys[:, None], np.arange(count)[None, :])
    return unit_uniform(bits)
