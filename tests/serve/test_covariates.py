"""Covariates of pictures that are worked by hand."""

import numpy as np
import pytest
from PIL import Image

from fairjax.cli import main
from fairjax.serve import covariates

POINTS = np.array([[30.0, 40.0], [70.0, 40.0], [50.0, 60.0], [35.0, 80.0], [65.0, 80.0]])


def grey(values):
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=2)


def test_brightness_contrast_and_sharpness_by_hand():
    flat = covariates.of_pixels(grey(np.full((5, 7), 90)))
    np.testing.assert_allclose(flat, (90.0, 0.0, 0.0), atol=1e-6)
    dot = np.zeros((5, 5))
    dot[2, 2] = 100
    mean, spread, sharp = covariates.of_pixels(grey(dot))
    assert mean == pytest.approx(4.0)
    assert spread == pytest.approx(np.sqrt(100**2 / 25 - 4**2))
    assert sharp == pytest.approx(np.var([0, 100, 0, 100, -400, 100, 0, 100, 0]))


def test_green_is_brighter_than_blue():
    colours = np.zeros((2, 3, 3, 3), np.uint8)
    colours[0, ..., 1] = colours[1, ..., 2] = 255
    assert covariates.of_pixels(colours[0])[0] == pytest.approx(0.587 * 255)
    assert covariates.of_pixels(colours[1])[0] == pytest.approx(0.114 * 255)


def test_a_blurred_picture_is_less_sharp_and_as_bright():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (40, 40))
    blurred = (
        sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))
    ) // 4
    one, other = covariates.of_pixels(grey(sharp)), covariates.of_pixels(grey(blurred))
    assert other[2] < one[2] / 4
    assert other[0] == pytest.approx(one[0], rel=0.02)


def test_size_and_pose_of_five_points():
    assert covariates.of_points(POINTS) == pytest.approx((40.0, 0.0, 0.0))
    turned = POINTS + np.array([[0, 0], [0, 40], [10, 0], [0, 0], [0, 0]])
    size, roll, _ = covariates.of_points(turned)
    assert (size, roll) == pytest.approx((np.hypot(40, 40), 45.0))
    aside = POINTS + np.array([[0, 0], [0, 0], [10, 0], [0, 0], [0, 0]])
    assert covariates.of_points(aside)[2] == pytest.approx(0.5)
    assert covariates.of_points(np.zeros((5, 2))) == (0.0, 0.0, 0.0)


def test_light_around_the_face_does_not_count_with_landmarks():
    picture = np.full((200, 200), 250)
    picture[:120, :120] = 50
    box = covariates.face_box(grey(picture), POINTS)
    assert covariates.of_pixels(box)[0] < 60
    far = POINTS + 1000
    assert covariates.face_box(grey(picture), far).shape == (200, 200, 3)


def test_the_command_writes_a_row_an_image_and_lists_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "faces").mkdir()
    for k in (1, 2):
        Image.fromarray(grey(np.full((90, 80), 40 * k))).save(tmp_path / "faces" / f"{k}.png")
    (tmp_path / "faces" / "3.png").write_bytes(b"no picture")
    numbers = " ".join(map(str, POINTS.ravel()))
    (tmp_path / "points.txt").write_text(f"1.png {numbers}\n2.png {numbers}\n3.png {numbers}\n")
    out = tmp_path / "images.csv"
    line = ["covariates", str(tmp_path / "faces"), "--out", str(out)]
    assert main(line) == 0
    rows = out.read_text().splitlines()
    assert rows[0] == "image,brightness,contrast,sharpness,width,height"
    assert rows[1:] == ["1.png,40,0,0,80,90", "2.png,80,0,0,80,90"]
    assert "3.png" in (tmp_path / "images.unreadable.csv").read_text()
    assert main([*line, "--landmarks", str(tmp_path / "points.txt")]) == 0
    assert out.read_text().splitlines()[1].split(",")[-3:] == ["40", "0", "0"]
    capsys.readouterr()
    (tmp_path / "points.txt").write_text(f"other.png {numbers}\n")
    assert main([*line, "--landmarks", str(tmp_path / "points.txt")]) == 1
    assert "write them alike" in capsys.readouterr().err
