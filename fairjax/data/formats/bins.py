"""Verification sets in InsightFace's `.bin`: encoded images two by two, and which pairs are mated.

The file does not say who is who. Images with the same bytes are one image, and people are told
apart as far as the pairs do: images that mated pairs join, directly or by a chain, show one person.

Source: deepinsight/insightface recognition/arcface_torch/eval/verification.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fairjax.data.dataset import DataError
from fairjax.data.formats.files import ImageFiles, stamp_of
from fairjax.data.formats.pairs import FOLDS, Key, Line
from fairjax.data.formats.unpickle import unpickle

MOST_BYTES = 8 * 2**30  # of one file, which is read whole; the largest in use have 0.3


class Bins(NamedTuple):
    """Images of one or several files, the person on each, the pairs, and the images they mean."""

    files: ImageFiles
    person_of: dict[str, str]
    lines: list[Line]
    names: dict[Key, str]


def open_bins(paths: Mapping[str, Path]) -> Bins:
    """Reads one file a group.

    Args:
      paths: For each group's name its file; images are named "<group>/<place of its first copy>".

    Raises:
      DataError: If a file is missing, damaged or refused, or is no such set.
    """
    images: dict[str, bytes] = {}
    person_of: dict[str, str] = {}
    lines: list[Line] = []
    for group, path in paths.items():
        encoded, mated = _read(path)
        first: dict[bytes, int] = {}
        first_copy = [first.setdefault(image, k) for k, image in enumerate(encoded)]
        person = _components(first_copy, mated)
        for k in first.values():
            name = _name(group, k)
            images[name], person_of[name] = encoded[k], _name(group, person[k])
        size = len(mated) // FOLDS
        lines += [
            Line(
                (_name(group, person[left]), _name(group, left)),
                (_name(group, person[right]), _name(group, right)),
                same,
                k // size,
                f"{path.name} pair {k + 1}",
            )
            for k, same in enumerate(mated)
            for left, right in [first_copy[2 * k : 2 * k + 2]]
        ]
    left = next(iter(paths.values()))
    root = left if len(paths) == 1 else left.parent
    states = [(str(path), path.stat()) for path in paths.values()]
    stamp = stamp_of(root, [(name, state.st_size, state.st_mtime_ns) for name, state in states])
    files = ImageFiles(root, tuple(sorted(images)), (), stamp, images.__getitem__)
    return Bins(files, person_of, lines, {(who, name): name for name, who in person_of.items()})


def _name(group: str, number: int) -> str:
    return f"{group}/{number:05d}" if group else f"{number:05d}"


def _read(path: Path) -> tuple[list[bytes], list[bool]]:
    """The encoded images and the truth of each pair."""
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise DataError(f"{path}: {size:,} bytes, and {MOST_BYTES:,} are read at most.")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    value = unpickle(content, name=str(path))
    whole: dict[int, bytes] = {}  # by object: a file may name one image many times
    try:
        images, truth = value
        encoded = [_encoded(image, whole) for image in images]
        mated = [_truth(same) for same in truth]
    except (TypeError, ValueError):
        raise DataError(f"{path}: no pair of images and truth values inside.") from None
    if not mated or len(encoded) != 2 * len(mated) or len(mated) % FOLDS:
        raise DataError(
            f"{path}: {len(encoded)} images and {len(mated)} truth values are not two images a "
            f"pair in {FOLDS} parts of one size."
        )
    return encoded, mated


def _encoded(image: Any, whole: dict[int, bytes]) -> bytes:
    """An image's bytes; TypeError for what is neither bytes nor an array of them."""
    if isinstance(image, bytes):
        return image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError
    if id(image) not in whole:
        whole[id(image)] = image.tobytes()
    return whole[id(image)]


def _truth(same: Any) -> bool:
    """Whether a pair is mated; TypeError for what is no truth value."""
    if not isinstance(same, bool | np.bool_ | int | np.uint8) or same not in (0, 1):
        raise TypeError
    return bool(same)


def _components(first_copy: list[int], mated: list[bool]) -> list[int]:
    """For each image the first image that mated pairs join it to."""
    pairs = np.array(first_copy).reshape(-1, 2)[mated]
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(first_copy), len(first_copy)))
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component].tolist()
