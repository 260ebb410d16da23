"""What does an accelerator make of our training steps: times, MFU, and what each option costs?

Whole training steps as a config builds them (forward, backward, optimiser), on random images that
already lie on the devices, and beside them the input pipeline and attention alone. Variants that
are compared are timed turn by turn. MFU: operations of the program before XLA optimises it, over
time and the chip's peak in bfloat16; see `fairjax.run.chips`, also for what the count leaves out.

Prints a JSON line for each row, then all rows as a table, then each aim and whether it was met.
With --tiny the names are those of the steps that small models stand in for.

Run: benchmarks/accelerator.sh            # under eight minutes on one GPU
     benchmarks/accelerator.sh --tiny     # on a CPU, to see that all of it runs
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from fairjax.config import load, validate, vit
from fairjax.core.results import Table
from fairjax.data.dataset import Dataset
from fairjax.models.layers.attention import attention, attention_with_weights
from fairjax.report import print_tables
from fairjax.run import capacity, sharding
from fairjax.run.build import build_run
from fairjax.run.chips import peak_flops, step_flops
from fairjax.run.prepare import abstract_batch
from fairjax.run.recipe import make_recipe

WARM_UP = 3
MANY = 1_000_000  # classes


@dataclass(frozen=True)
class Row:
    """One measured program.

    Attributes:
      name: What was run.
      images: Images of a call; 0 where there are none.
      seconds: Time of each timed call.
      flops: Operations of a call; None where they are not counted.
      peak: Operations a second of all chips in use; None where the chip is not known.
    """

    name: str
    images: int
    seconds: tuple[float, ...]
    flops: float | None
    peak: float | None

    @property
    def median(self) -> float:
        """Middle of the times, in seconds."""
        return float(np.median(self.seconds))

    @property
    def mfu(self) -> float | None:
        """Share of the peak, 0 to 1; None where either side is not known."""
        return None if not self.flops or not self.peak else self.flops / self.median / self.peak


@dataclass(frozen=True)
class Aim:
    """A bound on a measured number.

    Attributes:
      name: What is measured.
      value: What came out; None where it cannot be said.
      bound: What it should be at most, or at least.
      at_most: Which of the two.
    """

    name: str
    value: float | None
    bound: float
    at_most: bool

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        if self.value is None:
            return f"{self.name}: not known here (aim {sign} {self.bound:g})"
        met = self.value <= self.bound if self.at_most else self.value >= self.bound
        verdict = "met" if met else "MISSED"
        return f"{self.name}: {self.value:.3f} (aim {sign} {self.bound:g}) {verdict}"


def timed(programs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each call, called in turn after a warm-up, waiting for each result."""
    for program in programs.values():
        for _ in range(WARM_UP):
            jax.block_until_ready(program())
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            seconds[name].append(time.perf_counter() - start)
    return {name: tuple(values) for name, values in seconds.items()}


def training_step(config: ConfigDict, *, batch: int, classes: int) -> tuple[Callable, float | None]:
    """One step of the config's training that keeps its state, and its operations.

    Args:
      config: A run's config.
      batch: Images of a step.
      classes: People to tell apart; 0 where the config's generated data say what is learned.
    """
    config.train.update(batch_size=batch, accumulate=1)
    validate(config)
    settings = build_run(config)
    dataset: Dataset = (
        capacity.stand_in(settings, classes) if classes else settings.data.load(seed=settings.seed)
    )
    mesh = sharding.make_mesh(settings.train.head_shards)
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=100.0)
    state = recipe.create(jax.random.key(0))
    rows = sharding.global_batch(mesh, random_batch(settings.input, dataset, batch))
    key = jax.device_put(jax.random.key(1), sharding.replicated(mesh))
    step = recipe.step_with_frozen(recipe.freezing.frozen_at(0))
    with jax.set_mesh(mesh):
        flops = step_flops(step, recipe.abstract_state, rows, key)

    def run() -> Any:
        nonlocal state
        with jax.set_mesh(mesh):
            state, scalars = step(state, rows, key)
        return scalars

    return run, flops


