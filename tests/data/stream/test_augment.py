"""Matrices and pixels of the training augmentation, against slow and plain numpy."""

import numpy as np
import pytest
import tensorflow as tf

from fairjax.data.stream.augment import (
    DRAWS,
    Augment,
    affine_matrices,
    colour_matrices,
    pixel_function,
)

SIZE = 16
MIDDLE = dict.fromkeys(DRAWS, 0.5)  # no turn, no shift, centred crop, factors of 1, no flip


def draws(**columns):
    return np.array([[{**MIDDLE, **columns}[name] for name in DRAWS]])


def random_draws(n, seed=0):
    return np.random.default_rng(seed).random((n, len(DRAWS)))


def images(n, size=SIZE):
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3)).astype(np.uint8)


def smooth_images(n, size=SIZE):
    x = np.linspace(0, 1, size)
    ramps = [np.outer(np.sin(3 * x + k), np.cos(2 * x - k)) for k in range(3 * n)]
    return (
        np.round(127.5 + 127.5 * np.stack(ramps, -1))
        .astype(np.uint8)
        .reshape(size, size, n, 3)
        .transpose(2, 0, 1, 3)
    )


def apply(augment, pictures, numbers):
    """The route under test, with the matrices that it makes itself."""
    change = pixel_function(pictures.shape[1], moves=augment.moves, colours=augment.colours)
    affine = affine_matrices(augment, numbers, pictures.shape[1])
    return change(tf.constant(pictures), affine, colour_matrices(augment, numbers)).numpy()


def bilinear(picture, affine):
    """The picture at affine coordinates in float64, one pixel and tap at a time, black outside."""
    size = len(picture)
    out = np.zeros(picture.shape)
    for row in range(size):
        for column in range(size):
            x, y = affine @ [column, row, 1]
            for i in (int(np.floor(y)), int(np.floor(y)) + 1):
                for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= i < size and 0 <= j < size:
                        weight = (1 - abs(y - i)) * (1 - abs(x - j))
                        out[row, column] += weight * picture[i, j]
    return out


def test_identity_matrix_and_flip_move_whole_pixels():
    pictures = images(2)
    same = apply(Augment(rotation_degrees=10.0), pictures, np.tile(draws(), (2, 1)))
    np.testing.assert_array_equal(same, pictures)
    flipped = apply(Augment(flip=1.0), pictures, random_draws(2))
    np.testing.assert_array_equal(flipped, pictures[:, :, ::-1])


@pytest.mark.parametrize(("rotation", "turns"), [(1.0 - 1e-9, 1), (0.0, -1)])
def test_quarter_turn_is_exact_and_positive_is_counter_clockwise(rotation, turns):
    pictures = images(1)
    turned = apply(Augment(rotation_degrees=90.0), pictures, draws(rotation=rotation))
    np.testing.assert_array_equal(turned[0], np.rot90(pictures[0], turns))


def test_shift_brings_in_black():
    pictures = images(1)
    moved = apply(Augment(shift=0.25), pictures, draws(shift_x=1.0))[0]
    np.testing.assert_array_equal(moved[:, : SIZE - 4], pictures[0, :, 4:])
    assert not moved[:, SIZE - 4 :].any()


def test_half_a_pixel_is_the_mean_of_two():
    pictures = np.zeros((1, 2, 2, 3), np.uint8)
    pictures[0, 0] = [[10, 20, 30], [30, 60, 90]]
    change = pixel_function(2, moves=True, colours=False)
    affine = np.array([[[65536, 0, 32768], [0, 65536, 0]]], np.int32)
    out = change(tf.constant(pictures), affine, np.zeros((1, 3, 4), np.int32)).numpy()
    assert out[0, 0].tolist() == [[20, 40, 60], [15, 30, 45]]  # beyond the edge stands black
    assert not out[0, 1].any()


@pytest.mark.parametrize(
    "augment",
    [
        Augment(rotation_degrees=10.0, flip=0.5),
        Augment(rotation_degrees=180.0),
        Augment(crop_scale=(0.3, 0.9), crop_ratio=(0.5, 2.0), shift=0.3, flip=0.5),
    ],
)
def test_pixels_agree_with_plain_bilinear_interpolation(augment):
    pictures, numbers = smooth_images(6), random_draws(6)
    affine = affine_matrices(augment, numbers, SIZE) / 65536
    expected = np.stack([bilinear(p, m) for p, m in zip(pictures, affine, strict=True)])
    error = np.abs(apply(augment, pictures, numbers) - expected)
    assert error.max() < 1.1
    assert error.mean() < 0.3  # rounding alone gives 0.25


