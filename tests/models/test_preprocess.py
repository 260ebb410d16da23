import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    hide_patches,
    most_sensitive,
    normalise,
)


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


def test_hidden_patches_are_covered_in_raster_order_and_nothing_else():
    images = normalise(jnp.full((2, 8, 8, 3), 200, jnp.uint8), kind="imagenet")
    hidden = np.array([False, True, False, False])
    covered = hide_patches(images, hidden, kind="imagenet", value="mean")
    np.testing.assert_array_equal(covered[:, :4, 4:], 0)
    np.testing.assert_array_equal(covered[:, 4:], images[:, 4:])
    np.testing.assert_array_equal(covered[:, :4, :4], images[:, :4, :4])
    black = hide_patches(images, hidden, kind="imagenet", value="black")
    np.testing.assert_allclose(black[0, 0, 7], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_a_grid_that_does_not_fit_the_image_is_refused():
    with pytest.raises(ValueError, match="3 x 3 patches does not fit images of 8 pixels"):
        hide_patches(jnp.zeros((1, 8, 8, 3)), np.ones(9, bool), kind="half", value="mean")


def test_the_share_hidden_is_of_the_most_or_the_least_sensitive():
    sensitivity = np.array([0.1, 0.4, 0.2, 0.3])
    for direction, expected in (("sensitive", [1, 3]), ("nonsensitive", [0, 2])):
        hidden = most_sensitive(sensitivity, ratio=0.5, direction=direction)
        assert np.flatnonzero(hidden).tolist() == expected
