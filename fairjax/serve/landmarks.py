"""Images aligned by five points, from a table or from a detector that the user names."""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fairjax.data.formats.align import TEMPLATE, TEMPLATE_SIZE, align, similarity
from fairjax.data.formats.landmarks import match_names, read_landmarks
from fairjax.serve.decode import UNREADABLE, resize
from fairjax.serve.model import ModelError
from fairjax.serve.sources import Images

# RGB pixels uint8 [height, width, 3] -> five points [5, 2] in pixels, or None: no face.
Detector = Callable[[np.ndarray], Any]
_FAR = 0.12  # mean distance of points to the template, as a share of its side, that is no face
_LOOKED_AT = 200  # images whose points are compared with the template
_MOST = 0.5  # share of them that may be far
_SHARES = (-0.5, 1.5)  # an .onnx whose numbers all lie here gives shares of the image, not pixels


def aligned(images: Images, source: str, *, size: int = TEMPLATE_SIZE) -> Images:
    """The images, moved onto the template as they are read.

    Args:
      images: Images that are not aligned.
      source: A table of landmarks (see `fairjax.data.formats.landmarks`); or a detector, a Python
        callable "module:function" or an .onnx file that gives five points.
      size: Height and width of the result, in pixels.

    Raises:
      DataError: If the table cannot be read.
      ModelError: If no image has landmarks, they do not look like faces, or there is no such
        detector.
    """
    path = Path(source)
    if path.suffix == ".onnx" or (":" in source and not path.exists()):
        detect = onnx_detector(path) if path.suffix == ".onnx" else python_detector(source)
        return _detected(images, detect, source, size)
    points = match_names(images.names.tolist(), read_landmarks(path))
    if not points:
        raise ModelError(
            f"{source}: no name in it is one of the {len(images):,} images, such as "
            f"{images.names[0]}; write them alike."
        )
    _require_faces(np.stack([*points.values()][:_LOOKED_AT]), source)

    def read(row: int) -> np.ndarray:
        name = str(images.names[row])
        if name not in points:
            raise ValueError("it has no landmarks in the table")
        return _moved(images.read(row), points[name], size)

    digest = hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]
    sentence = f"by five landmarks of {path.name} ({digest}), to {size} x {size}"
    return replace(images, read=read, alignment=sentence)


def python_detector(name: str) -> Detector:
    """The callable that "module:function" names; it is imported, and so its code is run.

    Raises:
      ModelError: If there is none.
    """
    module, _, function = name.partition(":")
    try:
        detector = getattr(importlib.import_module(module), function)
    except (AttributeError, ImportError, ValueError) as error:
        raise ModelError(f"--landmarks {name}: no such detector ({error}).") from error
    if not callable(detector):
        raise ModelError(f"--landmarks {name} is no function.")
    return detector


def onnx_detector(path: Path) -> Detector:
    """An .onnx that gives ten numbers for an image: x and y of five points.

    Its input is as that of an embedder. The points are in pixels of that input; where all lie
    about [0, 1], they are shares of its width and height.

    Raises:
      ModelError: If it cannot be used.
    """
    from fairjax.serve.onnx_file import from_onnx_points

    start, height, width = from_onnx_points(path)

    def detect(pixels: np.ndarray) -> np.ndarray:
        points = start(resize(pixels, height=height, width=width)[None]).reshape(5, 2)
        low, high = _SHARES
        shares = ((points >= low) & (points <= high)).all()
        scale = np.array([pixels.shape[1], pixels.shape[0]])
        return points * (scale if shares else scale / (width, height))

    return detect


def _detected(images: Images, detect: Detector, source: str, size: int) -> Images:
    def read(row: int) -> np.ndarray:
        pixels = images.read(row)
        points = detect(pixels)
        if points is None:
            raise ValueError("the detector found no face")
        landmarks = np.asarray(points, np.float64)
        if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
            raise ModelError(
                f"{source} gave {list(landmarks.shape)} for {images.names[row]}; a detector gives "
                "five points [5, 2], finite, or None."
            )
        return _moved(pixels, landmarks, size)

    sample = []
    for row in range(min(len(images), 20)):
        try:
            sample.append(np.asarray(detect(images.read(row)), np.float64))
        except UNREADABLE:
            continue
    faces = [points for points in sample if points.shape == (5, 2)]
    if faces:
        _require_faces(np.stack(faces), source)
    sentence = f"by the detector {source}, to {size} x {size}"
    return replace(images, read=read, alignment=sentence)


def _moved(pixels: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    return align([pixels], points[None], size=size)[0]


def _require_faces(points: Float[np.ndarray, "images 5 2"], source: str) -> None:
    """Refuses points of which most do not look like a face, such as in another order.

    Raises:
      ModelError: Says the order that is expected.
    """
    moves = similarity(TEMPLATE, points)  # template -> image
    linear, shift = moves[:, :, :2], moves[:, :, 2]
    back = np.einsum("nij,nkj->nki", np.linalg.inv(linear), points - shift[:, None])
    far = np.linalg.norm(back - TEMPLATE, axis=2).mean(axis=1) > _FAR * TEMPLATE_SIZE
    if far.mean() > _MOST:
        raise ModelError(
            f"{source}: {int(far.sum())} of {len(far)} faces do not fit the template; the points "
            "are x y of image-left eye, image-right eye, nose tip, image-left and image-right "
            "mouth corner, in pixels of the image."
        )
