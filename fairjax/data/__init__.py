"""Datasets: readers, the generated faces, and one pipeline for all of them."""

from collections.abc import Callable

from fairjax.data import bupt, identities, phantom, utkface
from fairjax.data.benchmarks import BENCHMARKS as BENCHMARKS
from fairjax.data.dataset import Dataset
from fairjax.data.phantom import identities as phantom_identities

DATASETS: dict[str, Callable[..., Dataset]] = {
    "bupt": bupt.load,
    "identities": identities.load,
    "phantom": phantom.load,
    "phantom_identities": phantom_identities.load,
    "utkface": utkface.load,
}
# Each loader's settings, without the seed: refused, if wrong, before a file is touched.
CHECKS: dict[str, Callable[..., None]] = {
    "bupt": bupt.check,
    "identities": identities.check,
    "phantom": phantom.check,
    "phantom_identities": phantom_identities.check,
    "utkface": utkface.check,
}
