"""A run's folder without training: fresh weights of a tiny model, saved as a run saves them."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from every_entry import ROWS, tiny_dataset, tiny_settings

from fairjax.run import prepare
from fairjax.run.checkpoint import Checkpoints
from fairjax.run.loading import MODEL_FILE, describe_model
from fairjax.run.state import TrainState

POSITION = {"step": 0, "best": None, "stale": 0, "stopped": False}


def write_run(
    folder: Path, method: str, backbone: str, *, finished: bool = True, averaged: bool = False
) -> Any:
    """Writes the folder; returns the method, its variables that count, and the step's number."""
    settings, dataset = tiny_settings(method, backbone), tiny_dataset()
    made = prepare.make_method(settings, dataset)
    batch = prepare.abstract_batch(settings.input, dataset.splits["train"], rows=ROWS)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)
    params, model_state = jax.jit(made.init)(jax.random.key(1), zeros)
    average = {"params": jax.tree.map(lambda x: x * 1.5, params), **model_state}
    state = TrainState(
        np.int32(7), params, model_state, {"count": np.int32(7)}, average if averaged else None
    )
    folder.mkdir(parents=True)
    write = {
        "config.json": settings.tree,
        MODEL_FILE: describe_model(settings, dataset),
        **({"outcome.json": {"step": 7, "evaluated_step": 7}} if finished else {}),
    }
    for name, tree in write.items():
        (folder / name).write_text(json.dumps(tree))
    if finished:
        np.savez(folder / "predictions.npz", id=np.array(["a"]), cluster=np.array([0]))
    with Checkpoints(
        folder / "checkpoints", keep_last=1, keep_best=0, best_metric="loss"
    ) as checkpoints:
        checkpoints.save(state, step=7, config=settings.tree, position=POSITION, metrics=None)
        checkpoints.wait()
    return made, state.variables
