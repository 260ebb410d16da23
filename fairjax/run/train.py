"""The training loop."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from fairjax.config.errors import ConfigError
from fairjax.core.types import PyTree
from fairjax.data.dataset import Dataset
from fairjax.data.stream.pipeline import cache_images, train_batches
from fairjax.run import sharding
from fairjax.run.checkpoint import Checkpoints, lower_is_better, read_weights
from fairjax.run.chips import ChipReport, Trace
from fairjax.run.evaluate import (
    evaluate,
    group_metrics,
    metric_names,
    predict_split,
    validation_metrics,
)
from fairjax.run.plateau import PlateauGuard
from fairjax.run.progress import RunLog
from fairjax.run.recipe import Recipe, make_recipe
from fairjax.run.score import Columns
from fairjax.run.settings import RunSettings
from fairjax.run.state import TrainState, start_from


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
      step: Steps taken.
      finished: False when a signal stopped it early; the state is saved all the same.
      signal_number: Number of the signal that stopped the run, or 0.
      checkpoint: The step whose weights were evaluated; -1 when unfinished.
      parameters: Number of trained parameters.
    """

    step: int
    finished: bool
    signal_number: int
    checkpoint: int
    parameters: int


def train(
    settings: RunSettings, workdir: Path, dataset: Dataset, *, profile_steps: int = 0
) -> RunOutcome:
    """Trains until the schedule ends, from the newest checkpoint if there is one; then evaluates.

    Args:
      settings: The run's, from `build_run`.
      workdir: The run's folder, claimed by the caller.
      dataset: Read, checked and split.
      profile_steps: Number of steps whose trace is written to the folder `profile`; 0 writes none.

    Raises:
      FloatingPointError: If a loss is not finite; names the step, the images and the checkpoint.
    """
    options = settings.train
    examples = dataset.splits["train"]
    steps_per_epoch = len(examples) / options.batch_size
    total_steps = max(1, round(options.epochs * steps_per_epoch))
    evaluate_every = max(1, round(options.evaluate_every * steps_per_epoch))

    mesh = sharding.make_mesh(options.head_shards)
    init_key, train_key = jax.jit(  # jitted, so that the keys are global arrays
        lambda: tuple(jax.random.split(jax.random.key(settings.seed))),
        out_shardings=sharding.replicated(mesh),
    )()
    recipe = make_recipe(
        settings, dataset, mesh, total_steps=total_steps, steps_per_epoch=steps_per_epoch
    )
    method, images = recipe.method, settings.input

    with (
        Checkpoints(
            workdir / "checkpoints",
            keep_last=options.keep_last,
            keep_best=options.keep_best,
            best_metric=options.best_metric,
        ) as checkpoints,
        stop_signals() as stop,
    ):
        require_metric(
            options.best_metric,
            metric_names(
                images,
                method,
                recipe.abstract_state.variables,
                dataset.splits["validation"],
                dataset.pairs.get("validation"),
            ),
        )
        checkpoints.require_room(recipe.abstract_state)
        state, position = first_state(settings, recipe, checkpoints, init_key)
        if position["step"]:
            logging.info("Resumed from step %d of %d.", position["step"], total_steps)
        parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
        logging.info(
            "%s parameters; %d training images; %d steps of %d (%.1f an epoch); %d x %s.",
            f"{parameters:,}",
            len(examples),
            total_steps,
            options.batch_size,
            steps_per_epoch,
            jax.device_count(),
            jax.devices()[0].device_kind,
        )

        start = position["step"]
        with (
            RunLog(
                workdir,
                total_steps=total_steps,
                start_step=start,
                track=options.track,
                writes=jax.process_index() == 0,
                config=settings.tree,
            ) as log,
            Trace(workdir / "profile", after=start, last=total_steps, steps=profile_steps) as trace,
        ):
            batches = train_batches(
                examples,
                batch_size=options.batch_size,
                image_size=images.image_size,
                augment=images.augment,
                second=images.second,
                seed=settings.seed,
                start_step=start,
                balance=images.balanced,
                images_per_class=max(images.images_per_identity, 1),
                cache_mb=images.cache_mb,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            validation = cache_images(  # once, not at every look
                dataset.splits["validation"],
                image_size=images.image_size,
                cache_mb=images.cache_mb,
            )
            window = Window(batches, list(position.get("window", [])))
            plateau = PlateauGuard(method.chance, total_steps=total_steps)
            chips = ChipReport(recipe.step_with_frozen)
            pending, saved_at = None, time.monotonic()
            for step in range(start + 1, total_steps + 1):
                if position["stopped"]:
                    break
                trace.before(step)
                local = next(batches)
                batch = sharding.global_batch(mesh, local)
                frozen = recipe.freezing.frozen_at(step - 1)
                train_step = recipe.step_with_frozen(frozen)
                chips.see(frozen, state, batch, train_key)
                with (
                    window.dispatching(),
                    jax.set_mesh(mesh),
                    jax.transfer_guard("disallow"),
                ):
                    state, scalars = train_step(state, batch, train_key)
                if pending:  # the device works on this step while the host looks at the last one
                    window.add(pending)
                ids = examples.ids[local["index"]]
                pending = Pending(step, scalars, ids, checkpoints.latest_step)
                log.advance(step)

                last, evaluates = step == total_steps, step % evaluate_every == 0
                logs = step % options.log_every == 0 or last
                overdue = time.monotonic() - saved_at > options.checkpoint_every
                halt, overdue = agreed(stop.number, overdue, speak=logs, after=scalars)
                if not (logs or evaluates or halt or overdue):
                    continue
                window.add(pending)  # nothing is logged, compared or saved unchecked
                pending = None
                if logs:
                    means = window.means()
                    plateau.look(step, means)
                    log.scalars(
                        step,
                        "train",
                        {
                            "epoch": step / steps_per_epoch,
                            **means,
                            "learning_rate": float(recipe.schedule(step - 1)),
                            **(speed := window.speed(options.batch_size)),
                            **chips.scalars(speed["images_per_second"] / options.batch_size),
                        },
                    )
                    window = Window(batches)
                window.pause()
                metrics = None
                if evaluates or last:
                    columns = predict_split(settings, validation, mesh, method, state.variables)
                    metrics = log_validation(settings, dataset, columns, log, step=step)
                    position = update_early_stopping(
                        position, metrics, best=options.best_metric, patience=options.patience
                    )
                if evaluates or last or halt or overdue:
                    position = {**position, "step": step, "window": window.steps}
                    checkpoints.save(
                        state,
                        step=step,
                        config=settings.tree,
                        position=position,
                        metrics=metrics,
                    )
                    saved_at = time.monotonic()
                if halt:
                    return RunOutcome(step, False, halt, checkpoint=-1, parameters=parameters)
                window.go_on()

        checkpoints.wait()
        stop.release()  # all is saved: from here on a signal ends the process at once
        chosen = position["step"]
        if settings.eval.weights == "best" and checkpoints.best_step not in (None, chosen):
            chosen = checkpoints.best_step
            state, _ = checkpoints.restore(recipe.abstract_state, step=chosen) or (state, None)
        evaluate(settings, workdir, dataset, method, state.variables)
        return RunOutcome(position["step"], True, 0, checkpoint=chosen, parameters=parameters)


def first_state(
    settings: RunSettings, recipe: Recipe, checkpoints: Checkpoints, key: jax.Array
) -> tuple[TrainState, dict[str, Any]]:
    """What training goes on from: the newest checkpoint, else drawn or given weights.

    Args:
      settings: The run's.
      recipe: What a step is made of.
      checkpoints: The run's; those of an earlier process are read.
      key: Root of the drawn weights.

    Returns:
      The train state, spread over the devices, and the run's position: the step and what early
      stopping knows.

    Raises:
      ConfigError: If the weights of `settings.init` do not fit the network.
    """
    restored = checkpoints.restore(recipe.abstract_state)
    if restored:
        return restored
    state = recipe.create(key)
    if settings.init.run:
        other = read_weights(Path(settings.init.run), channels=settings.init.channels)
        try:
            state = start_from(
                state, other.variables, part=settings.init.part, settings=other.settings
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return state, {"step": 0, "best": None, "stale": 0, "stopped": False}


def log_validation(
    settings: RunSettings,
    dataset: Dataset,
    columns: Columns,
    log: RunLog,
    *,
    step: int,
) -> dict[str, float]:
    """Logs the metrics of the validation split's predictions; trackers get those of groups, too.

    Args:
      settings: The run's.
      dataset: Read, checked and split.
      columns: The split's predictions, one row an image.
      log: The run's.
      step: Steps taken.

    Returns:
      The metrics of the whole split by their names.
    """
    pairs = dataset.pairs.get("validation")
    metrics = validation_metrics(columns, pairs)
    log.scalars(step, "validation", metrics)
    group_by = settings.scoring.settings.group_by
    if settings.train.track and group_by:
        names = dataset.attributes[group_by].values
        log.groups(step, group_metrics(columns, pairs, group_by, names=names))
    return metrics


class Pending(NamedTuple):
    """A step whose scalars are still being computed.

    Attributes:
      step: Number of the step.
      scalars: Scalars on the devices.
      ids: Names of its images.
      saved: Step of the newest checkpoint, if there is one.
    """

    step: int
    scalars: Mapping[str, jax.Array]
    ids: np.ndarray
    saved: int | None


@dataclass
class Window:
    """Scalars and time since the last logged line.

    Attributes:
      batches: The training stream.
      steps: Scalars of each step since that line; a resumed run begins with those of the steps
        before its checkpoint, so that it logs the same means.
    """

    batches: Any
    steps: list[Mapping[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._before = len(self.steps)  # steps of an earlier process
        self._paused = self._dispatching = self._blocked = 0.0
        self._waited = self.batches.waited_s
        self._started = self._since = time.monotonic()

    def pause(self) -> None:
        """Stops the clock, for a validation or a checkpoint."""
        self._since = time.monotonic()

    def go_on(self) -> None:
        """Starts the clock again."""
        self._paused += time.monotonic() - self._since

    @contextmanager
    def dispatching(self) -> Iterator[None]:
        """Takes the time in which a step is handed to the devices; the first one is compiled."""
        started = time.monotonic()
        yield
        self._dispatching += time.monotonic() - started

    def add(self, pending: "Pending") -> None:
        """Takes the scalars of one step, and the time that they are waited for.

        Raises:
          FloatingPointError: If a loss or the gradient is NaN or infinite.
        """
        started = time.monotonic()
        self.steps.append(finite(*pending))
        self._blocked += time.monotonic() - started

    def means(self) -> dict[str, float]:
        """Each scalar's mean over the window's steps that had rows for it."""
        known: dict[str, list[float]] = {}
        for scalars in self.steps:  # the names may change where other code resumes a run
            for name, value in scalars.items():
                known.setdefault(name, []).extend([] if math.isnan(value) else [value])
        return {name: float(np.mean(values)) for name, values in known.items() if values}

    def speed(self, batch_size: int) -> dict[str, float]:
        """Images a second over all devices, and what the time went into.

        Returns:
          `images_per_second`; `waiting_share`, waiting for data, `dispatch_share`, handing steps to
          the devices, and `device_share`, waiting for the devices, each of the time without pauses;
          `paused_seconds`, for validation and checkpoints, where there was a pause.
        """
        elapsed = time.monotonic() - self._started - self._paused
        return {
            "images_per_second": (len(self.steps) - self._before) * batch_size / elapsed,
            "waiting_share": (self.batches.waited_s - self._waited) / elapsed,
            "dispatch_share": self._dispatching / elapsed,
            "device_share": self._blocked / elapsed,
            **({"paused_seconds": self._paused} if self._paused else {}),
        }


def finite(
    step: int, scalars: Mapping[str, jax.Array], ids: np.ndarray, saved: int | None
) -> dict[str, float]:
    """The step's scalars on the host; NaN is one of which the batch had no rows.

    Raises:
      FloatingPointError: If a loss or the gradient is NaN or infinite.
    """
    values = {name: float(value) for name, value in jax.device_get(scalars).items()}
    must_be = [name for name in values if name.endswith("loss") or name == "grad_norm"]
    wrong = [name for name in must_be if not math.isfinite(values[name])]
    if wrong:
        shown = ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
        kept = "there is no checkpoint yet" if saved is None else f"step {saved} is saved"
        raise FloatingPointError(
            f"{', '.join(wrong)} not finite at step {step}; its images: {shown}; {kept}. "
            "Lower config.optim.peak_lr, set config.optim.clip_norm, or look at these images."
        )
    return values


def require_metric(best: str, known: Sequence[str]) -> None:
    """Refuses, before the first step, to watch a metric that will not be measured.

    Raises:
      ConfigError: Names those that will.
    """
    if best not in known:
        raise ConfigError(
            f"config.train.best_metric={best!r} is not measured; choose from: {', '.join(known)}."
        )


def update_early_stopping(
    position: Mapping[str, Any], metrics: Mapping[str, float], *, best: str, patience: int
) -> dict[str, Any]:
    """Early stopping after a look at the validation split.

    Returns:
      The position with the best value so far, the number of looks since then, and whether to stop.
    """
    value, previous = metrics[best], position["best"]
    better = previous is None or (value < previous if lower_is_better(best) else value > previous)
    stale = 0 if better else position["stale"] + 1
    return {
        **position,
        "best": value if better else previous,
        "stale": stale,
        "stopped": 0 < patience <= stale,
    }


class StopRequest:
    """A signal's wish that the run end.

    Attributes:
      number: The signal that asked for it; 0 while none has.
      release: Gives the signals back to whom they belonged before.
    """

    number = 0
    release: Callable[[], None]


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Turns SIGINT, SIGTERM and SIGHUP into a request; a second one ends the process at once.

    A SIGHUP that is ignored, as under nohup, stays so.
    """
    request = StopRequest()
    signals = [
        signal.SIGINT,
        signal.SIGTERM,
        *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
    ]
    previous = {number: signal.getsignal(number) for number in signals}

    def ask(number: int, frame: FrameType | None) -> None:
        logging.warning("Signal %d: saving, then leaving.", number)
        request.number = number
        release()

    def release() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    request.release = release
    for number in signals:
        if previous[number] is not signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield request
    finally:
        release()


def agreed(halt: int, overdue: bool, *, speak: bool, after: PyTree) -> tuple[int, bool]:
    """Whether any process wants to halt or save; several processes speak only when all `speak`.

    They do so `after` these arrays are there: two programs with collectives under way at once can
    wait for each other for ever.
    """
    if jax.process_count() == 1:
        return halt, overdue
    if not speak:
        return 0, False
    jax.block_until_ready(after)
    flags = multihost_utils.process_allgather(np.array([halt, overdue], np.int32))
    return int(flags[:, 0].max()), bool(flags[:, 1].max())
