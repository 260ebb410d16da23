import jax.numpy as jnp
import numpy as np

from fairjax.losses.reconstruction import masked_patch_error, normalised_patches


def test_a_patch_is_normalised_by_its_unbiased_deviation():
    patch = jnp.array([[[1.0, 2.0, 3.0, 4.0]]])
    expected = (-1.161895, -0.387298, 0.387298, 1.161895)
    np.testing.assert_allclose(normalised_patches(patch)[0, 0], expected, atol=1e-5)


def test_a_flat_patch_is_zero_and_not_a_division_by_zero():
    assert not normalised_patches(jnp.full((1, 1, 4), 3.0)).any()


def test_only_removed_patches_count_and_every_image_counts_the_same():
    predictions = jnp.array([[[1.0, 1.0], [5.0, 5.0]], [[0.0, 2.0], [3.0, 0.0]]])
    mask = jnp.array([[1.0, 0.0], [1.0, 1.0]])
    error = masked_patch_error(predictions, jnp.zeros_like(predictions), mask)
    np.testing.assert_allclose(error, [1.0, (2.0 + 4.5) / 2])
