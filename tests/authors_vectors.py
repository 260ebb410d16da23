"""Inputs and outputs of the authors' own functions on random input, float64, shared by tests."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

FOLDER = Path(__file__).parent / "vectors"


def authors_vectors(name: str) -> SimpleNamespace:
    """The arrays of `tests/vectors/NAME.npz` as attributes."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return SimpleNamespace(**{key: stored[key] for key in stored.files})