def test_matrix_is_the_composition_of_its_parts():
    augment = Augment(flip=0.5, rotation_degrees=30.0, crop_scale=(0.5, 0.5))
    matrix = affine_matrices(augment, draws(flip=0.1, rotation=1.0, crop_x=0.0, crop_y=1.0), 64)
    side, centre = np.sqrt(0.5), 31.5
    # A mark 10 right of and 4 below the middle of the output, turned by 30 degrees, mirrored and
    # scaled, lies so far from the middle of a crop at the image's left and lower edge.
    cos, sin = np.sqrt(0.75), 0.5
    turned = np.array([10 * cos - 4 * sin, 10 * sin + 4 * cos])
    corner = np.array([-0.5 + 64 * side / 2, 63.5 - 64 * side / 2])
    np.testing.assert_allclose(
        matrix[0] / 65536 @ [centre + 10, centre + 4, 1],
        corner + side * turned * [-1, 1],
        atol=1e-3,
    )


def test_crops_stay_inside_and_have_the_area_asked_for():
    augment = Augment(crop_scale=(0.2, 0.6), crop_ratio=(0.75, 4 / 3))
    matrices = affine_matrices(augment, random_draws(500), 64) / 65536
    corners = np.array([[-0.5, -0.5, 1], [63.5, -0.5, 1], [-0.5, 63.5, 1], [63.5, 63.5, 1]])
    places = np.einsum("bij,kj->bki", matrices, corners)
    assert places.min() > -0.51
    assert places.max() < 63.51
    area = np.linalg.det(matrices[:, :, :2])
    assert 0.19 < area.min() < 0.22
    assert 0.58 < area.max() < 0.61


def reference_colour(picture, brightness, contrast, saturation):
    """Brightness, contrast and saturation one after the other, as torchvision does, in float64."""
    grey = np.array([0.299, 0.587, 0.114])
    out = picture * brightness
    out = contrast * out + (1 - contrast) * (out @ grey).mean()
    return np.clip(saturation * out + (1 - saturation) * (out @ grey)[..., None], 0, 255)


def test_colours_agree_with_one_change_after_the_other():
    augment = Augment(brightness=0.4, contrast=0.5, saturation=0.8)
    pictures, numbers = images(8), random_draws(8)
    u = dict(zip(DRAWS, numbers.T, strict=True))
    expected = np.stack(
        [
            reference_colour(
                pictures[k],
                0.6 + 0.8 * u["brightness"][k],
                0.5 + u["contrast"][k],
                0.2 + 1.6 * u["saturation"][k],
            )
            for k in range(8)
        ]
    )
    assert np.abs(apply(augment, pictures, numbers) - expected).max() < 0.6


def test_grey_takes_all_colour_away():
    pictures = images(1)
    grey = apply(Augment(grey=1.0), pictures, random_draws(1))
    np.testing.assert_array_equal(grey, np.repeat(grey[..., :1], 3, -1))
    assert np.abs(grey[..., 0] - pictures @ [0.299, 0.587, 0.114]).max() < 0.6
    np.testing.assert_array_equal(apply(Augment(grey=0.5), pictures, draws(grey=0.6)), pictures)


def test_colour_follows_geometry():
    augment = Augment(flip=1.0, shift=0.2, contrast=0.5, grey=0.5)
    geometry = Augment(flip=1.0, shift=0.2)
    colour = Augment(contrast=0.5, grey=0.5)
    pictures, numbers = images(4), random_draws(4)
    np.testing.assert_array_equal(
        apply(augment, pictures, numbers),
        apply(colour, apply(geometry, pictures, numbers), numbers),
    )


@pytest.mark.parametrize("size", [2, 6, 64])
def test_pixels_are_the_same_eagerly_and_inside_map(size):
    augment = Augment(flip=0.5, rotation_degrees=10.0, brightness=0.3)
    pictures, numbers = images(3, size), random_draws(3)
    change = pixel_function(size, moves=True, colours=True)
    matrices = affine_matrices(augment, numbers, size), colour_matrices(augment, numbers)
    dataset = tf.data.Dataset.from_tensors((pictures, *matrices)).map(lambda *batch: change(*batch))
    eager = change(tf.constant(pictures), *matrices).numpy()
    np.testing.assert_array_equal(next(iter(dataset)).numpy(), eager)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"flip": 1.5}, "flip"),
        ({"rotation_degrees": -1.0}, "rotation_degrees"),
        ({"crop_scale": (0.9, 0.5)}, "crop_scale"),
        ({"crop_scale": (0.5, 1.5)}, "crop_scale"),
        ({"crop_ratio": (0.0, 1.0)}, "crop_ratio"),
    ],
)
def test_impossible_settings_are_named(wrong, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        Augment(**wrong)
