"""Tiny settings of whatever a registry names, for the suites that run over every entry.

The settings of an entry are those of its builder in `fairjax.config`, made small by `SMALL`, a
table by the setting's name: a new entry is tried without a line here.
"""

import functools
import inspect
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from fairjax import config as builders
from fairjax.core.comparisons import Pairs
from fairjax.core.types import Method
from fairjax.data.dataset import Attribute, Dataset, Examples
from fairjax.methods import METHODS
from fairjax.models import BACKBONES
from fairjax.run import build

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
    "patch": 8,
    "projection": 8,
    "resamples": 20,
    "scale": 16.0,
    "stages": 1,
    "width": 4,
}
_DEPTHS = (1, 18)  # of a Transformer, and of what has none that is smaller
# What a builder must be told, by the argument's name.
_ARGUMENTS = {"margin": builders.cosface(margin=0.1), "attribute": "gender"}


def sections(name: str) -> list[ConfigDict]:
    """The sections of that name that `fairjax.config` builds; without any, one of the name alone."""
    base = builders.base_config()
    made = [base.backbone, base.method]
    for function in vars(builders).values():
        if not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters.values()
        needed = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_KEYWORD]
        if all(argument in _ARGUMENTS for argument in needed):
            made.append(function(**{argument: _ARGUMENTS[argument] for argument in needed}))
    named = [s for s in made if isinstance(s, ConfigDict) and "name" in s and s.name == name]
    return [ConfigDict(section.to_dict()) for section in named] or [ConfigDict({"name": name})]


def shrink(section: ConfigDict) -> ConfigDict:
    """The section with every setting that SMALL names as low as it says."""
    for key, value in section.items():
        if isinstance(value, ConfigDict):
            shrink(value)
        elif key in SMALL and value > SMALL[key]:
            section[key] = type(value)(SMALL[key])
    return section


def tiny_config(method: str, backbone: str) -> ConfigDict:
    """A config of a method and a backbone on images of PIXELS; SGD, a constant rate.

    Raises:
      AssertionError: If no section of theirs is accepted; says what was refused.
    """
    config = builders.base_config()
    config.input.update(image_size=PIXELS, views=2)
    config.optim.algorithm = builders.sgd(momentum=0.5)
    config.optim.update(peak_lr=0.05, weight_decay=0.01)
    config.optim.schedule = builders.steps((), warmup_epochs=0.0)
    config.train.update(batch_size=ROWS)
    refusals = []
    for of_backbone in sections(backbone):
        for of_method in sections(method):
            for depth in _DEPTHS if "depth" in of_backbone else (None,):
                config.backbone = shrink(of_backbone)
                if depth:
                    config.backbone.depth = depth
                config.method = shrink(of_method)
                try:
                    made = build.build_method(config, tiny_dataset())
                    jax.eval_shape(made.init, jax.random.key(0), abstract_batch(config))
                    return config
                except ValueError as error:
                    refusals.append(str(error))
    raise AssertionError(
        f"no tiny settings of method {method!r} on backbone {backbone!r} are accepted; add what it "
        f"needs to SMALL or _ARGUMENTS in tests/every_entry.py: {refusals[-1]}"
    )


@functools.cache
def config_of_method(name: str) -> ConfigDict:
    """A tiny config of a method, on the first of the backbones that it accepts."""
    refusals = []
    for backbone in sorted(BACKBONES, key="vit".__ne__):  # a ViT first: it compiles in no time
        try:
            return tiny_config(name, backbone)
        except AssertionError as error:
            refusals.append(str(error))
    raise AssertionError(refusals[0])


def build_method(config: ConfigDict) -> Method:
    """The method that a config describes, on the tiny dataset."""
    return build.build_method(config, tiny_dataset())


def abstract_batch(config: ConfigDict) -> dict[str, Any]:
    """Shapes and types of a batch of the tiny dataset."""
    return build.abstract_batch(config, tiny_dataset().splits["train"], rows=ROWS)


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


assert METHODS and BACKBONES
