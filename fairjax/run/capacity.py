"""What a run asks of each device, from shapes and the compiled step; and how long a step takes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from fairjax.config.errors import ConfigError
from fairjax.core.settings import InputSettings
from fairjax.core.types import PyTree
from fairjax.data.dataset import Attribute, Dataset, Examples
from fairjax.optim.freeze import name_of
from fairjax.run import sharding
from fairjax.run.prepare import abstract_batch
from fairjax.run.recipe import Recipe, make_recipe
from fairjax.run.settings import RunSettings

_LONGEST_S = 10.0  # of the timed steps together


@dataclass(frozen=True)
class Share:
    """Some arrays of the train state.

    Attributes:
      numbers: Count of numbers in them, over all devices.
      bytes: Bytes of them on each device.
    """

    numbers: int
    bytes: int


@dataclass(frozen=True)
class Capacity:
    """What a run asks of each device.

    Attributes:
      head: The class weights of a margin loss; no numbers where there are none.
      rest: All other parameters.
      head_state: What the optimiser keeps of `head`, and its moving average.
      rest_state: What it keeps of `rest`, and running statistics.
      steps: For each batch size that was looked at, the bytes of a device in a step.
      largest: The largest batch whose step fits; 0 where none does.
    """

    head: Share
    rest: Share
    head_state: Share
    rest_state: Share
    steps: dict[int, int]
    largest: int


def measure(
    settings: RunSettings, dataset: Dataset, *, limit: int, look: Callable[[int], None]
) -> Capacity:
    """Compiles the step for the run's batch and a few others.

    Args:
      settings: The run's, from `build_run`.
      dataset: Read, or a `stand_in`.
      limit: Bytes of a device.
      look: Called with each batch size before its step is compiled.

    Raises:
      ValueError: If method, optimiser, batch and data do not fit each other.
    """
    mesh = sharding.make_mesh(settings.train.head_shards)
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=1000.0)
    steps: dict[int, int] = {}

    def bytes_of(batch: int) -> int:
        if batch not in steps:
            look(batch)
            steps[batch] = step_bytes(
                settings.input, recipe, dataset.splits["train"], mesh, batch=batch
            )
        return steps[batch]

    unit = jax.device_count() * settings.train.accumulate
    largest = largest_batch(bytes_of, first=settings.train.batch_size, unit=unit, limit=limit)
    return Capacity(*shares(recipe), steps=steps, largest=largest)


def bytes_of_run(settings: RunSettings, dataset: Dataset) -> int:
    """Bytes of each device in a step of the run's own batch; compiles one program.

    Args:
      settings: The run's, from `build_run`.
      dataset: Read, or a `stand_in`.

    Raises:
      ValueError: If method, optimiser, batch and data do not fit each other.
    """
    mesh = sharding.make_mesh(settings.train.head_shards)
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=1000.0)
    rows = settings.train.batch_size
    return step_bytes(settings.input, recipe, dataset.splits["train"], mesh, batch=rows)


def stand_in(settings: RunSettings, classes: int) -> Dataset:
    """A dataset of so many people and no image, for the shapes of a method that tells people apart.

    Raises:
      ConfigError: If the method has no class weights.
    """
    label = settings.class_label
    if not label:
        raise ConfigError(
            f"--classes is for methods with a class a person; config.method.name="
            f"{settings.method!r} learns what the data has: leave --classes out."
        )
    nobody = np.zeros(0, np.int32)
    names = tuple(map(str, range(classes)))
    people = Attribute(names, low=0, high=classes - 1, unit="", assigned_by="")
    train = Examples(
        nobody.astype(str), {label: nobody}, nobody.astype(np.int64), lambda rows: rows
    )
    return Dataset(settings.scoring.dataset, {label: people}, {"train": train}, {})


def step_bytes(
    settings: InputSettings, recipe: Recipe, examples: Examples, mesh: Mesh, *, batch: int
) -> int:
    """Bytes of each device while a step runs: state, batch, gradients and workspace.

    Raises:
      ValueError: If the backend cannot say.
    """
    return device_bytes(compile_step(settings, recipe, examples, mesh, batch=batch))


def compile_step(
    settings: InputSettings, recipe: Recipe, examples: Examples, mesh: Mesh, *, batch: int
) -> jax.stages.Compiled:
    """The program of a training step on a batch of so many rows; nothing is allocated."""

    def spread(shapes: PyTree, place: NamedSharding) -> PyTree:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
        )

    rows = spread(abstract_batch(settings, examples, rows=batch), sharding.by_batch(mesh))
    key = spread(jax.eval_shape(lambda: jax.random.key(0)), sharding.replicated(mesh))
    step = recipe.step_with_frozen(recipe.freezing.always)
    with jax.set_mesh(mesh):
        return step.lower(recipe.abstract_state, rows, key).compile()


def device_bytes(program: jax.stages.Compiled) -> int:
    """Bytes of each device while a program runs: arguments, results and workspace.

    Raises:
      ValueError: If the backend cannot say.
    """
    memory = program.memory_analysis()
    if memory is None:
        raise ValueError(f"{jax.default_backend()} does not say what memory a program needs.")
    return int(
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes  # of the state, which is donated
        + memory.temp_size_in_bytes
    )


def time_step(settings: RunSettings, dataset: Dataset, *, repeats: int = 5) -> float:
    """Seconds of a training step on the devices at hand, the median of some after a warm-up.

    The state is allocated and trained on random pixels; nothing is read and nothing is kept.

    Args:
      settings: The run's, from `build_run`.
      dataset: Read, or a `stand_in`.
      repeats: Steps that are timed; fewer where they take more than ten seconds together.
    """
    mesh = sharding.make_mesh(settings.train.head_shards)
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=1000.0)
    rows = settings.train.batch_size
    shapes = abstract_batch(settings.input, dataset.splits["train"], rows=rows)
    drawn = np.random.default_rng(0)
    local = {
        name: drawn.integers(256, size=x.shape, dtype=np.uint8)
        if x.ndim > 1
        else np.full(x.shape, name == "mask", x.dtype)
        for name, x in shapes.items()
    }
    batch = sharding.global_batch(mesh, local)
    key = jax.jit(lambda: jax.random.key(1), out_shardings=sharding.replicated(mesh))()
    state, step = recipe.create(key), recipe.step_with_frozen(recipe.freezing.always)
    seconds: list[float] = []
    with jax.set_mesh(mesh):
        while len(seconds) < repeats + 1 and sum(seconds[1:]) < _LONGEST_S:
            started = time.perf_counter()
            state, scalars = step(state, batch, key)
            jax.block_until_ready((state, scalars))
            seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def largest_batch(bytes_of: Callable[[int], int], *, first: int, unit: int, limit: int) -> int:
    """The largest multiple of `unit` found to fit; 0 where one unit does not.

    Memory is close to linear in the batch, so the line through two sizes says where to look next,
    until it says nothing new; what is returned has been compiled.

    Args:
      bytes_of: Batch size -> bytes of a device; compiles a step.
      first: The batch to begin with, a multiple of `unit`.
      unit: Rows are shared out by so many.
      limit: Bytes of a device.
    """
    sizes = [first, 2 * first]
    for _ in range(4):
        (few, low), (many, high) = ((n, bytes_of(n)) for n in sorted(sizes[-2:]))
        slope = max(1.0, (high - low) / (many - few))
        guess = max(unit, int(few + (limit - low) / slope) // unit * unit)
        fits = [n for n in sizes if bytes_of(n) <= limit]
        if guess in sizes or (fits and guess <= 1.02 * max(fits)):
            break
        sizes.append(guess)
    return max((n for n in sizes if bytes_of(n) <= limit), default=0)


def shares(recipe: Recipe) -> tuple[Share, Share, Share, Share]:
    """The head's weights and all others; what the optimiser and an average keep of either."""
    totals = [[0, 0] for _ in range(4)]
    for path, leaf in jax.tree_util.tree_leaves_with_path(recipe.abstract_state):
        name = name_of(path)
        of_head = any(name.endswith(f"/{part}") for part in recipe.method.split)
        number = 2 * (not name.startswith("params/")) + (not of_head)
        totals[number][0] += leaf.size
        shard = leaf.sharding.shard_shape(leaf.shape)
        totals[number][1] += math.prod(shard) * leaf.dtype.itemsize
    head, rest, head_state, rest_state = (Share(*pair) for pair in totals)
    return head, rest, head_state, rest_state
