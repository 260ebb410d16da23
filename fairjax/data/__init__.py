"""Datasets: readers, the generated faces, and one pipeline for all of them."""

from fairjax.data import bupt, identities, phantom, utkface
from fairjax.data.benchmarks import BENCHMARKS as BENCHMARKS
from fairjax.data.dataset import DatasetSettings
from fairjax.data.phantom import identities as phantom_identities

DATASETS: dict[str, type[DatasetSettings]] = {
    "bupt": bupt.BuptSource,
    "identities": identities.IdentitiesSource,
    "phantom": phantom.PhantomSource,
    "phantom_identities": phantom_identities.PhantomIdentities,
    "utkface": utkface.UtkfaceSource,
}
