"""A run as a model: what its folder holds for predicting, and how that is read again.

`model.json` stands in the folder from the first step on. With the config and a checkpoint it is all
that predicting needs: no training data, and no file outside the folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fairjax.config.errors import ConfigError
from fairjax.core.types import Method, PyTree, Target
from fairjax.data.dataset import Dataset
from fairjax.models.cosine_head import unit
from fairjax.models.preprocess import IMAGENET_MEAN, IMAGENET_STD
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_variables
from fairjax.run.prepare import (
    attributes_of_test,
    covering,
    hidden_patches,
    preprocess_with,
    targets_of,
)
from fairjax.run.settings import RunSettings
from fairjax.run.workdir import WorkdirError, is_finished, read_checked

MODEL_FILE = "model.json"
FLIPS = ("none", "sum", "concat")
# (mean, deviation) by `config.input.normalise`, as shares of 255.
_NORMALISE = {"imagenet": (IMAGENET_MEAN, IMAGENET_STD), "half": ((0.5,) * 3, (0.5,) * 3)}
_PREDICTED = ("pred_", "prob_")  # begin the columns of `Method.predict` that need no label

Forward = Callable[[PyTree, jax.Array], dict[str, jax.Array]]


@dataclass(frozen=True)
class LoadedRun:
    """A run whose weights have been read.

    Attributes:
      folder: The run's folder.
      settings: Settings of the run, adjusted for predicting.
      method: The method on its backbone.
      preprocess: From images to the backbone's input.
      variables: `{"params": ..., **model_state}`, numpy arrays on the host.
      description: What `model.json` holds.
      step: Step of the checkpoint.
      flip: What is done with the mirror image: "none", "sum" or "concat".
      takes_pixels: Whether the model takes pixels, uint8 [batch, height, width, 3]; else it takes
        normalised images, float32 [batch, 3, height, width].
    """

    folder: Path
    settings: RunSettings
    method: Method
    preprocess: Callable[[jax.Array], jax.Array]
    variables: PyTree
    description: Mapping[str, Any]
    step: int
    flip: str
    takes_pixels: bool


def describe_model(settings: RunSettings, dataset: Dataset) -> dict[str, Any]:
    """The content of `model.json`, JSON-ready.

    Names of the training people are left out: predicting needs how many there are.
    """
    shown = attributes_of_test(dataset)
    targets: dict[str, Any] = {}
    for name, target in targets_of(dataset).items():
        targets[name] = {**asdict(target), "unit": dataset.attributes[name].unit}
        if name not in shown and target.values:
            targets[name] |= {"values": [], "classes": len(target.values)}
    images = settings.input
    mean, deviation = _NORMALISE[images.normalise]
    hidden = hidden_patches(images)
    return {
        "format": 1,
        "title": settings.title,
        "targets": targets,
        "input": {
            "image_size": images.image_size,
            "colour": "RGB",
            "normalise": images.normalise,
            "mean": list(mean),
            "std": list(deviation),
            "hidden": None if hidden is None else hidden.tolist(),
        },
        "flip": settings.flip or "none",
    }


def load_run(folder: Path, *, step: int | None = None, flip: str = "") -> LoadedRun:
    """Reads a run for predicting, with the weights that it was evaluated with.

    Args:
      folder: The run's folder; a run of an older FairJAX has no `model.json`, and its training data
        are read instead.
      step: Step of a checkpoint; None takes the one that a finished run was evaluated with.
      flip: What is done with the mirror image: "none", "sum" or "concat"; "" does what the run did.

    Raises:
      WorkdirError: If there is no such run, it is not finished and no step is given, or a file
        cannot be read.
      ConfigError: If the run's method does not allow this `flip`.
    """
    if (folder / "study.json").exists():
        raise WorkdirError(f"{folder} is a study; give the folder of one of its runs.")
    tree = read_checked(folder / "config.json")
    step = _step_of(folder, step)
    if (folder / MODEL_FILE).exists():
        description = read_checked(folder / MODEL_FILE)
    else:
        settings = build_run(tree)
        description = describe_model(settings, settings.data.load(seed=settings.seed))
    variables = read_variables(folder, step=step)
    try:
        return assemble(tree, description, variables, folder=folder, step=step, flip=flip)
    except ConfigError as error:
        if "is not known" not in str(error):
            raise
        raise ConfigError(
            f"{error} Where a config file of yours registers it, name that file with --config; in "
            "Python, import it first."
        ) from error
    except (AttributeError, LookupError, TypeError) as error:
        raise WorkdirError(
            f"{folder / MODEL_FILE} does not describe a model ({error}); restore it from a copy."
        ) from error


def assemble(
    tree: Mapping[str, Any],
    description: Mapping[str, Any],
    variables: PyTree,
    *,
    folder: Path,
    step: int,
    flip: str = "",
    normalised: bool = False,
    compute_dtype: str = "",
) -> LoadedRun:
    """A run from its config, its description and its weights.

    Args:
      tree: The config as plain values.
      description: What `describe_model` gave.
      variables: `{"params": ..., **model_state}`; what predicting does not use may be missing.
      folder: Where they come from, for messages.
      step: Step of the checkpoint.
      flip: What is done with the mirror image; "" does what the run did.
      normalised: Whether the model takes normalised images, float32 [batch, 3, height, width],
        instead of pixels, uint8 [batch, height, width, 3].
      compute_dtype: Type of the computation; "" is the run's.

    Raises:
      ConfigError: If the config is impossible, or its method does not allow this `flip`.
      AttributeError, LookupError, TypeError: If the description is none.
    """
    tree = _adjusted(tree, flip)
    tree["compute_dtype"] = compute_dtype or tree["compute_dtype"]
    settings = build_run(tree)
    kept = description["input"]["hidden"]
    hidden = None if kept is None else np.array(kept, bool)
    preprocess = preprocess_with(settings.input, hidden)
    if normalised:
        cover = covering(settings.input, hidden)

        def preprocess(images: jax.Array) -> jax.Array:
            return cover(images.transpose(0, 2, 3, 1))

    method = settings.make_method(
        backbone=settings.backbone,
        targets={name: _target(one) for name, one in description["targets"].items()},
        preprocess=preprocess,
    )
    own = description.get("flip", "none")
    return LoadedRun(
        folder=folder,
        settings=settings,
        method=method,
        preprocess=preprocess,
        variables=variables,
        description=description,
        step=step,
        flip=flip or own,
        takes_pixels=not normalised,
    )


def make_forward(run: LoadedRun) -> Forward:
    """The pure `(variables, uint8 images [batch, size, size, 3]) -> {name: array}`.

    The embedding is the method's own, else its features, else the backbone's output (of methods
    that learn without labels); beside it stand the predictions `pred_*` and `prob_*`.

    Raises:
      WorkdirError: If the model needs more than images.
    """
    method, preprocess = run.method, run.preprocess

    def predict(variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        rows = jnp.ones(images.shape[:1], bool)  # the batch may be symbolic, which has no len
        columns = method.predict(variables, {"image": images, "image_2": images, "mask": rows})
        kept = {name: x for name, x in columns.items() if name.startswith(_PREDICTED)}
        vectors = [columns[name] for name in ("embedding", "features") if name in columns]
        return kept | ({"embedding": vectors[0]} if vectors else {})

    def represent(variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        own = {name: tree["backbone"] for name, tree in variables.items() if "backbone" in tree}
        features: Any = run.settings.backbone.apply(own, preprocess(images), train=False)
        return {"embedding": jnp.asarray(features, jnp.float32)}

    try:
        predicted = jax.eval_shape(predict, run.variables, blank_of(run, 1))
    except KeyError as error:
        raise WorkdirError(
            f"{run.folder} needs the label {error} of each image to predict; images alone are not "
            "enough for this model."
        ) from error
    forward = predict if predicted else represent
    if run.flip == "none" or run.settings.flip:
        return forward

    def fused(variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        mirror = images[:, :, ::-1] if run.takes_pixels else images[..., ::-1]
        columns, mirrored = forward(variables, images), forward(variables, mirror)
        both = columns["embedding"], mirrored["embedding"]
        joined = both[0] + both[1] if run.flip == "sum" else jnp.concatenate(both, axis=1)
        return {**columns, "embedding": unit(joined).direction}

    return fused


def blank_of(run: LoadedRun, batch: Any) -> jax.ShapeDtypeStruct:
    """Shape and type of a batch of images that the run's model takes.

    Args:
      run: The run.
      batch: Number of images, or a symbolic one.
    """
    size = run.settings.input.image_size
    if run.takes_pixels:
        return jax.ShapeDtypeStruct((batch, size, size, 3), np.uint8)
    return jax.ShapeDtypeStruct((batch, 3, size, size), np.float32)


def _step_of(folder: Path, step: int | None) -> int:
    """The checkpoint that is read.

    Raises:
      WorkdirError: Says which checkpoints there are.
    """
    saved = sorted(
        int(path.name) for path in (folder / "checkpoints").glob("*") if path.name.isdecimal()
    )
    if step is None and is_finished(folder):
        step = int(read_checked(folder / "outcome.json")["evaluated_step"])
    elif step is None and saved:
        raise WorkdirError(
            f"{folder} is not finished: resume its training line, or take its newest checkpoint "
            f"with --step {saved[-1]}."
        )
    if step not in saved:
        kept = f"there are {', '.join(map(str, saved))}" if saved else "there is none yet"
        asked = "no checkpoint" if step is None else f"no checkpoint of step {step}"
        raise WorkdirError(f"{folder} has {asked}; {kept}.")
    return step


def _adjusted(tree: Mapping[str, Any], flip: str) -> dict[str, Any]:
    """A run's config, changed so that predicting needs no file and knows what is embedded."""
    if flip and flip not in FLIPS:
        raise ConfigError(f"flip={flip!r} must be one of {', '.join(FLIPS)}.")
    method = dict(tree["method"])
    if flip and "tta" in method:
        method["tta"] = flip
    if "save_features" in method:
        method["save_features"] = True
    if "sensitivity" in method:  # masks play no part in the encoder's output
        method |= {"sensitivity": "", "scheme": "random"}
    return {**tree, "method": method}


def _target(kept: Mapping[str, Any]) -> Target:
    values = tuple(kept["values"]) or tuple(str(k) for k in range(kept.get("classes", 0)))
    return Target(values, mean=float(kept["mean"]), std=float(kept["std"]))
