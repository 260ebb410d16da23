"""Tiny runs of several kinds, on any mesh: of one process, or of the processes of a run.

`python tests/several_processes.py FOLDER KIND,KIND FLAGS` is `python -m fairjax.main FLAGS`, but
for this: once the processes have met, they train these kinds, and leave losses and a checkpoint of
each.
"""

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app
from every_entry import ROWS, batch, settings_of_method, tiny_dataset, with_sgd
from jax.sharding import AxisType, Mesh

from fairjax import main as door
from fairjax.core.types import DATA_AXIS, MODEL_AXIS
from fairjax.run import sharding
from fairjax.run.checkpoint import Checkpoints
from fairjax.run.recipe import Recipe, make_recipe
from fairjax.run.state import TrainState

KINDS = ("fpr_penalty", "adversarial_removal")
MORE_KINDS = ("masked_autoencoder", "time_frequency")  # in the exhaustive tests
STEPS, SAVED = 4, 2  # how many are taken, and after how many a checkpoint is written
_SHARDED = {"method.head.name": "sharded"}


def shards_of(kind: str, devices: int) -> int:
    """Number of devices that share the class weights: the head with the penalty is split."""
    return min(2, devices) if kind == "fpr_penalty" else 1


def mesh_of(kind: str, devices: int) -> Mesh:
    """The mesh of `sharding.make_mesh` on the first so many devices."""
    shards = shards_of(kind, devices)
    return jax.make_mesh(
        (devices // shards, shards),
        (DATA_AXIS, MODEL_AXIS),
        axis_types=(AxisType.Auto,) * 2,
        devices=jax.devices()[:devices],
    )


@functools.cache
def recipe_of(kind: str, mesh: Mesh) -> Recipe:
    """The recipe of a tiny run with SGD."""
    changes = _SHARDED if kind == "fpr_penalty" else {}
    settings = settings_of_method(kind, changes=tuple(changes.items()))
    train = dataclasses.replace(settings.train, head_shards=mesh.shape[MODEL_AXIS])
    settings = dataclasses.replace(settings, train=train)
    return make_recipe(
        with_sgd(settings), tiny_dataset(), mesh, total_steps=100, steps_per_epoch=1.0
    )


def train(
    kind: str, devices: int, state: TrainState | None = None, *, turn: Path | None = None
) -> Iterator[tuple[int, float, TrainState]]:
    """Number, loss and state of each step up to STEPS, from a fresh state or from another one.

    The next step takes the state that it is given.

    Args:
      kind: One of KINDS or MORE_KINDS.
      devices: Number of devices, of all processes together.
      state: State to resume from; None makes one.
      turn: File that process 0 writes when it has compiled its programs. The others wait for it,
        and find the programs in the cache.
    """
    mesh = mesh_of(kind, devices)
    recipe = recipe_of(kind, mesh)
    mine = ROWS // jax.process_count()
    rows = slice(jax.process_index() * mine, (jax.process_index() + 1) * mine)

    def global_rows(number: int) -> dict[str, jax.Array]:
        local = {name: column[rows] for name, column in batch(number).items()}
        return dict(sharding.global_batch(mesh, local))

    key = jax.jit(lambda: jax.random.key(7), out_shardings=sharding.replicated(mesh))()
    while turn and jax.process_index() > 0 and not turn.exists():
        time.sleep(0.1)
    with jax.set_mesh(mesh):
        create = recipe.create.lower(key).compile() if state is None else None
        step = recipe.step_with_frozen(()).lower(recipe.abstract_state, global_rows(0), key)
        step = step.compile()
    if turn and jax.process_index() == 0:
        turn.touch()
    state = create(key) if create else state
    for number in range(int(state.step), STEPS):
        with jax.set_mesh(mesh):
            state, scalars = step(state, global_rows(number), key)
        yield number + 1, float(scalars["loss"]), state


def saved(folder: Path) -> Checkpoints:
    """The checkpoints of one kind."""
    return Checkpoints(folder, keep_last=1, keep_best=0, best_metric="loss")


def train_kinds(folder: Path, kinds: Sequence[str]) -> None:
    """Trains each kind on all devices of all processes; process 0 writes the losses."""
    losses: dict[str, list[float]] = {}
    for kind in kinds:
        losses[kind] = []
        with saved(folder / kind) as checkpoints:
            turn = folder / f"{kind}.compiled"
            for number, loss, state in train(kind, jax.device_count(), turn=turn):
                losses[kind].append(loss)
                if number == SAVED:
                    checkpoints.save(state, step=number, config={}, position={}, metrics=None)
                    checkpoints.wait()
    if jax.process_index() == 0:
        (folder / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    folder, kinds = Path(sys.argv.pop(1)), sys.argv.pop(1).split(",")
    join = door.join_processes

    def join_and_train(*arguments: Any, **more: Any) -> None:
        """In the place of `fairjax.main.join_processes`."""
        join(*arguments, **more)
        np.testing.assert_equal(jax.process_count(), 2)
        train_kinds(folder, kinds)

    door.join_processes = join_and_train
    app.run(door.guarded, flags_parser=door.parse)
