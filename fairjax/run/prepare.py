"""What is done with the data before training: its account, its checks, and a dry run in shapes."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from typing import Any, Literal, cast

import jax
import numpy as np

from fairjax.config.bind import as_config_error
from fairjax.config.errors import ConfigError
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.names import counted
from fairjax.core.settings import InputSettings
from fairjax.core.types import Method, PyTree, Target
from fairjax.data.dataset import Attribute, DataError, Dataset, Examples, require_sound
from fairjax.data.stream.pipeline import VIEWS
from fairjax.models.masking import read_map
from fairjax.models.preprocess import hide_patches, most_sensitive, normalise
from fairjax.run.score import Columns, score_columns
from fairjax.run.settings import RunSettings


def make_method(settings: RunSettings, dataset: Dataset) -> Method:
    """The method on its backbone, with what the training split looks like.

    Raises:
      ConfigError: If it does not fit the backbone or the data.
    """
    return settings.make_method(
        backbone=settings.backbone,
        targets=targets_of(dataset),
        preprocess=make_preprocess(settings.input),
    )


def make_preprocess(settings: InputSettings) -> Callable[[jax.Array], jax.Array]:
    """From uint8 images to the backbone's input.

    Raises:
      ConfigError: If patches are to be hidden and the map does not allow it.
    """
    return preprocess_with(settings, hidden_patches(settings))


def hidden_patches(settings: InputSettings) -> np.ndarray | None:
    """[patches] truth values: patches that are covered in every image; None covers nothing.

    Raises:
      ConfigError: If the map cannot be read or does not allow it.
    """
    hide = settings.hide
    if not hide.sensitivity:
        return None
    try:
        return most_sensitive(
            read_map(hide.sensitivity),
            ratio=hide.ratio,
            direction=cast(Literal["sensitive", "nonsensitive"], hide.direction),
        )
    except ValueError as error:
        raise ConfigError(f"config.input.hide: {error}") from error


def preprocess_with(
    settings: InputSettings, hidden: np.ndarray | None
) -> Callable[[jax.Array], jax.Array]:
    """From uint8 images to the backbone's input, with these patches covered."""
    cover = covering(settings, hidden)
    return lambda images: cover(normalise(images, kind=settings.normalise))


def covering(
    settings: InputSettings, hidden: np.ndarray | None
) -> Callable[[jax.Array], jax.Array]:
    """Covers these patches of normalised images; None covers nothing."""
    if hidden is None:
        return lambda images: images
    return functools.partial(
        hide_patches, hidden=hidden, kind=settings.normalise, value=settings.hide.value
    )


def targets_of(dataset: Dataset) -> dict[str, Target]:
    """Class names and counts, or mean and deviation, of every attribute of the training split."""
    targets = {}
    for name, attribute in dataset.attributes.items():
        labels = dataset.splits["train"].labels[name]
        if attribute.values:
            counts = np.bincount(labels[labels != UNKNOWN], minlength=len(attribute.values))
            targets[name] = Target(
                attribute.values, mean=0.0, std=1.0, counts=tuple(counts.tolist())
            )
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
        "attributes": {
            name: asdict(attribute) for name, attribute in attributes_of_test(dataset).items()
        },
        "splits_hash": state.hexdigest(),
    }


def attributes_of_test(dataset: Dataset) -> dict[str, Attribute]:
    """The attributes that the test split has labels of: all but who the training people are."""
    labels = dataset.splits["test"].labels
    return {
        name: attribute
        for name, attribute in dataset.attributes.items()
        if (labels[name] != UNKNOWN).any()
    }


def abstract_batch(settings: InputSettings, examples: Examples, *, rows: int) -> PyTree:
    """Shapes and types of a batch of the split."""
    size = settings.image_size
    images = jax.ShapeDtypeStruct((rows, size, size, 3), np.uint8)
    shapes = dict.fromkeys(VIEWS[: settings.views], images)
    shapes |= {"mask": jax.ShapeDtypeStruct((rows,), bool)}
    shapes |= {
        name: jax.ShapeDtypeStruct((rows,), label.dtype) for name, label in examples.labels.items()
    }
    return shapes


EPOCH = jax.ShapeDtypeStruct((), np.float32)  # which the training step adds to a batch