def random_batch(settings: Any, dataset: Dataset, batch: int) -> dict[str, np.ndarray]:
    """Random images and labels in the shapes of a training batch."""
    rng = np.random.default_rng(0)
    columns = {}
    for name, shape in abstract_batch(settings, dataset.splits["train"], rows=batch).items():
        if name in dataset.attributes:
            attribute = dataset.attributes[name]
            values = rng.integers(attribute.low, attribute.high + 1, shape.shape)
        elif name == "mask":
            values = np.ones(shape.shape, bool)
        else:
            values = rng.integers(0, 256, shape.shape)
        columns[name] = values.astype(shape.dtype)
    return columns


def attribute_config(name: str, tiny: bool) -> ConfigDict:
    """A UTKFace config on generated faces of the study's size; small when tiny."""
    config = load(f"{name}:smoke")
    if not tiny:
        full = load(name)
        for key in ("compute_dtype", "backbone", "optim"):
            config[key] = full[key]
        if name.endswith("mae"):
            config.method = full.method
        config.input.image_size = 224
        config.data.update(image_size=224)
    return config


def recognition_config(tiny: bool, **options: Any) -> ConfigDict:
    """A margin config at 112 pixels; small when tiny."""
    words = ",".join(f"{name}={value}" for name, value in options.items())
    config = load(f"recognition/margin:{words}" + (",smoke" if tiny else ""))
    config.method.head.name = "streamed"
    return config


def measure_steps(tiny: bool, repeats: int, peak: float | None) -> dict[str, Row]:
    """All training steps; those whose ratio is an aim are timed turn by turn."""
    batch, people, many = (8, 64, 512) if tiny else (256, 28_000, MANY)
    base = {} if tiny else {"backbone": vit("base")}
    mae = {} if tiny else {"backbone": vit("base", positions="sincos")}
    families: list[dict[str, tuple[ConfigDict, int]]] = [
        {"ViT-B/16 classifier, 224 px": (changed(attribute_config("utkface/vit", tiny), base), 0)},
        {"MAE-B/16, 224 px": (changed(attribute_config("utkface/mae", tiny), mae), 0)},
        {"ResNet-50, 224 px": (attribute_config("utkface/resnet50", tiny), 0)},
        {"IResNet-100, CosFace": (recognition_config(tiny, method="cosface", depth=100), people)},
        {
            f"IResNet-50, CosFace, {n:,} classes": (
                recognition_config(tiny, method="cosface", depth=50),
                n,
            )
            for n in (people, many)
        },
        {
            f"IResNet-34, {method}": (recognition_config(tiny, method=method, depth=34), people)
            for method in ("cosface", "fpr_penalty")
        },
    ]
    rows = {}
    for family in families:
        programs, counts = {}, {}
        for name, (config, classes) in family.items():
            programs[name], counts[name] = training_step(config, batch=batch, classes=classes)
        for name, seconds in timed(programs, repeats).items():
            rows[name] = show(Row(name, batch, seconds, counts[name], peak))
        del programs
        jax.clear_caches()
    return rows


def changed(config: ConfigDict, sections: Mapping[str, ConfigDict]) -> ConfigDict:
    """The config with other sections."""
    for name, section in sections.items():
        config[name] = section
    return config


def measure_attention(tiny: bool, repeats: int, peak: float | None) -> dict[str, Row]:
    """Forward and backward of attention alone, as the models call it and with explicit weights."""
    shape = (2, 17, 2, 8) if tiny else (256, 197, 12, 64)
    q, k, v = (
        jax.random.normal(jax.random.key(i), shape, jnp.float32 if tiny else jnp.bfloat16)
        for i in range(3)
    )
    forms = {
        "attention, as the models call it": attention,
        "attention, explicit weights": lambda *qkv: attention_with_weights(*qkv)[0],
    }
    programs, counts = {}, {}
    for name, form in forms.items():
        grad = jax.jit(jax.grad(lambda *qkv, form=form: form(*qkv).sum(), argnums=(0, 1, 2)))
        programs[name], counts[name] = lambda grad=grad: grad(q, k, v), step_flops(grad, q, k, v)
    return {
        name: show(Row(name, shape[0], seconds, counts[name], peak))
        for name, seconds in timed(programs, repeats).items()
    }


