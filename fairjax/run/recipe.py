"""What a run is made of before anything is allocated: method, optimiser, state's shapes, step."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from absl import logging
from jax.sharding import Mesh

from fairjax import optim
from fairjax.config.errors import ConfigError
from fairjax.core.settings import OptimSettings
from fairjax.core.types import Method, PyTree
from fairjax.data.dataset import Dataset
from fairjax.optim.freeze import FreezeSchedule, freeze_parts
from fairjax.run import sharding
from fairjax.run.checkpoint import abstract_state
from fairjax.run.prepare import make_method
from fairjax.run.settings import RunSettings
from fairjax.run.state import TrainState, init_state
from fairjax.run.steps import make_train_step


@dataclass(frozen=True)
class Recipe:
    """The parts of a run.

    Attributes:
      method: What is optimised.
      schedule: Steps taken -> learning rate.
      freezing: Which parts are frozen at which step.
      create: `key -> state`, a fresh one on the mesh; compiled when it is called.
      abstract_state: Shapes, dtypes and shardings of the train state.
      shardings: How each of its arrays lies on the mesh.
      step_with_frozen: `parts -> step`, compiled when it is called: `(state, batch, key) -> (state,
        scalars)` while these parts are frozen. The state is donated.
    """

    method: Method
    schedule: optax.Schedule
    freezing: FreezeSchedule
    create: jax.stages.Wrapped
    abstract_state: TrainState
    shardings: PyTree
    step_with_frozen: Callable[[tuple[str, ...]], jax.stages.Wrapped]


def make_recipe(
    settings: RunSettings, dataset: Dataset, mesh: Mesh, *, total_steps: int, steps_per_epoch: float
) -> Recipe:
    """The parts that the settings name.

    Raises:
      ConfigError: If they do not fit each other or the data.
    """
    method, train = make_method(settings, dataset), settings.train
    schedule = settings.make_schedule(
        peak_lr=settings.optim.peak_lr, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )
    freezing = make_freezing(settings.optim, steps_per_epoch=steps_per_epoch)
    size = settings.input.image_size
    blank = {"image": jnp.zeros((1, size, size, 3), jnp.uint8)}  # only its shape matters
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(method.init, key, blank)[0]
    tx = make_optimizer(settings, schedule, freezing, params, method.own_optimizers)
    create = functools.partial(init_state, method, tx, batch=blank, averaged=train.ema_decay > 0)
    shapes = jax.eval_shape(create, key)
    shardings = sharding.state_shardings(
        mesh, shapes, method.split, shard_optimizer=train.shard_optimizer
    )
    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)

    @functools.cache  # one compilation for each set of parts that are frozen together
    def step_with_frozen(parts: tuple[str, ...]) -> jax.stages.Wrapped:
        logging.info("Frozen: %s.", ", ".join(parts) or "nothing")
        return jax.jit(
            make_train_step(
                freeze_parts(method, parts),
                tx,
                accumulate=train.accumulate,
                ema_decay=train.ema_decay,
                steps_per_epoch=steps_per_epoch,
            ),
            in_shardings=(shardings, by_batch, whole),  # state, batch, key
            out_shardings=(shardings, whole),  # state, scalars
            donate_argnums=0,
        )

    return Recipe(
        method,
        schedule,
        freezing,
        jax.jit(create, out_shardings=shardings, compiler_options=_compiled_quickly()),
        abstract_state(shapes, shardings),
        shardings,
        step_with_frozen,
    )


def _compiled_quickly() -> dict[str, int] | None:
    """Options for a program that runs once: XLA's CPU backend takes 25 s for a ResNet-50's."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def make_freezing(settings: OptimSettings, *, steps_per_epoch: float) -> FreezeSchedule:
    """Which parts are frozen at which step."""
    release = settings.unfreeze
    starts = [
        round(released * release.every_epochs * steps_per_epoch)
        for released in range(1, len(release.parts) + 1)
    ]
    return FreezeSchedule(settings.freeze, release.parts, tuple(starts))


def make_optimizer(
    settings: RunSettings,
    schedule: optax.Schedule,
    freezing: FreezeSchedule,
    params: PyTree,
    own: Mapping[str, Callable[[optax.Schedule], optax.GradientTransformation]],
) -> optax.GradientTransformation:
    """The optax chain: clipping, decay, momentum, rate; layers apart, and frozen parts.

    Args:
      settings: The run's.
      schedule: Steps taken -> learning rate.
      freezing: Which parts are frozen at which step.
      params: The parameters' shapes.
      own: Optimisers of parts that the run's leaves alone; see `Method.own_optimizers`.

    Raises:
      ConfigError: If the parameters have no such layers or parts.
    """
    optimisation = settings.optim

    def make(rate: optax.Schedule) -> optax.GradientTransformation:
        return settings.make_optimizer(
            lr=rate,
            weight_decay=optimisation.weight_decay,
            mask=functools.partial(optim.decay_mask, norms=optimisation.decay_norms),
        )

    try:
        tx = optim.released(
            make,
            schedule,
            params,
            parts=freezing.parts,
            starts=freezing.starts,
            factor=optimisation.unfreeze.factor,
        )
        tx = optim.clipped(tx, clip_norm=optimisation.clip_norm)
        tx = optim.layer_decayed(tx, params, factor=optimisation.layer_decay)
        tx = optim.frozen(tx, params, parts=freezing.always)
        return optim.with_own_optimizers(tx, schedule, params, own=own)
    except ValueError as error:
        raise ConfigError(str(error)) from error
