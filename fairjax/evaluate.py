"""From weights to predictions, on all devices."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh
from ml_collections import ConfigDict

from fairjax import sharding
from fairjax.data.dataset import Dataset, Examples
from fairjax.data.pipeline import eval_batches
from fairjax.score import Columns, write_predictions
from fairjax.steps import make_predict_step
from fairjax.types import Batch, Method, PyTree


def predict_split(
    config: ConfigDict, examples: Examples, mesh: Mesh, method: Method, variables: PyTree
) -> Columns:
    """Runs the model over a split, on all devices.

    Returns:
      Columns with one row an example, in the split's order: "id", "cluster", every label, and what
      `Method.predict` names.
    """
    predict_step = _compiled_predict_step(method, mesh)
    parts: list[Columns] = [
        jax.device_get(predict_step(variables, sharding.global_batch(mesh, local)))
        for local in eval_batches(
            examples,
            batch_size=config.eval.batch_size,
            image_size=config.input.image_size,
            cache_mb=config.input.cache_mb,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    real = joined.pop("mask")
    order = np.argsort(joined.pop("index")[real])
    outputs = {name: column[real][order] for name, column in joined.items()}
    return {
        "id": examples.ids,
        "cluster": examples.cluster,
        **{name: np.asarray(label) for name, label in examples.labels.items()},
        **outputs,
    }


@functools.cache  # one compilation a run, not one a look at the validation split
def _compiled_predict_step(
    method: Method, mesh: Mesh
) -> Callable[[PyTree, Batch], dict[str, jax.Array]]:
    whole = sharding.replicated(mesh)
    return jax.jit(
        make_predict_step(method),
        in_shardings=(whole, sharding.by_batch(mesh)),
        out_shardings=whole,
    )


def metric_names(
    method: Method, variables: PyTree, examples: Examples, image_size: int
) -> list[str]:
    """What `validation_metrics` will measure, from shapes alone."""
    batch = {
        "image": jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.uint8),
        "mask": jax.ShapeDtypeStruct((1,), bool),
        **{
            name: jax.ShapeDtypeStruct((1,), label.dtype) for name, label in examples.labels.items()
        },
    }
    shapes = jax.eval_shape(method.predict, variables, batch)
    columns = {name: np.zeros(shape.shape) for name, shape in shapes.items()}
    return list(validation_metrics({**columns, **{n: np.zeros(1) for n in examples.labels}}))


def validation_metrics(columns: Columns) -> dict[str, float]:
    """Point values to watch while training: every mean loss, `<x>_mae` and `<x>_accuracy`."""
    metrics = {}
    for name, column in columns.items():
        kind, _, attribute = name.partition("_")
        if kind == "loss":
            metrics[f"{attribute}_loss" if attribute else "loss"] = float(np.mean(column))
        elif kind == "pred" and attribute in columns:
            metrics[f"{attribute}_mae"] = float(np.mean(np.abs(column - columns[attribute])))
        elif kind == "prob" and attribute in columns:
            metrics[f"{attribute}_accuracy"] = float(
                np.mean(np.argmax(column, axis=-1) == columns[attribute])
            )
    return metrics


def evaluate(
    config: ConfigDict, workdir: Path, dataset: Dataset, method: Method, variables: PyTree
) -> None:
    """Predicts the test split with the given weights and saves the predictions."""
    logging.info("Evaluating on %d test images.", len(dataset.splits["test"]))
    mesh = sharding.make_mesh()
    columns = predict_split(config, dataset.splits["test"], mesh, method, variables)
    if jax.process_index() == 0:
        write_predictions(workdir / "predictions.npz", columns)
