"""VICReg's terms: worked by hand, against the authors' formulas in numpy, masks, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.losses.vicreg import vicreg


def vectors(seed, rows=7, dim=5):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def test_the_terms_worked_by_hand():
    """Two rows of two dimensions: (1, 1), (-1, -1) against (1, -1), (-1, 1)."""
    one = jnp.array([[1.0, 1.0], [-1.0, -1.0]])
    other = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    terms = vicreg(one, other, jnp.ones(2, bool))
    assert float(terms.invariance) == 2.0  # (0 + 4 + 0 + 4) / 4
    assert float(terms.variance) == 0.0  # every variance is 2: no deviation is below 1
    assert float(terms.covariance) == 8.0  # each view: (2^2 + 2^2) / 2 = 4


def test_a_collapsed_view_lacks_all_its_spread():
    flat = jnp.full((4, 3), 2.0)
    terms = vicreg(flat, flat, jnp.ones(4, bool))
    assert float(terms.invariance) == float(terms.covariance) == 0.0
    np.testing.assert_allclose(terms.variance, 1.0 - 0.01, rtol=1e-5)  # the root of 1e-4 is 0.01


def test_the_terms_are_those_of_numpys_covariances():
    one, other = vectors(0), vectors(1) * 0.3
    terms = vicreg(jnp.asarray(one), jnp.asarray(other), jnp.ones(7, bool))
    np.testing.assert_allclose(terms.invariance, np.mean((one - other) ** 2), rtol=1e-5)
    lack, between = 0.0, 0.0
    for view in (one, other):
        lack += np.maximum(0, 1 - np.sqrt(view.var(axis=0, ddof=1) + 1e-4)).mean() / 2
        covariance = np.cov(view, rowvar=False)
        between += (np.sum(covariance**2) - np.sum(np.diag(covariance) ** 2)) / 5
    np.testing.assert_allclose(terms.variance, lack, rtol=1e-5)
    np.testing.assert_allclose(terms.covariance, between, rtol=1e-4)


@pytest.mark.parametrize("rows", [1, 4])
def test_masked_rows_count_for_nothing(rows):
    one, other = vectors(2), vectors(3)
    mask = np.arange(7) < rows
    masked = vicreg(jnp.asarray(one), jnp.asarray(other), jnp.asarray(mask))
    alone = vicreg(jnp.asarray(one[:rows]), jnp.asarray(other[:rows]), jnp.ones(rows, bool))
    for ours, expected in zip(masked, alone, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_the_gradient_is_finite_where_a_dimension_is_constant():
    flat = jnp.full((4, 3), 2.0)
    gradient = jax.grad(lambda z: sum(vicreg(z, z + 0.1, jnp.ones(4, bool))))(flat)
    assert np.isfinite(gradient).all()


def test_a_batch_of_padding_alone_is_no_lesson():
    one, other = jnp.asarray(vectors(4)), jnp.asarray(vectors(5))
    nobody = jnp.zeros(7, bool)
    terms = vicreg(one, other, nobody)
    assert float(terms.invariance) == float(terms.covariance) == 0.0
    np.testing.assert_allclose(terms.variance, 0.99, rtol=1e-5)  # as of a collapsed view
    gradient = jax.grad(lambda z: sum(vicreg(z, other, nobody)))(one)
    np.testing.assert_array_equal(gradient, 0.0)
