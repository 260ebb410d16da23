"""A run's folder as a model, on all devices."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fairjax.core.types import PyTree
from fairjax.run import sharding
from fairjax.run.loading import LoadedRun, blank_of, load_run, make_forward
from fairjax.serve.model import Model, Preprocessing


def from_run(folder: Path, *, flip: str = "", step: int | None = None) -> Model:
    """A run as a model; arguments as for `fairjax.serve.load`.

    Raises:
      WorkdirError: If there is no such run, it is not finished and no step is given, or a file
        cannot be read.
    """
    model = as_model(load_run(folder, step=step, flip=flip), kind="run")
    return model if flip or step is not None else replace(model, run_folder=folder)


def as_model(run: LoadedRun, *, kind: str, weights: str = "") -> Model:
    """A run that has been read as a model; `weights` is their hash where it is known."""
    forward = make_forward(run)
    mesh = sharding.make_mesh()
    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)
    compiled = jax.jit(forward, in_shardings=(whole, by_batch), out_shardings=whole)
    variables = jax.device_put(run.variables, whole)

    def start(images: np.ndarray) -> Mapping[str, Any]:
        return compiled(variables, jax.device_put(images, by_batch))

    preprocessing = preprocessing_of(run)
    outputs = jax.eval_shape(forward, run.variables, blank_of(run, 1))
    return Model(
        name=run.settings.title or run.folder.name,
        kind=kind,
        hash=weights or weights_hash(run.variables),
        preprocessing=preprocessing,
        targets=run.description["targets"],
        outputs={name: tuple(shape.shape[1:]) for name, shape in outputs.items()},
        tasks=tasks_of(run),
        step=run.step,
        multiple=jax.device_count(),
        start=start,
    )


def preprocessing_of(run: LoadedRun) -> Preprocessing:
    """What a run does with an image before the network sees it."""
    images = run.description["input"]
    mean, std = ([255.0 * float(x) for x in images[key]] for key in ("mean", "std"))
    return Preprocessing(
        height=images["image_size"],
        width=images["image_size"],
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        colour=images["colour"],
        flip=run.flip,
        resizes=True,
    )


def tasks_of(run: LoadedRun) -> dict[str, str]:
    """For each task of an attribute model the attribute that it predicts."""
    tasks = run.settings.tree["method"].get("tasks") or {}
    return {name: task["attribute"] for name, task in tasks.items()}


def weights_hash(variables: PyTree) -> str:
    """SHA-256 of all weights and their paths, "sha256:..."."""
    state = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        array = np.asarray(leaf)
        head = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n"
        state.update(head.encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{state.hexdigest()}"
