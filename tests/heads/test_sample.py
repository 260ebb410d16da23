"""A sample holds the batch's classes, and others with equal chances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.heads.sample import draw
from fairjax.heads.shard import Shard

CLASSES, ROWS = 40, 48  # the last 8 rows are no classes
NUMBERED = jnp.arange(ROWS, dtype=jnp.float32)[:, None]  # a class's weight is its number


@functools.partial(jax.jit, static_argnums=1)
def drawn(place, size, key):
    return draw(Shard(NUMBERED, place, jnp.arange(ROWS) < CLASSES), size, key)


@pytest.mark.parametrize("size", [2, 8, 20, 48])
def test_it_holds_each_class_once_the_batchs_first_and_no_padding(key, size):
    place = jnp.array([3, 39, 3, ROWS, 17, ROWS])  # two images of class 3, two of other shards
    sample = drawn(place, size, key)
    numbers = np.asarray(sample.kernel[:, 0])[np.asarray(sample.counted)]
    assert len(set(numbers)) == len(numbers) == min(max(size, 3), CLASSES)
    assert {3, 17, 39} <= set(numbers)
    assert numbers.max() < CLASSES
    for row, own in enumerate(np.asarray(place)):
        slot = int(sample.local_label[row])
        if own == ROWS:
            assert slot == len(sample.kernel), "a class of another shard is nowhere"
        else:
            assert sample.kernel[slot, 0] == own
            assert sample.counted[slot]


def test_the_others_are_drawn_uniformly_and_anew(key):
    place = jnp.array([0, ROWS])
    keys = jax.random.split(key, 2000)
    samples = jax.vmap(lambda key: drawn(place, 14, key))(keys)
    numbers = np.asarray(samples.kernel[..., 0], int)[np.asarray(samples.counted)]
    counts = np.bincount(numbers, minlength=ROWS)
    assert counts[0] == 2000
    assert not counts[CLASSES:].any()
    expected = 2000 * 13 / 39
    spread = np.sqrt(2000 * (1 / 3) * (2 / 3))
    assert np.abs(counts[1:CLASSES] - expected).max() < 4.5 * spread
