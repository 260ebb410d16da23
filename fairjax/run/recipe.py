"""What a run is made of before anything is allocated: method, optimiser, state's shapes, step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from absl import logging
from jax.sharding import Mesh
from ml_collections import ConfigDict

from fairjax.core.types import Method, PyTree
from fairjax.data.dataset import Dataset
from fairjax.optim.freeze import Plan, held
from fairjax.run import sharding
from fairjax.run.build import build_freezing, build_method, build_optimizer, build_schedule
from fairjax.run.state import TrainState, init_state
from fairjax.run.steps import make_train_step


@dataclass(frozen=True)
class Recipe:
    """A run's parts.

    Attributes:
      method: What is optimised.
      schedule: Steps taken -> learning rate.
      plan: Which parts are held still at which step.
      create: `key -> state`, a fresh one.
      born: Its shapes.
      places: How each of its arrays lies on the mesh.
      step_while: `parts -> step`, compiled when it is called: `(state, batch, key) -> (state,
        scalars)` while these parts are held still. The state is donated.
    """

    method: Method
    schedule: optax.Schedule
    plan: Plan
    create: Callable[[jax.Array], TrainState]
    born: TrainState
    places: PyTree
    step_while: Callable[[tuple[str, ...]], jax.stages.Wrapped]


def make_recipe(
    config: ConfigDict, dataset: Dataset, mesh: Mesh, *, total_steps: int, steps_per_epoch: float
) -> Recipe:
    """The parts that the config names.

    Raises:
      ConfigError: If they do not fit each other or the data.
    """
    settings = config.train
    method = build_method(config, dataset)
    schedule = build_schedule(config, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    plan = build_freezing(config, steps_per_epoch=steps_per_epoch)
    size = config.input.image_size
    blank = {"image": jnp.zeros((1, size, size, 3), jnp.uint8)}  # only its shape matters
    key = jax.eval_shape(lambda: jax.random.key(0))
    tx = build_optimizer(config, schedule, plan, jax.eval_shape(method.init, key, blank)[0])
    create = functools.partial(init_state, method, tx, batch=blank, averaged=settings.ema_decay > 0)
    born = jax.eval_shape(create, key)
    places = sharding.by_part(mesh, born, method.split)
    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)

    @functools.cache  # one compilation for each set of parts that are held still together
    def step_while(still: tuple[str, ...]) -> jax.stages.Wrapped:
        logging.info("Held still: %s.", ", ".join(still) or "nothing")
        return jax.jit(
            make_train_step(
                held(method, still),
                tx,
                accumulate=settings.accumulate,
                ema_decay=settings.ema_decay,
            ),
            in_shardings=(places, by_batch, whole),  # state, batch, key
            out_shardings=(places, whole),  # state, scalars
            donate_argnums=0,
        )

    return Recipe(method, schedule, plan, create, born, places, step_while)
