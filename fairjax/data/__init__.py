"""Datasets: readers, the generated faces, and one pipeline for all of them."""

from collections.abc import Callable

from fairjax.data import phantom, utkface
from fairjax.data.dataset import Dataset

DATASETS: dict[str, Callable[..., Dataset]] = {
    "phantom": phantom.load,
    "utkface": utkface.load,
}
# Each loader's settings, without the seed: refused, if wrong, before a file is touched.
CHECKS: dict[str, Callable[..., None]] = {
    "phantom": phantom.check,
    "utkface": utkface.check,
}