def dry_run(settings: RunSettings, dataset: Dataset) -> None:
    """Goes through training in shapes alone, and scores the test split as if it were predicted.

    So a method or a protocol that does not fit the data is refused before training.

    Raises:
      ConfigError: If one refuses.
    """
    batch = abstract_batch(
        settings.input,
        dataset.splits["train"],
        rows=settings.train.batch_size // settings.train.accumulate,
    )
    method, key = make_method(settings, dataset), jax.eval_shape(lambda: jax.random.key(0))
    init = _refused_as("backbone", functools.partial(jax.eval_shape, method.init))
    params, model_state = init(key, batch)
    loss = _refused_as("method", functools.partial(jax.eval_shape, method.loss))
    loss(params, model_state, {**batch, "epoch": EPOCH}, key)
    looks, attribute = settings.eval.sensitivity, settings.eval.sensitivity.attribute
    classes = {name for name, known in attributes_of_test(dataset).items() if known.values}
    if attribute and (not hasattr(settings.backbone, "maps") or attribute not in classes):
        raise ConfigError(
            f"config.eval.sensitivity.attribute={attribute!r} needs config.backbone.name='vit' and "
            f"a class attribute: one of {', '.join(sorted(classes))}."
        )
    if attribute and looks.images == "correct":
        predicted = jax.eval_shape(method.predict, {"params": params, **model_state}, batch)
        if f"prob_{attribute}" not in predicted:
            raise ConfigError(
                f"config.eval.sensitivity.images='correct' needs a classifier of {attribute}; this "
                "model is none: write 'all'."
            )
    check_protocol(settings, dataset)


def check_protocol(settings: RunSettings, dataset: Dataset) -> None:
    """Scores the test split as if it were predicted.

    Raises:
      ConfigError: If the protocol does not fit the data.
    """
    scoring = settings.scoring
    brief = replace(scoring, settings=replace(scoring.settings, resamples=1))
    columns = _embedded(dataset) if scoring.compares_pairs else _predicted(dataset)
    _refused_as("eval.protocol", functools.partial(score_columns, brief, columns))(
        dataset.pairs.get("test"), attributes_of_test(dataset)
    )


def _refused_as(path: str, function: Callable) -> Callable:
    return as_config_error(f"config.{path}", function)


def _embedded(dataset: Dataset) -> Columns:
    """The test split as if each image had an embedding."""
    test = dataset.splits["test"]
    drawn = np.random.default_rng(0).standard_normal((len(test), 8), np.float32)
    return {"id": test.ids, "cluster": test.cluster, **test.labels, "embedding": drawn}


def _predicted(dataset: Dataset) -> Columns:
    """The test split as if every label had been predicted."""
    test = dataset.splits["test"]
    columns = {"id": test.ids, "cluster": test.cluster, **test.labels, "loss": np.zeros(len(test))}
    for name, attribute in attributes_of_test(dataset).items():
        if attribute.values:
            columns[f"prob_{name}"] = np.eye(len(attribute.values))[test.labels[name]]
        else:
            columns[f"pred_{name}"] = test.labels[name].astype(np.float64)
    return columns


def check_data(settings: RunSettings, dataset: Dataset) -> None:
    """Refuses data that a run cannot be trained on; compiles nothing.

    Raises:
      ConfigError, DataError: If the dataset's parts do not fit, or labels, balance or batch are
        impossible.
    """
    require_sound(dataset)
    check_labels(settings, dataset)
    check_balance(settings.input, dataset)
    check_batch(settings, dataset)


def check_balance(settings: InputSettings, dataset: Dataset) -> None:
    """Refuses to balance training, or to group images, by what is not a class of the data.

    Raises:
      ConfigError: Lists what there is.
    """
    name = settings.balanced
    known = [label for label, attribute in dataset.attributes.items() if attribute.values]
    if name and name not in known:
        which = f"config.input.balance={name!r}"
        if settings.images_per_identity:
            which = f"config.input.images_per_identity={settings.images_per_identity}: 'identity'"
        raise ConfigError(f"{which} is no class of this dataset; it has: {', '.join(known)}.")


def check_batch(settings: RunSettings, dataset: Dataset) -> None:
    """Refuses a batch that would hold images several times.

    Raises:
      ConfigError: Says how many there are.
    """
    images = len(dataset.splits["train"])
    if settings.train.batch_size > images:
        raise ConfigError(
            f"config.train.batch_size={settings.train.batch_size} is more than the {images:,} "
            "training images; choose a smaller one."
        )


def check_labels(settings: RunSettings, dataset: Dataset) -> None:
    """Refuses labels outside their range, and to learn what is not known, before the first step.

    Raises:
      DataError: Names the attribute, the value and an image that carries it.
    """
    for split, examples in dataset.splits.items():
        for name, attribute in dataset.attributes.items():
            labels = examples.labels[name]
            low = 0 if split == "train" and name in settings.learned else attribute.low
            wrong = np.flatnonzero((labels < low) | (labels > attribute.high))
            if wrong.size:
                raise DataError(
                    f"{name}={labels[wrong[0]]} of image {examples.ids[wrong[0]]!r} ({split}, "
                    f"{counted(wrong.size, 'such image')}) is outside "
                    f"{attribute.low}..{attribute.high}."
                )
