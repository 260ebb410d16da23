"""Alignment by landmarks: the fit against least squares, the warp against Pillow's."""

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import least_squares

from fairjax.data.formats.align import TEMPLATE, align, similarity, warp


def moved(points, *, turn=0.0, scale=1.0, shift=(0.0, 0.0)):
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ matrix.T + shift


@pytest.mark.parametrize(
    "change",
    [{}, {"turn": 0.6}, {"scale": 3.1}, {"shift": (40.0, -7.0)}, {"turn": -2.5, "scale": 0.4}],
)
def test_the_fit_finds_any_turn_scale_and_shift(change):
    target = moved(TEMPLATE, **change)
    (found,) = similarity(TEMPLATE, target[None])
    np.testing.assert_allclose(TEMPLATE @ found[:, :2].T + found[:, 2], target, atol=1e-9)


def test_the_fit_is_the_least_squares_one_from_image_to_template():
    rng = np.random.default_rng(0)
    target = moved(TEMPLATE, turn=0.2, scale=1.7, shift=(20.0, 5.0)) + rng.normal(0, 6, (5, 2))

    def residuals(p):
        return (moved(target, turn=p[0], scale=p[1], shift=p[2:]) - TEMPLATE).ravel()

    best = least_squares(residuals, [0.0, 0.5, 0.0, 0.0])
    (found,) = similarity(TEMPLATE, target[None])
    back = np.linalg.inv(np.vstack([found, [0, 0, 1]]))[:2]
    ours = (target @ back[:, :2].T + back[:, 2] - TEMPLATE).ravel()
    np.testing.assert_allclose((ours**2).sum(), 2 * best.cost, rtol=1e-6)
    np.testing.assert_allclose(ours, best.fun, atol=1e-4)


def test_a_mirrored_face_is_not_mirrored_back():
    mirrored = TEMPLATE * (-1, 1) + (112, 0)
    (found,) = similarity(TEMPLATE, mirrored[None])
    assert np.linalg.det(found[:, :2]) > 0


def test_many_sets_are_fitted_as_each_alone():
    rng = np.random.default_rng(1)
    sets = TEMPLATE + rng.normal(0, 3, (6, 5, 2))
    together = similarity(TEMPLATE, sets)
    for alone, points in zip(together, sets, strict=True):
        np.testing.assert_allclose(similarity(TEMPLATE, points[None])[0], alone, atol=1e-12)


def test_landmarks_that_are_one_point_are_refused():
    sets = np.stack([TEMPLATE, np.full((5, 2), 7.0)])
    with pytest.raises(ValueError, match="landmarks of image 1 fix no position"):
        similarity(TEMPLATE, sets)


def test_no_movement_leaves_the_picture_as_it_is(picture):
    pixels = np.asarray(picture(0).resize((112, 112)))
    np.testing.assert_array_equal(warp(pixels, np.eye(2, 3), size=112), pixels)
    np.testing.assert_array_equal(align([pixels], TEMPLATE[None], size=112)[0], pixels)


def test_the_warp_is_bilinear_and_black_outside():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    half = warp(pixels, np.array([[1, 0, 0.5], [0, 1, 0.5]]), size=2)
    np.testing.assert_array_equal(half[0, 0], pixels.reshape(4, 3).mean(0))
    np.testing.assert_array_equal(half[0, 1], np.rint(pixels[:, 1].mean(0) / 2))
    np.testing.assert_array_equal(half[1, 1], np.rint(pixels[1, 1] / 4))
    far = warp(pixels, np.array([[1, 0, 50.0], [0, 1, -50.0]]), size=4)
    assert not far.any()


def test_the_warp_agrees_with_pillow_inside(picture):
    image = picture(3)
    move = np.array([[0.9, -0.25, 40.3], [0.25, 0.9, 21.7]])
    ours = warp(np.asarray(image), move, size=112).astype(int)
    # Pillow's pixel centres lie at halves, ours at whole numbers
    centred = move[:, 2] + 0.5 - move[:, :2] @ (0.5, 0.5)
    data = (*move[0, :2], centred[0], *move[1, :2], centred[1])
    theirs = image.transform((112, 112), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    assert np.abs(ours - np.asarray(theirs))[2:-2, 2:-2].max() <= 1


def test_pictures_of_any_size_come_out_with_their_landmarks_on_the_template():
    images, landmarks = [], []
    for side in (180, 250, 400):
        points = moved(TEMPLATE, turn=0.3, scale=side / 200, shift=(side / 4, side / 8))
        pixels = np.zeros((side, side + 10, 3), np.uint8)
        y, x = np.indices(pixels.shape[:2])
        for px, py in points:
            spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (side / 60) ** 2))
            pixels = np.maximum(pixels, (255 * spot[:, :, None]).astype(np.uint8))
        images.append(pixels)
        landmarks.append(points)
    for size in (112, 56):
        for out in align(images, np.array(landmarks), size=size):
            assert out.shape == (size, size, 3)
            for tx, ty in TEMPLATE * (size / 112):
                assert out[round(ty), round(tx), 0] > 180
