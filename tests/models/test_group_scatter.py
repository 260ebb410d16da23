import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.group_scatter import biases, group_scatter, without_counts

GROUP = np.array([0, 0, 0, 1, 1, 2, -1, 1])
IMAGES = np.array([2.0, 1.0, 4.0, 3.0, 1.0, 5.0, 2.0, 0.0])


def by_numpy(centres, cosines):
    known = (IMAGES > 0) & (GROUP >= 0)
    intra, inter = [], []
    for g in range(3):
        people = np.flatnonzero(known & (g == GROUP))
        intra.append(np.mean(cosines[people] / IMAGES[people]))
        nearest = [
            max((centres[a] @ centres[b] for b in people if b != a), default=-2) for a in people
        ]
        inter.append(np.mean(nearest))
    return intra, inter


@pytest.mark.parametrize("chunk", [3, 8, 100])
def test_scatter_by_numpy(key, chunk):
    centres = np.asarray(jax.random.normal(key, (8, 5)), np.float64)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    cosines = IMAGES * np.linspace(0.1, 0.9, 8)
    got = group_scatter(
        jnp.asarray(centres, jnp.float32),
        jnp.asarray(cosines, jnp.float32),
        jnp.asarray(IMAGES, jnp.float32),
        jnp.asarray(GROUP),
        groups=3,
        chunk=chunk,
    )
    intra, inter = by_numpy(centres, cosines)
    np.testing.assert_allclose(got.intra, intra, rtol=1e-5)
    np.testing.assert_allclose(got.inter, inter, rtol=1e-5)
    assert got.known.tolist() == [True, True, False]  # the third group has one person


def test_biases_are_distances_from_the_reference(key):
    kernel = 3 * jax.random.normal(key, (8, 5))
    state = {
        "cosines": jnp.asarray(IMAGES * 0.5, jnp.float32),
        "images": jnp.asarray(IMAGES, jnp.float32),
        "group": jnp.asarray(GROUP),
    }
    got = biases(kernel, state, groups=4, anchor=1)
    assert got.known.tolist() == [True, True, False, False]
    assert got.intra[1] == 0 and got.inter[1] == 0
    assert (got.inter[0] > 0) and jnp.isfinite(got.inter).all()
    empty = without_counts(state)
    assert not empty["images"].any() and not empty["cosines"].any()
    assert empty["group"].tolist() == GROUP.tolist()
    assert not biases(kernel, empty, groups=4, anchor=1).known.any()
