"""A dataset from a section of a config, as a run reads it."""

from collections.abc import Mapping
from typing import Any

from fairjax.config.bind import as_config_error, bind_section
from fairjax.data import DATASETS
from fairjax.data.dataset import Dataset


def loaded(section: Mapping[str, Any], *, seed: int = 0) -> Dataset:
    """The dataset that the `data` section describes; its settings are checked first."""
    make = as_config_error("config.data", bind_section(DATASETS, section, "config.data"))
    return make().load(seed=seed)
