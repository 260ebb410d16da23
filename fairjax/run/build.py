"""From a config to the things a run is made of."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from fairjax import optim
from fairjax.config import ConfigError, bind_section, keys, leaf
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.types import Method, PyTree, Target
from fairjax.data import CHECKS, DATASETS
from fairjax.data.dataset import Attribute, DataError, Dataset, Examples
from fairjax.data.stream.augment import Augment
from fairjax.data.stream.pipeline import VIEWS
from fairjax.heads import ROWS_MULTIPLE
from fairjax.methods import METHODS
from fairjax.models import BACKBONES
from fairjax.models.masking import read_map
from fairjax.models.preprocess import hide_patches, most_sensitive, normalise
from fairjax.optim import freeze
from fairjax.protocols import PROTOCOLS
from fairjax.run.score import Columns, evaluate_columns, protocol_settings

_GIVEN: dict[str, tuple[Mapping[str, Callable[..., Any]], set[str]]] = {
    "data": (DATASETS, {"seed"}),
    "backbone": (BACKBONES, {"dtype"}),
    "method": (METHODS, {"backbone", "targets", "preprocess"}),
    "optim.algorithm": (optim.OPTIMIZERS, {"lr", "weight_decay", "mask"}),
    "optim.schedule": (optim.SCHEDULES, {"peak_lr", "total_steps", "steps_per_epoch"}),
}


def bound(config: ConfigDict, path: str) -> Callable:
    """The function that the section at `path` names, its settings bound.

    Raises:
      ConfigError: If the name or a key is wrong.
    """
    registry, given = _GIVEN[path]
    return _told(path, bind_section(registry, leaf(config, path), f"config.{path}", given=given))


def check_sections(config: ConfigDict) -> None:
    """Refuses unknown names, unknown settings and impossible values; touches no device or file.

    Raises:
      ConfigError: Says what to type instead.
    """
    for path in _GIVEN:
        bound(config, path)
    _told("data", bind_section(CHECKS, config.data, "config.data", given=()))()
    protocol_settings(config)
    build_augment(config)
    build_second(config)
    check_shards(config)


def check_shards(config: ConfigDict) -> None:
    """Refuses to split a head that cannot be split so.

    Raises:
      ConfigError: Says what to type instead.
    """
    shards = config.train.head_shards
    if shards > 1 and config.method.get("head", {"name": "dense"})["name"] == "dense":
        raise ConfigError(
            f"config.train.head_shards={shards} splits class weights, and this method keeps them "
            "whole; set config.method.head.name='streamed' (or 'sharded', 'sampled'), where it has "
            "a head, or config.train.head_shards=1."
        )
    if ROWS_MULTIPLE % shards:
        raise ConfigError(
            f"config.train.head_shards={shards} must be a power of two, at most {ROWS_MULTIPLE}."
        )


def _told(path: str, function: Callable) -> Callable:
    """The function, its ValueErrors told as mistakes in the config."""

    def call(*arguments: Any, **context: Any) -> Any:
        try:
            return function(*arguments, **context)
        except DataError:
            raise
        except ValueError as error:
            prefix = "" if str(error).startswith("config.") else f"config.{path}: "
            raise ConfigError(f"{prefix}{error}") from error

    return call


def load_dataset(config: ConfigDict) -> Dataset:
    """Reads, checks and splits the data."""
    return bound(config, "data")(seed=config.seed)


def build_augment(config: ConfigDict) -> Augment:
    """The random changes of a training image.

    Raises:
      ConfigError: If one is out of its range.
    """
    return _augment(config, "augment")


def build_second(config: ConfigDict) -> Augment | None:
    """Those of a second view of it; None where the config asks for one view.

    Raises:
      ConfigError: If one is out of its range.
    """
    return _augment(config, "second_augment") if config.input.views == 2 else None


def _augment(config: ConfigDict, key: str) -> Augment:
    try:
        return Augment(**config.input[key].to_dict())
    except ValueError as error:
        raise ConfigError(f"config.input.{str(error).replace('augment', key, 1)}") from None


def build_method(config: ConfigDict, dataset: Dataset) -> Method:
    """The method on its backbone, told what the training split looks like."""
    return bound(config, "method")(
        backbone=build_backbone(config),
        targets=targets_of(dataset),
        preprocess=build_preprocess(config),
    )


def build_backbone(config: ConfigDict) -> nn.Module:
    """From images to features."""
    return bound(config, "backbone")(dtype=jnp.dtype(config.compute_dtype))


def build_preprocess(config: ConfigDict) -> Callable[[jax.Array], jax.Array]:
    """From uint8 images to the backbone's input.

    Raises:
      ConfigError: If patches are to be hidden and the map does not allow it.
    """
    scale = functools.partial(normalise, kind=config.input.normalise)
    hide = config.input.hide
    if not hide.sensitivity:
        return scale
    try:
        hidden = most_sensitive(
            read_map(hide.sensitivity), ratio=hide.ratio, direction=hide.direction
        )
    except ValueError as error:
        raise ConfigError(f"config.input.hide: {error}") from error
    cover = functools.partial(
        hide_patches, hidden=hidden, kind=config.input.normalise, value=hide.value
    )
    return lambda images: cover(scale(images))


def build_schedule(
    config: ConfigDict, *, total_steps: int, steps_per_epoch: float
) -> optax.Schedule:
    """Steps taken -> learning rate."""
    return bound(config, "optim.schedule")(
        peak_lr=config.optim.peak_lr, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )


def build_freezing(config: ConfigDict, *, steps_per_epoch: float) -> freeze.Plan:
    """Which parts are held still at which step."""
    release = config.optim.unfreeze
    starts = [
        round(place * release.every_epochs * steps_per_epoch)
        for place in range(1, len(release.parts) + 1)
    ]
    return freeze.Plan(tuple(config.optim.freeze), tuple(release.parts), tuple(starts))


def build_optimizer(
    config: ConfigDict, schedule: optax.Schedule, plan: freeze.Plan, params: PyTree
) -> optax.GradientTransformation:
    """The optax chain: clipping, decay, momentum, rate; layers apart, and frozen parts.

    Args:
      config: The config.
      schedule: Steps taken -> learning rate.
      plan: Which parts are held still.
      params: The parameters' shapes.

    Raises:
      ConfigError: If the parameters have no such layers or parts.
    """

    def make(rate: optax.Schedule) -> optax.GradientTransformation:
        return bound(config, "optim.algorithm")(
            lr=rate,
            weight_decay=config.optim.weight_decay,
            mask=functools.partial(optim.decay_mask, norms=config.optim.decay_norms),
        )

    try:
        tx = optim.released(
            make,
            schedule,
            params,
            parts=plan.parts,
            starts=plan.starts,
            factor=config.optim.unfreeze.factor,
        )
        tx = optim.clipped(tx, clip_norm=config.optim.clip_norm)
        tx = optim.layer_decayed(tx, params, factor=config.optim.layer_decay)
        return optim.frozen(tx, params, parts=plan.always)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def targets_of(dataset: Dataset) -> dict[str, Target]:
    """Class names, or mean and deviation over the training split, of every attribute."""
    targets = {}
    for name, attribute in dataset.attributes.items():
        labels = dataset.splits["train"].labels[name]
        if attribute.values:
            targets[name] = Target(attribute.values, mean=0.0, std=1.0)
        else:
            targets[name] = Target(
                (), mean=float(np.mean(labels)), std=max(float(np.std(labels)), 1e-6)
            )
    return targets


def manifest_of(dataset: Dataset) -> dict[str, Any]:
    """The account for `data.json`.

    To the reader's own account it adds what an evaluation must know of the attributes, and a hash
    of which rows with which labels make up each split, and which of them are compared.
    """
    state = hashlib.blake2b(digest_size=16)
    for split, examples in dataset.splits.items():
        state.update("\0".join([split, *map(str, examples.ids)]).encode())
        for name in sorted(examples.labels):
            state.update(np.asarray(examples.labels[name], "<i8").tobytes())
    for split, pairs in dataset.pairs.items():
        state.update(f"pairs of {split}".encode())
        for column in astuple(pairs):
            state.update(np.asarray(column, "<i8").tobytes())
    return {
        **dataset.manifest,
        "attributes": {name: asdict(attribute) for name, attribute in tested(dataset).items()},
        "splits_hash": state.hexdigest(),
    }


def tested(dataset: Dataset) -> dict[str, Attribute]:
    """The attributes that the test split has labels of: all but who the training people are."""
    labels = dataset.splits["test"].labels
    return {
        name: attribute
        for name, attribute in dataset.attributes.items()
        if (labels[name] != UNKNOWN).any()
    }


def abstract_batch(config: ConfigDict, examples: Examples, *, rows: int) -> PyTree:
    """Shapes and types of a batch of the split."""
    size = config.input.image_size
    images = jax.ShapeDtypeStruct((rows, size, size, 3), np.uint8)
    shapes = dict.fromkeys(VIEWS[: config.input.views], images)
    shapes |= {"mask": jax.ShapeDtypeStruct((rows,), bool)}
    shapes |= {
        name: jax.ShapeDtypeStruct((rows,), label.dtype) for name, label in examples.labels.items()
    }
    return shapes


def rehearse(config: ConfigDict, dataset: Dataset) -> None:
    """Goes through training in shapes alone, and scores the test split as if it were predicted.

    So a method or a protocol that does not fit the data is refused before training.

    Raises:
      ConfigError: If one refuses.
    """
    batch = abstract_batch(
        config,
        dataset.splits["train"],
        rows=config.train.batch_size // config.train.accumulate,
    )
    method, key = build_method(config, dataset), jax.eval_shape(lambda: jax.random.key(0))
    init = _told("backbone", functools.partial(jax.eval_shape, method.init))
    params, model_state = init(key, batch)
    loss = _told("method", functools.partial(jax.eval_shape, method.loss))
    loss(params, model_state, batch, key)
    looks, attribute = config.eval.sensitivity, config.eval.sensitivity.attribute
    values = {name for name, known in tested(dataset).items() if known.values}
    if attribute and (config.backbone.name != "vit" or attribute not in values):
        raise ConfigError(
            f"config.eval.sensitivity.attribute={attribute!r} needs config.backbone.name='vit' and "
            f"a class attribute: one of {', '.join(sorted(values))}."
        )
    if attribute and looks.images == "correct":
        predicted = jax.eval_shape(method.predict, {"params": params, **model_state}, batch)
        if f"prob_{attribute}" not in predicted:
            raise ConfigError(
                f"config.eval.sensitivity.images='correct' needs a classifier of {attribute}; this "
                "model is none: write 'all'."
            )
    settings = {**config.eval.protocol.to_dict(), "resamples": 1}
    brief = ConfigDict({"eval": {"protocol": settings}, "seed": config.seed})
    columns = (
        _embedded(dataset)
        if PROTOCOLS[config.eval.protocol.name].compares_pairs
        else _predicted(dataset)
    )
    _told("eval.protocol", functools.partial(evaluate_columns, brief, columns))(
        dataset.pairs.get("test"), tested(dataset)
    )


def _embedded(dataset: Dataset) -> Columns:
    """The test split as if each image had an embedding."""
    test = dataset.splits["test"]
    drawn = np.random.default_rng(0).standard_normal((len(test), 8), np.float32)
    return {"id": test.ids, "cluster": test.cluster, **test.labels, "embedding": drawn}


def _predicted(dataset: Dataset) -> Columns:
    """The test split as if every label had been predicted."""
    test = dataset.splits["test"]
    columns = {"id": test.ids, "cluster": test.cluster, **test.labels, "loss": np.zeros(len(test))}
    for name, attribute in tested(dataset).items():
        if attribute.values:
            columns[f"prob_{name}"] = np.eye(len(attribute.values))[test.labels[name]]
        else:
            columns[f"pred_{name}"] = test.labels[name].astype(np.float64)
    return columns


def check_balance(config: ConfigDict, dataset: Dataset) -> None:
    """Refuses to balance training by what is not a class of the data.

    Raises:
      ConfigError: Lists what there is.
    """
    name = config.input.balance
    known = [label for label, attribute in dataset.attributes.items() if attribute.values]
    if name and name not in known:
        raise ConfigError(
            f"config.input.balance={name!r} is no class of this dataset; it has: "
            f"{', '.join(known)}."
        )


def check_labels(config: ConfigDict, dataset: Dataset) -> None:
    """Refuses labels outside their range, and to learn what is not known, before the first step.

    Raises:
      DataError: Names the attribute, the value and an image that carries it.
    """
    ends = (key.rpartition(".")[2] for key in keys(config.method))
    learned = {
        leaf(config.method, key)
        for key, end in zip(keys(config.method), ends, strict=True)
        if end in ("label", "attribute")
    }
    for split, examples in dataset.splits.items():
        for name, attribute in dataset.attributes.items():
            labels = examples.labels[name]
            low = 0 if split == "train" and name in learned else attribute.low
            wrong = np.flatnonzero((labels < low) | (labels > attribute.high))
            if wrong.size:
                raise DataError(
                    f"{name}={labels[wrong[0]]} of image {examples.ids[wrong[0]]!r} ({split}, "
                    f"{wrong.size} such) is outside {attribute.low}..{attribute.high}."
                )
