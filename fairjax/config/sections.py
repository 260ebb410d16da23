"""Builders of named sections, for config files: `method("simclr", temperature=0.1)`.

Each takes a name that its room's registry knows, and the settings that differ from the defaults;
those stand in the signature of what is named. A misspelt setting is refused with the nearest right
one.
"""

from typing import Any

from ml_collections import ConfigDict

from fairjax.config.bind import named_section


def dataset(name: str, **changes: Any) -> ConfigDict:
    """The `data` section; see `fairjax.data.DATASETS`."""
    return named_section("data", name, changes)


def benchmark(name: str, **changes: Any) -> ConfigDict:
    """The `data.benchmark` section: pairs to test on; see `fairjax.data.BENCHMARKS`."""
    return named_section("data.benchmark", name, changes)


def backbone(name: str, **changes: Any) -> ConfigDict:
    """The `backbone` section; see `fairjax.models.BACKBONES`."""
    return named_section("backbone", name, changes)


def vit(size: str = "tiny", **changes: Any) -> ConfigDict:
    """The `backbone` section of a Vision Transformer: tiny, small, base or large."""
    from fairjax.models.vit import SIZES

    return backbone("vit", **{**SIZES[size], **changes})


def method(name: str, **changes: Any) -> ConfigDict:
    """The `method` section; see `fairjax.methods.METHODS`."""
    return named_section("method", name, changes)


def margin(name: str, **changes: Any) -> ConfigDict:
    """The `margin` section of a method with class weights; see `fairjax.losses.MARGINS`."""
    return named_section("method.margin", name, changes)


def task(kind: str, attribute: str, **changes: Any) -> ConfigDict:
    """One task of the method "classify"; see `fairjax.methods.classify.TASKS`."""
    return named_section("method.tasks", kind, {"attribute": attribute, **changes}, key="kind")


def algorithm(name: str, **changes: Any) -> ConfigDict:
    """The `optim.algorithm` section; see `fairjax.optim.OPTIMIZERS`."""
    return named_section("optim.algorithm", name, changes)


def schedule(name: str, **changes: Any) -> ConfigDict:
    """The `optim.schedule` section; see `fairjax.optim.SCHEDULES`."""
    return named_section("optim.schedule", name, changes)


def protocol(name: str, **changes: Any) -> ConfigDict:
    """The `eval.protocol` section; see `fairjax.protocols.PROTOCOLS`."""
    return named_section("eval.protocol", name, changes)
