from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.losses.invariant import invariance_penalty, learn_partition, partition_objective


def test_penalty_and_gradient_are_the_authors():
    v = authors_vectors("invreg_irm")
    with jax.enable_x64(True):

        def loss(z):
            return 0.2 * invariance_penalty(
                z, jnp.asarray(v.label), jnp.asarray(v.partition), jnp.ones(10, bool)
            )

        value, gradient = jax.value_and_grad(loss)(jnp.asarray(v.logits))
    np.testing.assert_allclose(value, v.loss, rtol=1e-10)
    np.testing.assert_allclose(gradient, v.grad, rtol=1e-9, atol=1e-11)


def test_slope_is_the_derivative_of_the_scaled_cross_entropy():
    logits, label = jnp.array([[1.0, -0.5, 2.0]]), jnp.array([0])

    def cross_entropy(s):
        return -jax.nn.log_softmax(s * logits)[0, 0]

    slope = jax.grad(cross_entropy)(1.0)
    value = invariance_penalty(logits, label, jnp.ones((3, 1)), jnp.ones(1, bool))
    np.testing.assert_allclose(value, slope**2, rtol=1e-5)


def test_an_environment_without_images_is_left_out():
    logits, label = jnp.array([[1.0, 0.0], [0.5, 0.5]]), jnp.array([0, 0])
    alone = invariance_penalty(logits, label, jnp.array([[1.0], [0.0]]), jnp.ones(2, bool))
    both = invariance_penalty(logits, label, jnp.eye(2), jnp.ones(2, bool))
    np.testing.assert_allclose(alone, both)
    nothing = jax.grad(invariance_penalty)(logits, label, jnp.eye(2), jnp.zeros(2, bool))
    np.testing.assert_array_equal(nothing, 0)


def unit_rows(rng, rows=5, dim=3):
    x = rng.normal(size=(rows, dim))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("hidden", [0, 2])
def test_the_partitions_objective_is_that_of_the_equation_by_loops(hidden):
    rng = np.random.default_rng(0)
    first, second = unit_rows(rng), unit_rows(rng)
    partition = rng.dirichlet([1, 1], 5)
    known = np.arange(5) >= hidden
    cosines, losses, sizes = first @ second.T / 0.5, [], []
    for e in range(2):
        total = 0.0
        for i in np.flatnonzero(known):
            others = sum(partition[j, e] * np.exp(cosines[i, j]) for j in np.flatnonzero(known))
            total += partition[i, e] * (np.log(others) - cosines[i, i])
        sizes.append(partition[known, e].sum())
        losses.append(total / sizes[-1])
    share = np.array(sizes) / sum(sizes)
    expected = np.mean(losses) + 2.0 * np.var(losses) - 3.0 * np.sum(share * np.log(share))
    got = partition_objective(
        *(jnp.asarray(x, jnp.float32) for x in (first, second, partition)),
        jnp.asarray(known),
        temperature=0.5,
        variance_weight=2.0,
        balance_weight=3.0,
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_learned_partition_beats_its_start_and_unknown_classes_belong_everywhere(key):
    rng = np.random.default_rng(1)
    first, second = (jnp.asarray(unit_rows(rng, rows=8), jnp.float32) for _ in range(2))
    known = jnp.arange(8) < 6
    weights = dict(temperature=0.5, variance_weight=1.0, balance_weight=0.1)

    learn = partial(
        learn_partition, key, first, second, known, environments=2, batch=8, rate=0.1, **weights
    )
    start, end = jax.jit(lambda: (learn(epochs=1), learn(epochs=60)))()
    value = [float(partition_objective(first, second, p, known, **weights)) for p in (start, end)]
    assert value[1] > value[0] + 0.05
    np.testing.assert_allclose(end.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(end[6:], 0.5)
