"""Tables of five landmarks: which file, then x and y of five points.

Points are in pixels of the image, in the order image-left eye, image-right eye, nose tip,
image-left mouth corner, image-right mouth corner.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from fairjax.core.names import clean_path
from fairjax.data.dataset import DataError
from fairjax.data.formats.files import printable, read_text

FARTHEST = 1e5  # pixels from the corner; a landmark beyond is none
_SPLIT = re.compile(r"[\t,;]|\s+")


def read_landmarks(path: Path) -> dict[str, Float64[np.ndarray, "5 2"]]:
    """Five points by the image's name.

    Each line holds the image's path first and ten numbers last: x and y of each point. What stands
    between them, such as a label, is passed over, and so is a first line without ten numbers.
    Fields are separated by commas, semicolons, tabs or blanks.

    Raises:
      DataError: If a line is of another form, or an image is listed twice.
    """
    points: dict[str, np.ndarray] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        separator = next((c for c in "\t,;" if line.count(c) >= 10), None)
        fields = line.split(separator) if separator else _SPLIT.split(line.strip())
        numbers = _numbers(fields[1:][-10:])
        if numbers is None:
            if number == 1:
                continue  # the names of the columns
            raise DataError(
                f"{path}:{number}: {printable(line[:80])!r} is not a path and, at the end, ten "
                "numbers: x and y of five points."
            )
        name = clean_path(fields[0].strip())
        if name in points:
            raise DataError(f"{path}:{number}: {printable(name)} is listed twice.")
        points[name] = numbers
    if not points:
        raise DataError(f"{path}: no line with a path and ten numbers.")
    return points


def match_names(
    names: Sequence[str], points: dict[str, Float64[np.ndarray, "5 2"]]
) -> dict[str, Float64[np.ndarray, "5 2"]]:
    """The points of each of these images: by the whole name, else by its last two parts or one.

    A shorter name counts where it means one image alone.

    Returns:
      The points by image; images without points are left out.
    """
    matched = {name: points[name] for name in names if name in points}
    for parts in (2, 1):
        tails: dict[str, list[str]] = {}
        for name in points:
            tails.setdefault(_tail(name, parts), []).append(name)
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(_tail(name, parts), []).append(name)
        for tail, images in wanted.items():
            if len(images) == 1 and images[0] not in matched and len(tails.get(tail, ())) == 1:
                matched[images[0]] = points[tails[tail][0]]
    return matched


def _tail(name: str, parts: int) -> str:
    return "/".join(name.split("/")[-parts:])


def _numbers(fields: Sequence[str]) -> Float64[np.ndarray, "5 2"] | None:
    """Ten numbers as points; None where they are none, or all are one point."""
    try:
        numbers = np.array([float(field) for field in fields])
    except ValueError:
        return None
    if len(numbers) != 10 or not (np.abs(numbers) <= FARTHEST).all():  # nor NaN
        return None
    points = numbers.reshape(5, 2)
    return points if len(np.unique(points, axis=0)) > 1 else None
