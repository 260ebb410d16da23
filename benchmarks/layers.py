"""What do the layers' forms for XLA's CPU backend bring to the steps that users train with?

Each step is a config's own, built as `fairjax.main` builds it, on generated faces. It is compiled
as it is, and once more with each CPU form replaced by the plain one (`fairjax/models/layers/`
says which forms there are). All run in one process, turn by turn, and ratios are taken turn by
turn, so that a busy machine slows all alike. Prints one JSON line a step and form: the time
without the form over the time with it, as elapsed time and as CPU time of all threads. A form
whose ratio is below 1.3 everywhere is to be deleted.

Run: python benchmarks/layers.py [resnet50 resnet18 tfc margin] [--repeats 10]
"""

import argparse
import contextlib
import json
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from fairjax.run.host import keep_freed_memory

keep_freed_memory()  # before any thread starts, as `fairjax.main` does

import jax  # noqa: E402
from ml_collections import ConfigDict  # noqa: E402
from step_time import WARM_UP, spread  # noqa: E402

from fairjax.config import dataset as data_section  # noqa: E402
from fairjax.config import load, task  # noqa: E402
from fairjax.data.stream.pipeline import train_batches  # noqa: E402
from fairjax.models.layers.backend import Form, plain_forms  # noqa: E402
from fairjax.run import sharding  # noqa: E402
from fairjax.run.build import build_run  # noqa: E402
from fairjax.run.recipe import make_recipe  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
FORMS: tuple[Form, ...] = get_args(Form)


def faces(file: str, **backbone: Any) -> ConfigDict:
    """A config of attributes or of pre-training, on generated faces."""
    config = load(f"{CONFIGS}/{file}")
    size = config.input.image_size
    config.data = data_section("phantom", image_size=size, identities=100, images_per_identity=8)
    if "tasks" in config.method:
        tasks = {name: task("classes", name) for name in ("gender", "group")}
        config.method.tasks = ConfigDict({"age": task("regression", "age"), **tasks})
    config.backbone.update(**backbone)
    return config


def people(file: str) -> ConfigDict:
    """A config of recognition, on generated people."""
    config = load(f"{CONFIGS}/{file}")
    size = config.input.image_size
    config.data = data_section(
        "phantom_identities", image_size=size, identities=400, images_per_identity=4
    )
    return config


STEPS: dict[str, Callable[[], ConfigDict]] = {
    "resnet50": lambda: faces("utkface/resnet50.py:small"),
    "resnet18": lambda: faces("utkface/resnet50.py:small", depth=18),
    "tfc": lambda: faces("utkface/tfc.py:small"),
    "margin": lambda: people("recognition/margin.py:small"),
}


def make_step(config: ConfigDict, plain: Form | None) -> Callable[[], None]:
    """A function that takes one step and waits for it.

    Args:
      config: The run's config.
      plain: The CPU form that is replaced by the plain one, if any.
    """
    settings, mesh = build_run(config), sharding.make_mesh()
    dataset, images = settings.data.load(seed=settings.seed), settings.input
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=100.0)
    key = jax.random.key(settings.seed)
    state = recipe.create(key)
    batches = train_batches(
        dataset.splits["train"],
        batch_size=settings.train.batch_size,
        image_size=images.image_size,
        augment=images.augment,
        second=images.second,
        seed=settings.seed,
        start_step=0,
        balance=images.balance,
        cache_mb=0,
        process_index=0,
        process_count=1,
    )
    batch = sharding.global_batch(mesh, next(batches))
    with jax.set_mesh(mesh), plain_forms(plain) if plain else contextlib.nullcontext():
        step = recipe.step_with_frozen(recipe.freezing.always).lower(state, batch, key).compile()

    def run() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(step(state, batch, key))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("steps", nargs="*", help=f"of: {', '.join(STEPS)}; all without")
    parser.add_argument(
        "--form", choices=FORMS, action="append", help="this form alone; repeatable"
    )
    parser.add_argument("--repeats", type=int, default=10, help="timed steps of each variant")
    args = parser.parse_args()
    forms = args.form or FORMS
    for name in args.steps or STEPS:
        config = STEPS[name]()
        runs = {form: make_step(config, form) for form in (None, *forms)}
        elapsed, cpu = defaultdict(list), defaultdict(list)
        for turn in range(WARM_UP + args.repeats):
            for form, run in runs.items():
                start, start_cpu = time.perf_counter(), time.process_time()
                run()
                if turn >= WARM_UP:
                    elapsed[form].append((time.perf_counter() - start) * 1e3)
                    cpu[form].append((time.process_time() - start_cpu) * 1e3)
        for form in forms:
            line = {
                "benchmark": "layers",
                "step": name,
                "form": form,
                "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
                "jax": jax.__version__,
                "ms": spread(elapsed[None]),
            }
            for key, times in (("ratio", elapsed), ("cpu_ratio", cpu)):
                pairs = zip(times[form], times[None], strict=True)
                line[key] = spread([without / as_is for without, as_is in pairs], 2)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
