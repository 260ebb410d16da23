"""Datasets: readers, the generated faces, and one pipeline for all of them."""

from fairjax.data import phantom, utkface

DATASETS = {
    "phantom": phantom.load,
    "utkface": utkface.load,
}
