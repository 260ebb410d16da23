"""A fitted method as one file, .json or .safetensors, that can be read and applied elsewhere."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.core.files import read_json, write_whole
from fairjax.postprocess import METHODS, Method

FORMAT = "fairjax.postprocess/1"
_SUFFIXES = (".json", ".safetensors")


@dataclass(frozen=True)
class Fitted:
    """A method with what it has learned.

    Attributes:
      name: Key of `METHODS`.
      settings: All its settings, JSON-ready; "images" names the images of z- and t-norm.
      by: Attribute whose groups it was fitted on: "race".
      groups: Names of the groups, in the order of its arrays.
      people: Digests of the people it has learned from, so that it is not evaluated on them.
      arrays: What it has learned.
      source: Name and hash of the table that it was fitted on.
    """

    name: str
    settings: Mapping[str, Any]
    by: str
    groups: tuple[str, ...]
    people: frozenset[str]
    arrays: Mapping[str, np.ndarray]
    source: Mapping[str, Any]

    @property
    def method(self) -> Method:
        """The method."""
        return METHODS[self.name]


def digest(name: str) -> str:
    """What stands for a person's name in a file: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def digests(names: Iterable[str]) -> frozenset[str]:
    """The digests of several names."""
    return frozenset(digest(name) for name in names)


def save(path: Path, fitted: Fitted) -> None:
    """Writes a fitted method, whole or not at all.

    Args:
      path: Ends in .json (arrays as lists) or .safetensors (the rest in its metadata).
      fitted: The method.

    Raises:
      ValueError: If the name ends otherwise.
    """
    _check_suffix(path)
    head = {
        "format": FORMAT,
        "method": fitted.name,
        "settings": dict(fitted.settings),
        "by": fitted.by,
        "groups": list(fitted.groups),
        "people": sorted(fitted.people),
        "source": dict(fitted.source),
    }
    if path.suffix == ".json":
        arrays = {name: _listed(array) for name, array in fitted.arrays.items()}
        text = json.dumps({**head, "arrays": arrays}, indent=1, allow_nan=False)
        return write_whole(path, text + "\n")
    from safetensors.numpy import save as as_bytes

    arrays = {name: np.ascontiguousarray(array) for name, array in fitted.arrays.items()}
    write_whole(path, as_bytes(arrays, metadata={"fairjax": json.dumps(head)}))


def load(path: Path) -> Fitted:
    """Reads what `save` wrote.

    Raises:
      ValueError: If the file is damaged or of another kind; one line.
      OSError: If it cannot be read.
    """
    _check_suffix(path)
    try:
        if path.suffix == ".json":
            head = read_json(path)
            arrays = {name: _array(rows) for name, rows in head.pop("arrays").items()}
        else:
            head, arrays = _read_safetensors(path)
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']!r}, not {FORMAT!r}")
        if head["method"] not in METHODS:
            raise ValueError(f"there is no method {head['method']!r}")
        return Fitted(
            head["method"],
            dict(head["settings"]),
            str(head["by"]),
            tuple(head["groups"]),
            frozenset(head["people"]),
            arrays,
            dict(head["source"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).split("\n")[0].removeprefix(f"{path}: ")
        raise ValueError(f"{path}: not a fitted method of fairjax calibrate: {reason}.") from error


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            head = json.loads((file.metadata() or {})["fairjax"])
            return head, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _check_suffix(path: Path) -> None:
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: a fitted method is a .json or .safetensors file.")


def _listed(array: np.ndarray) -> Any:
    """Nested lists with null for NaN."""
    plain = array.astype(object)
    plain[np.isnan(array.astype(np.float64))] = None
    return plain.tolist()


def _array(rows: Any) -> np.ndarray:
    array = np.array(rows, np.float64)  # None becomes NaN
    if array.dtype != np.float64:
        raise ValueError("an array holds something that is no number")
    return array
