"""The k-th largest is what a sort says, ties, limits and gaps included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.losses.selection import kth_largest
from fairjax.run import sharding

select = jax.jit(kth_largest, static_argnames="largest_k")


def by_sorting(values, k, at_most):
    ranked = np.where(values <= at_most[:, None], values, -np.inf)
    return np.sort(ranked, axis=None)[-k]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from([(1, 1), (1, 7), (3, 5), (5, 64), (4, 101), (16, 97)]),
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([2, 5, 10**6]),
    share=st.floats(0, 1),
)
def test_it_is_what_a_sort_says(shape, seed, levels, share):
    rng = np.random.default_rng(seed)
    values = (rng.integers(-levels, levels + 1, shape) / levels).astype(np.float32)
    values[rng.random(shape) < 0.1] = -np.inf
    at_most = rng.choice([np.inf, 0.5, 0.0, -np.inf], shape[0]).astype(np.float32)
    largest_k = {1: 1, 7: 3, 5: 15, 64: 20, 101: 9, 97: 200}[shape[1]]
    k = 1 + int(share * (largest_k - 1))
    got = select(values, jnp.int32(k), at_most=at_most, largest_k=largest_k)
    assert got == by_sorting(values, k, at_most)


def test_it_is_exact_where_the_largest_crowd_in_one_row(key):
    values = np.array(jax.random.uniform(key, (8, 1000)) * 0.1)
    values[3] += 1  # all of the k largest, and ten times as many, are in one row
    everywhere = np.full(8, np.inf, np.float32)
    for k in (1, 2, 99, 100):
        got = select(values, jnp.int32(k), at_most=everywhere, largest_k=100)
        assert got == by_sorting(values, k, everywhere)


def test_one_number_repeated_is_its_own_kth_largest():
    values = jnp.full((4, 50), -0.25)
    assert select(values, jnp.int32(7), at_most=jnp.full(4, jnp.inf), largest_k=9) == -0.25


def test_signs_zeros_and_extremes_keep_their_order():
    values = np.array([[-3e38, -1.0, -1e-30, 0.0, 1e-30, 1.0, 3e38, -np.inf]], np.float32)
    got = [
        select(values, jnp.int32(k), at_most=jnp.full(1, jnp.inf), largest_k=8) for k in range(1, 9)
    ]
    np.testing.assert_array_equal(got, values[0, np.argsort(-values[0])])


def test_four_devices_find_what_one_finds_without_gathering_the_values(key):
    values = jax.random.normal(key, (16, 1000))
    at_most = jnp.full(16, 2.0).at[3].set(-jnp.inf)
    mesh = sharding.make_mesh()
    by_batch = NamedSharding(mesh, PartitionSpec("data"))

    def find(values, at_most):
        return kth_largest(values, jnp.int32(40), at_most=at_most, largest_k=40)

    spread = jax.jit(find, in_shardings=(by_batch, by_batch)).lower(values, at_most).compile()
    shards = [jax.device_put(x, by_batch) for x in (values, at_most)]
    assert spread(*shards) == by_sorting(np.asarray(values), 40, np.asarray(at_most))
    assert "f32[16,1000]" not in spread.as_text()


@pytest.mark.parametrize("k", [1, 5])
def test_beyond_what_is_ranked_it_is_minus_infinity(k):
    values = jnp.ones((2, 6))
    got = select(values, jnp.int32(k), at_most=jnp.full(2, -jnp.inf), largest_k=5)
    assert got == -jnp.inf
