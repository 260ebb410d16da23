import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalise


def test_half_maps_bytes_to_minus_one_to_one():
    images = jnp.array([0, 255], jnp.uint8).reshape(1, 2, 1, 1).repeat(3, axis=3)
    np.testing.assert_allclose(normalise(images, kind="half")[0, :, 0, 0], [-1, 1], atol=1e-6)


def test_imagenet_is_the_textbook_formula_by_channel():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype(np.uint8)
    expected = (images / 255 - IMAGENET_MEAN) / IMAGENET_STD
    ours = normalise(jnp.asarray(images), kind="imagenet")
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_another_kind_is_named():
    with pytest.raises(ValueError, match="known: imagenet, half"):
        normalise(jnp.zeros((1, 2, 2, 3), jnp.uint8), kind="none")
