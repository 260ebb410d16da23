"""Simple covariates of face images: light and sharpness from pixels, size and pose from landmarks.

They are rough: they say whether pictures of groups differ, not how a standard would grade them.
"""

import csv
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from fairjax.core.files import write_whole
from fairjax.data.formats.landmarks import match_names, read_landmarks
from fairjax.serve.decode import UNREADABLE, reason_of
from fairjax.serve.model import ModelError
from fairjax.serve.sources import Images

OF_PIXELS = ("brightness", "contrast", "sharpness", "width", "height")
OF_POINTS = ("face_size", "roll", "yaw")
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_AROUND = 1.6  # half the side of the face's box, in distances between the eyes
_PART = 256  # images between two reports of progress


def of_pixels(pixels: UInt8[np.ndarray, "height width 3"]) -> tuple[float, float, float]:
    """Brightness, contrast and sharpness of a picture.

    Args:
      pixels: RGB, at least 3 x 3.

    Returns:
      Mean of the luma, 0 (black) to 255; its standard deviation (ddof 0); and the variance of its
      Laplacian over four neighbours, which falls with blur and depends on the picture's size.

    Source: luma of ITU-R BT.601; variance of the Laplacian: Pech-Pacheco et al., ICPR 2000.
    """
    luma = pixels @ _LUMA
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    return float(luma.mean()), float(luma.std()), float(laplacian.var()) if laplacian.size else 0.0


def of_points(points: Float[np.ndarray, "5 2"]) -> tuple[float, float, float]:
    """Size and pose of a face from five points.

    Args:
      points: Image-left eye, image-right eye, nose tip, both mouth corners, in pixels.

    Returns:
      Distance between the eyes in pixels; the turn of the line between them in degrees, positive
      clockwise; and how far the nose lies beside the middle of the eyes, in half distances between
      the eyes: 0 from the front, near 1 or -1 in half profile, positive to the image's right.
    """
    left, right, nose = points[:3]
    across = right - left
    size = float(np.hypot(*across))
    if not size:
        return 0.0, 0.0, 0.0
    yaw = float((nose - (left + right) / 2) @ across) / size**2 * 2
    return size, float(np.degrees(np.arctan2(across[1], across[0]))), yaw


def face_box(
    pixels: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "5 2"]
) -> UInt8[np.ndarray, "box_height box_width 3"]:
    """The square around a face's points, as far as it lies in the picture."""
    half = _AROUND * max(float(np.hypot(*(points[1] - points[0]))), 2.0)
    centre = points.mean(axis=0)
    low = np.clip(np.floor(centre - half), 0, None).astype(int)
    high = np.ceil(centre + half).astype(int)
    box = pixels[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    return box if min(box.shape[:2]) >= 3 else pixels


def measure(
    images: Images, *, landmarks: str = "", progress: Callable[[int], None] = lambda _: None
) -> tuple[list[str], list[tuple[str, list[float]]], list[tuple[str, str]]]:
    """Covariates of every image.

    Args:
      images: The images.
      landmarks: Table of five points an image; light and sharpness are then those of the face.
      progress: Called with the number of images done.

    Returns:
      Names of the covariates; (image, its values) of each image that can be read, in order; and
      (image, reason) of all others.

    Raises:
      DataError: If the table of landmarks cannot be read.
      ModelError: If it names none of the images.
    """
    points = (
        match_names(images.names.tolist(), read_landmarks(Path(landmarks))) if landmarks else {}
    )
    if landmarks and not points:
        raise ModelError(
            f"{landmarks}: no name in it is one of the {len(images):,} images, such as "
            f"{images.names[0]}; write them alike."
        )

    def measure_image(row: int) -> list[float] | str:
        name = str(images.names[row])
        try:
            pixels = images.read(row)
            height, width = map(float, pixels.shape[:2])
            if not landmarks:
                return [*of_pixels(pixels), width, height]
            if name not in points:
                return "it has no landmarks in the table"
            box = face_box(pixels, points[name])
            return [*of_pixels(box), width, height, *of_points(points[name])]
        except UNREADABLE as error:
            return reason_of(error)

    rows, unreadable = [], list(images.unreadable)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _PART):
            batch = range(start, min(start + _PART, len(images)))
            for row, measured in zip(batch, pool.map(measure_image, batch), strict=True):
                name = str(images.names[row])
                if isinstance(measured, str):
                    unreadable.append((name, measured))
                else:
                    rows.append((name, measured))
            progress(batch.stop)
    return [*OF_PIXELS, *(OF_POINTS if landmarks else ())], rows, unreadable


def write(path: Path, names: Sequence[str], rows: Sequence[tuple[str, list[float]]]) -> None:
    """Writes one row an image as CSV, whole or not at all."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["image", *names])
    table.writerows([name, *(f"{value:.6g}" for value in values)] for name, values in rows)
    write_whole(path, text.getvalue())
