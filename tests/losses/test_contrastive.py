"""Losses between two views, by hand, by slow numpy, by torch, and over devices."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.losses import (
    Spaces,
    alignment,
    feature_std,
    nt_xent,
    time_frequency,
    uniformity,
)
from fairjax.metrics import representation

A = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
B = jnp.array([[0.9, 0.1], [0.2, 0.8], [1.0, 0.5]])
ALL = jnp.ones(3, bool)


def drawn(rows=5, dim=4, seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=(rows, dim)), jnp.float32) for _ in range(8)]


def slow_nt_xent(a, b, temperature):
    """Row by row, in float64: minus the log of the positive's share."""
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    both = [*(x / np.linalg.norm(x) for x in a), *(x / np.linalg.norm(x) for x in b)]
    n, values = len(a), []
    for i, u in enumerate(both):
        terms = {j: np.exp(u @ v / temperature) for j, v in enumerate(both) if j != i}
        values.append(-np.log(terms[(i + n) % (2 * n)] / sum(terms.values())))
    return np.array(values).reshape(2, n).mean(axis=0)


@pytest.mark.parametrize(("poly", "expected"), [(False, 0.7337511604), (True, 1.4357466893)])
def test_nt_xent_of_three_pairs_is_the_value_worked_out_elsewhere(poly, expected):
    values = nt_xent(A, B, ALL, temperature=0.2, poly=poly)
    np.testing.assert_allclose(values.mean(), expected, rtol=1e-5)


def test_nt_xent_is_the_slow_loop():
    a, b, *_ = drawn()
    ours = nt_xent(a, b, jnp.ones(5, bool), temperature=0.3)
    np.testing.assert_allclose(ours, slow_nt_xent(a, b, 0.3), rtol=1e-5)


def test_nt_xent_and_its_gradient_are_torchs_cross_entropy_of_cosines():
    torch = pytest.importorskip("torch")
    a, b, *_ = drawn()
    value, gradient = jax.value_and_grad(
        lambda a: nt_xent(a, b, jnp.ones(5, bool), temperature=0.2).mean()
    )(a)
    theirs = torch.tensor(np.asarray(a), requires_grad=True)
    both = torch.nn.functional.normalize(torch.cat([theirs, torch.tensor(np.asarray(b))]))
    logits = (both @ both.T / 0.2).fill_diagonal_(-torch.inf)
    loss = torch.nn.functional.cross_entropy(logits, (torch.arange(10) + 5) % 10)
    loss.backward()
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_it_does_not_matter_which_view_is_which_nor_how_long_vectors_are():
    a, b, *_ = drawn()
    loss = partial(nt_xent, mask=jnp.ones(5, bool), temperature=0.5)
    np.testing.assert_allclose(loss(a, b), loss(b, a), rtol=1e-5)
    np.testing.assert_allclose(loss(3 * a, b / 2), loss(a, b), rtol=1e-5)


@pytest.mark.parametrize("poly", [False, True])
def test_masked_images_are_as_if_they_were_not_there_with_finite_gradients(poly):
    a, b, *_ = drawn()
    mask = jnp.array([True, True, False, True, False])
    kept = np.flatnonzero(mask)
    settings = dict(temperature=0.2, poly=poly)
    masked = nt_xent(a, b, mask, **settings)[kept]
    removed = nt_xent(a[kept], b[kept], jnp.ones(3, bool), **settings)
    np.testing.assert_allclose(masked, removed, rtol=1e-5)
    zero = a.at[2].set(0.0)  # padding is black images, whose vectors may be anything
    for each in (mask, jnp.zeros(5, bool)):
        gradient = jax.grad(
            lambda a, each=each: jnp.where(each, nt_xent(a, b, each, **settings), 0).sum()
        )(zero)
        assert jnp.isfinite(gradient).all()


def test_a_vector_without_a_direction_gets_no_gradient():
    a, b, *_ = drawn()
    zero, mask = a.at[2].set(0.0), jnp.ones(5, bool)
    for loss in (
        lambda a: nt_xent(a, b, mask, temperature=0.2).sum(),
        lambda a: alignment(a, b).sum(),
        lambda a: uniformity(a, mask),
    ):
        gradient = jax.grad(loss)(zero)
        np.testing.assert_array_equal(gradient[2], np.zeros(4))
        assert np.abs(gradient).max() > 0


def test_negatives_are_those_of_every_device():
    a, b, *_ = drawn(rows=8)
    loss = jax.jit(
        jax.value_and_grad(lambda a, b: nt_xent(a, b, jnp.ones(8, bool), temperature=0.2).mean())
    )
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec("data"))
    ours = loss(jax.device_put(a, spread), jax.device_put(b, spread))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), ours, loss(a, b))
    alone = np.mean([slow_nt_xent(a[k : k + 2], b[k : k + 2], 0.2) for k in range(0, 8, 2)])
    assert abs(float(ours[0]) - alone) > 0.1


def test_time_frequency_is_its_four_parts_by_numpy():
    tensors = drawn()
    one, other = Spaces(*tensors[:4]), Spaces(*tensors[4:])
    found = time_frequency(one, other, jnp.ones(5, bool), temperature=0.2, margin=1.0)
    slow = partial(slow_nt_xent, temperature=0.2)
    across = slow(one.time_low, one.frequency_low)
    pairs = itertools.product((one, other), (one, other))
    mixed = [slow(t.time_low, f.frequency_low) for t, f in pairs][1:]
    hinges = sum(np.maximum(0, 1.0 + across - each) for each in mixed)
    for ours, expected in zip(
        found,
        (slow(one.time, other.time), slow(one.frequency, other.frequency), across, hinges),
        strict=True,
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_the_hinge_gives_nothing_for_pairs_that_are_far_apart_already():
    apart = jnp.eye(4)
    one, other = Spaces(apart, apart, apart, apart), Spaces(apart, apart, -apart, -apart)
    found = time_frequency(one, other, jnp.ones(4, bool), temperature=0.2, margin=1.0)
    # The first view is consistent. So is the second: l_3 = L_TF, and its hinge is the margin.
    np.testing.assert_allclose(found.margins, 1.0, rtol=1e-5)


def test_what_tells_a_collapse_is_what_the_metrics_say(key):
    spread = jax.random.normal(key, (64, 16))
    everyone = jnp.ones(64, bool)
    for ours, theirs in (
        (feature_std, representation.feature_std),
        (uniformity, representation.uniformity),
    ):
        np.testing.assert_allclose(ours(spread, everyone), theirs(np.asarray(spread)), rtol=1e-4)
        some = jnp.arange(64) < 40
        np.testing.assert_allclose(ours(spread, some), theirs(np.asarray(spread[:40])), rtol=1e-4)
    point = jnp.ones((8, 4)) * jnp.arange(1.0, 9.0)[:, None]
    assert feature_std(point, jnp.ones(8, bool)) < 1e-3
    np.testing.assert_allclose(uniformity(point, jnp.ones(8, bool)), 0.0, atol=1e-5)


def test_alignment_is_the_squared_distance_of_directions():
    np.testing.assert_allclose(
        alignment(jnp.array([[2.0, 0.0], [1.0, 0.0]]), jnp.array([[0.0, 3.0], [-1.0, 0.0]])),
        [2.0, 4.0],
        rtol=1e-6,
    )
