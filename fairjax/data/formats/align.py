"""Faces moved onto a template by their five landmarks.

Points are (x, y) in pixels, x to the right, y down, a pixel's centre at whole numbers. The order is
image-left eye, image-right eye, nose tip, image-left mouth corner, image-right mouth corner.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, UInt8

# Source: deepinsight/insightface, python-package/insightface/utils/face_align.py (MIT).
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
TEMPLATE_SIZE = 112  # pixels a side


def align(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    landmarks: Float[np.ndarray, "images 5 2"],
    *,
    size: int,
) -> UInt8[np.ndarray, "images side side 3"]:
    """Turns, scales and shifts each image so that its landmarks meet the template.

    Args:
      images: RGB pictures, each of its own size.
      landmarks: Five points in each.
      size: Height and width of what comes out, in pixels; the template grows with it.

    Returns:
      Pictures sampled bilinearly, black where nothing is known.

    Raises:
      ValueError: If an image's landmarks are one point.
    """
    moves = similarity(TEMPLATE * (size / TEMPLATE_SIZE), landmarks)
    return np.stack(
        [warp(image, move, size=size) for image, move in zip(images, moves, strict=True)]
    )


def similarity(
    source: Float[np.ndarray, "points 2"], target: Float[np.ndarray, "sets points 2"]
) -> Float64[np.ndarray, "sets 2 3"]:
    """The turn, scale and shift that bring `target` onto `source` best, inverted: source to target.

    With points as complex numbers the fit from target to source is a regression w = a z + b, whose
    least-squares answer is a = sum conj(z - mean z) (w - mean w) / sum |z - mean z|^2. It has no
    reflection, for a factor a only turns and scales. What comes back is its inverse,
    z = (w - b) / a, for a warp asks where each pixel of the result comes from.

    Args:
      source: Where the points are to lie (the template).
      target: Where they lie in each image.

    Raises:
      ValueError: If the points of an image are all one, or their fit shrinks to nothing.
    """
    w = source @ (1, 1j)
    z = np.asarray(target, np.float64) @ (1, 1j)
    apart = z - z.mean(1, keepdims=True)
    spread = (np.abs(apart) ** 2).sum(1)
    common = (apart.conj() * (w - w.mean())).sum(1)
    if not (fixed := np.abs(common) > 0).all():
        bad = int(np.argmin(fixed))
        raise ValueError(f"the landmarks of image {bad} fix no position: {target[bad].tolist()}.")
    factor = spread / common  # 1 / a
    shift = z.mean(1) - w.mean() * factor
    return np.stack(
        [
            np.stack([factor.real, -factor.imag, shift.real], axis=1),
            np.stack([factor.imag, factor.real, shift.imag], axis=1),
        ],
        axis=1,
    )


def warp(
    image: UInt8[np.ndarray, "height width 3"], move: Float[np.ndarray, "2 3"], *, size: int
) -> UInt8[np.ndarray, "side side 3"]:
    """Samples an image bilinearly on a moved grid; black lies outside.

    Args:
      image: RGB.
      move: From (x, y, 1) of the result to (x, y) in the image.
      size: Height and width of the result, in pixels.
    """
    y, x = np.indices((size, size), dtype=np.float64).reshape(2, -1)
    height, width = image.shape[:2]
    # one black pixel around, so that what is sampled across the border fades into black
    x, y = move @ (x, y, np.ones_like(x))
    x, y = np.clip(x, -1, width), np.clip(y, -1, height)
    left, top = np.minimum(np.floor(x), width - 1), np.minimum(np.floor(y), height - 1)
    right, down = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, 3)
    at = (top.astype(np.int64) + 1) * (width + 2) + left.astype(np.int64) + 1
    above = framed[at] * (1 - right) + framed[at + 1] * right
    below = framed[at + width + 2] * (1 - right) + framed[at + width + 3] * right
    mixed = above * (1 - down) + below * down
    return np.rint(mixed).astype(np.uint8).reshape(size, size, 3)