def measure_pipeline(tiny: bool, repeats: int) -> dict[str, Row]:
    """Batches of 112-pixel images as a margin training draws them, decoded images in memory."""
    from fairjax.data.stream.pipeline import train_batches

    batch = 8 if tiny else 256
    config = load("recognition/margin:smoke")
    config.input.image_size = 32 if tiny else 112
    config.data.update(image_size=config.input.image_size, identities=104 if tiny else 400)
    validate(config)
    settings = build_run(config)
    dataset = settings.data.load(seed=0)
    batches = train_batches(
        dataset.splits["train"],
        batch_size=batch,
        image_size=settings.input.image_size,
        augment=settings.input.augment,
        second=settings.input.second,
        seed=0,
        start_step=0,
        balance="",
        cache_mb=settings.input.cache_mb,
        process_index=0,
        process_count=1,
    )
    seconds = timed({"pipeline": lambda: next(batches)["image"]}, max(20, repeats))["pipeline"]
    name = f"input pipeline, {settings.input.image_size} px"
    return {name: show(Row(name, batch, seconds, None, None))}


def show(row: Row) -> Row:
    """Prints the row as a JSON line, and returns it."""
    print(
        json.dumps(
            {
                "case": row.name,
                "ms_min": round(1e3 * min(row.seconds), 3),
                "ms_median": round(1e3 * row.median, 3),
                "ms_max": round(1e3 * max(row.seconds), 3),
                "images_per_second": round(row.images / row.median, 1),
                "flops": row.flops,
                "mfu": None if row.mfu is None else round(row.mfu, 4),
                "device": jax.devices()[0].device_kind,
                "devices": jax.device_count(),
            }
        ),
        flush=True,
    )
    return row


def aims(rows: Mapping[str, Row]) -> list[Aim]:
    """What the rows should reach."""

    def mfu(beginning: str) -> float | None:
        return next(row.mfu for name, row in rows.items() if name.startswith(beginning))

    def ratio(above: str, below: str) -> float:
        (many,) = (row for name, row in rows.items() if above in name)
        (few,) = (row for name, row in rows.items() if below in name)
        return many.median / few.median

    fifty = [name for name in rows if name.startswith("IResNet-50")]
    (pipeline,) = (row for name, row in rows.items() if name.startswith("input pipeline"))
    steps = [row for name, row in rows.items() if name.startswith("IResNet")]
    fastest = max(row.images / row.median for row in steps)
    return [
        Aim("MFU of ViT-B", mfu("ViT-B"), 0.35, at_most=False),
        Aim("MFU of MAE-B", mfu("MAE-B"), 0.30, at_most=False),
        Aim("MFU of IResNet-50", mfu("IResNet-50"), 0.25, at_most=False),
        Aim("many classes over few", ratio(fifty[1], fifty[0]), 1.1, at_most=True),
        Aim("FPR penalty over CosFace", ratio("fpr_penalty", "34, cosface"), 1.05, at_most=True),
        Aim(
            "pipeline's images/s over the fastest IResNet's",
            pipeline.images / pipeline.median / fastest,
            1.0,
            at_most=False,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--tiny", action="store_true", help="small shapes: does all of it run?")
    parser.add_argument("--repeats", type=int, default=20, help="timed calls of each program")
    arguments = parser.parse_args()
    repeats = 2 if arguments.tiny else arguments.repeats
    chip = peak_flops(jax.devices()[0].device_kind)
    peak = None if chip is None else chip * jax.device_count()
    rows = measure_attention(arguments.tiny, repeats, chip)
    rows |= measure_pipeline(arguments.tiny, repeats)
    rows |= measure_steps(arguments.tiny, repeats, peak)
    table = Table(
        f"{'Small stand-ins for the' if arguments.tiny else 'Training'} steps on "
        f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        ("case", "ms", "images/s", "MFU"),
        [
            (
                row.name,
                f"{1e3 * row.median:,.2f}",
                f"{row.images / row.median:,.0f}",
                "" if row.mfu is None else f"{row.mfu:.1%}",
            )
            for row in rows.values()
        ],
    )
    print_tables([table], Console(highlight=False, markup=False, width=100))
    if arguments.tiny:
        print("The aims are for the full sizes; with --tiny they only show that they are computed:")
    for aim in aims(rows):
        print(aim)


if __name__ == "__main__":
    main()
