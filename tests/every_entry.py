"""Tiny settings of whatever a registry names, for the suites that run over every entry.

The settings of an entry are its defaults, made small by `SMALL`, a table by the setting's name: a
new entry is tried without a line here, unless it needs a setting that has no default.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from fairjax import config as config_lib
from fairjax.core.comparisons import Pairs
from fairjax.core.types import Method
from fairjax.data.dataset import Attribute, Dataset, Examples
from fairjax.models import BACKBONES
from fairjax.run.build import build_run
from fairjax.run.prepare import EPOCH, abstract_batch, make_method
from fairjax.run.settings import RunSettings

Changes = tuple[tuple[str, Any], ...]
PIXELS, ROWS, PEOPLE = 16, 8, 12
GROUPS = ("amber", "jade", "onyx")
# By its name, what a setting is lowered to; one that is lower already stays.
SMALL = {
    "chunk": 16,
    "decoder_depth": 1,
    "decoder_dim": 16,
    "decoder_heads": 2,
    "dim": 16,
    "heads": 2,
    "hidden": 16,
    "layers": 1,
    "pair_scale": 16.0,
    "patch": 4,
    "projection": 8,
    "resamples": 20,
    "scale": 16.0,
    "stages": 1,
    "width": 4,
}
_DEPTHS = (1, 10, 18)  # of a Transformer, and of what comes in no smaller size
_GAMMA_U = 0.1  # a rate that the few cosines of a tiny batch resolve
# What a method needs at this size; a map of few positions, for one.
_FITTING: dict[str, dict[str, Any]] = {
    "gabn": {"layer": "stage_1", "erase_regions": 1, "erase_after_epochs": 0.0},
    "invreg": {"partition_epochs": (2, 4), "learning_epochs": 1},
    "pfe": {"layer": "stage_1"},
}
_REQUIRED = {  # of settings that have no default; a group may be unknown, so no task asks for it
    "tasks": {
        name: config_lib.task(kind, name)
        for name, kind in config_lib.tree.TASKS.items()
        if name != "group"
    }
}


def tiny_section(make: Any, name: str) -> ConfigDict:
    """The section that `make(name, ...)` builds, `fairjax.config.method` for one, made small.

    Raises:
      AssertionError: If the entry needs a setting that has no default and stands in no table here.
    """
    try:
        section = make(name)
    except config_lib.ConfigError as error:
        missing = [key for key in _REQUIRED if f".{key} is missing" in str(error)]
        assert missing, f"give it a default, or a value in _REQUIRED of {__name__}: {error}"
        section = make(name, **{key: _REQUIRED[key] for key in missing})
    return _shrink(section)


def _shrink(section: ConfigDict) -> ConfigDict:
    for key, value in section.items():
        if isinstance(value, ConfigDict):
            _shrink(value)
        elif key in SMALL and value > SMALL[key]:
            section[key] = type(value)(SMALL[key])
        elif key == "gamma_u":
            section[key] = _GAMMA_U
    return section


def tiny_settings(
    method: str, backbone: str, dtype: str = "float32", changes: Changes = ()
) -> RunSettings:
    """Settings of a run with this method and backbone on images of PIXELS; SGD, a constant rate.

    Args:
      method: Key of METHODS.
      backbone: Key of BACKBONES.
      dtype: Type of the backbone's computation.
      changes: Other keys of the config and their values.

    Raises:
      AssertionError: If they do not go together; says what was refused.
    """
    config = config_lib.base_config()
    config.input.update(image_size=PIXELS, views=2)
    config.optim.algorithm = config_lib.algorithm("sgd", momentum=0.5)
    config.optim.schedule = config_lib.schedule("steps", at_epochs=())
    config.optim.update(peak_lr=0.05, weight_decay=0.01)
    config.train.update(batch_size=ROWS)
    config.compute_dtype = dtype
    config.method = tiny_section(config_lib.method, method)
    config.method.update(_FITTING.get(method, {}))
    config.backbone = tiny_section(config_lib.backbone, backbone)
    config.update_from_flattened_dict(dict(changes))
    refused = ""
    for depth in _DEPTHS if "depth" in config.backbone else (None,):
        if depth:
            config.backbone.depth = depth
        try:
            settings = build_run(config)
            made = make_method(settings, tiny_dataset())
            rows = abstract_batch(settings.input, tiny_dataset().splits["train"], rows=ROWS)
            key = jax.random.key(0)
            params, model_state = jax.eval_shape(made.init, key, rows)
            jax.eval_shape(made.loss, params, model_state, {**rows, "epoch": EPOCH}, key)
            return settings
        except ValueError as error:
            refused = str(error)
    raise AssertionError(
        f"{method!r} on {backbone!r} refuses its tiny settings; mend SMALL in {__name__}: {refused}"
    )


@functools.cache
def settings_of_method(name: str, dtype: str = "float32", changes: Changes = ()) -> RunSettings:
    """Tiny settings of a method, on the first of the backbones that it accepts."""
    refused = []
    quickest = ("vit", "resnet")  # to compile
    for backbone in sorted(
        BACKBONES, key=lambda name: quickest.index(name) if name in quickest else 2
    ):
        try:
            return tiny_settings(name, backbone, dtype, changes)
        except AssertionError as error:
            refused.append(str(error))
    raise AssertionError(refused[0])


def with_sgd(settings: RunSettings, **train: Any) -> RunSettings:
    """The settings, with SGD for each part that has an optimiser of its own."""

    def make_sgd_method(**supplied: Any) -> Method:
        method = settings.make_method(**supplied)
        return dataclasses.replace(
            method, own_optimizers=dict.fromkeys(method.own_optimizers, optax.sgd)
        )

    return dataclasses.replace(
        settings, make_method=make_sgd_method, train=dataclasses.replace(settings.train, **train)
    )


def build_method(name: str) -> Method:
    """A tiny method, on the tiny dataset."""
    return make_method(settings_of_method(name), tiny_dataset())


@functools.cache
def tiny_dataset() -> Dataset:
    """Pictures of noise with labels of every kind; ROWS of them in each split."""
    rng = np.random.default_rng(0)
    attributes = {
        "identity": Attribute(tuple(f"p{k}" for k in range(PEOPLE)), -1, PEOPLE - 1, "", "nobody"),
        "group": Attribute(GROUPS, 0, 2, "", "nobody"),
        "race": Attribute(GROUPS, 0, 2, "", "nobody"),
        "gender": Attribute(("male", "female"), 0, 1, "", "nobody"),
        "age": Attribute((), 0, 116, "years", "nobody"),
    }
    splits = {}
    for split in ("train", "validation", "test"):
        images = rng.integers(0, 256, (ROWS, PIXELS, PIXELS, 3), np.uint8)
        labels = {
            name: rng.integers(0, 1 + attribute.high, ROWS).astype(np.int32)
            for name, attribute in attributes.items()
        }
        labels["race"] = labels["group"]
        splits[split] = Examples(
            np.array([f"{split}{k}" for k in range(ROWS)]),
            labels,
            np.arange(ROWS),
            functools.partial(images.__getitem__),
        )
    rows = np.arange(ROWS)
    pairs = Pairs(rows, np.roll(rows, 1), rows % 2 == 0, rows % 2)
    return Dataset("tiny", attributes, splits, {}, {"test": pairs})


def batch(seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of two views of ROWS images, with every label."""
    rng, train = np.random.default_rng(seed), tiny_dataset().splits["train"]
    view, other = rng.integers(0, 256, (2, ROWS, PIXELS, PIXELS, 3), np.uint8)
    return {
        "image": view,
        "image_2": other,
        "mask": np.ones(ROWS, bool),
        **{name: rng.permutation(label) for name, label in train.labels.items()},
    }
