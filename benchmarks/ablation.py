"""What does each trick for XLA's CPU backend bring to a real step? Run at this revision alone.

The steps are those that `fairjax.main` trains with: the configs' own, on generated faces. Each
variant is the same step with some layers replaced by what Flax and XLA have. All variants run in
one process, turn by turn, and the ratio is taken turn by turn, so that a busy machine slows all
alike. Prints one JSON line a variant: milliseconds, and the time over that of the step as it is.

Run: python benchmarks/ablation.py resnet50 --without held --without winograd,held
     python benchmarks/ablation.py tfc --heap     # before and after `set_fragments_aside`
     KEEP=0 python benchmarks/ablation.py tfc     # without `keep_freed_memory`

Names: winograd, one (1x1 products), tiny (maps below 4 pixels), held, once, kernel_gradient, fold,
neighbours, pool, attention, dense, dropout, norm; `all,+one` is all but that.
"""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from fairjax.run.host import keep_freed_memory, set_fragments_aside

if os.environ.get("KEEP", "1") == "1":
    keep_freed_memory()  # before any thread starts

import jax  # noqa: E402
import numpy as np  # noqa: E402
from flax import linen as nn  # noqa: E402
from step_time import spread  # noqa: E402

from fairjax.config import classes, load, phantom, phantom_identities, regress  # noqa: E402
from fairjax.data.stream.pipeline import train_batches  # noqa: E402
from fairjax.methods import classify  # noqa: E402
from fairjax.models import (  # noqa: E402
    iresnet,
    mae,  # noqa: E402
    resnet,
    tfc,
    vit,
)
from fairjax.models.layers import (  # noqa: E402
    attention,
    conv,
    kernel_gradient,
    pool,
    winograd,
)
from fairjax.run import sharding  # noqa: E402
from fairjax.run.build import build_augment, build_second, load_dataset  # noqa: E402
from fairjax.run.recipe import make_recipe  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"


def attributes(file: str, **backbone: Any) -> Any:
    config = load(f"{CONFIGS}/{file}")
    size = config.input.image_size
    config.data = phantom(image_size=size, identities=100, images_per_identity=8)
    if "tasks" in config.method:
        config.method.tasks = dict(
            age=regress("age"), gender=classes("gender"), group=classes("group")
        )
    config.backbone.update(**backbone)
    return config


def people(file: str) -> Any:
    config = load(f"{CONFIGS}/{file}")
    size = config.input.image_size
    config.data = phantom_identities(image_size=size, identities=400, images_per_identity=4)
    return config


def batched(config: Any, batch: int) -> Any:
    config.train.batch_size = batch
    config.compute_dtype = "float32"
    return config


STEPS: dict[str, Callable[[], Any]] = {
    "resnet50": lambda: attributes("utkface/resnet50.py:small"),
    "resnet18": lambda: attributes("utkface/resnet50.py:small", depth=18),
    "quick": lambda: attributes("quickstart.py"),
    "tfc": lambda: attributes("utkface/tfc.py:small"),
    "tfc_paper": lambda: batched(attributes("utkface/tfc.py"), 8),
    "mae": lambda: attributes("utkface/mae.py:small"),
    "mae_paper": lambda: batched(attributes("utkface/mae.py"), 16),
    "vit": lambda: attributes("utkface/vit.py:small"),
    "margin": lambda: people("recognition/margin.py:small"),
    "r50_224": lambda: batched(attributes("utkface/resnet50.py"), 8),
    "iresnet_112": lambda: batched(people("recognition/margin.py"), 16),
}


def lax_kernel_gradient(x: Any, dy: Any, size: int, strides: int, padding: int) -> Any:
    kernel = jax.numpy.zeros((size, size, x.shape[-1], dy.shape[-1]), x.dtype)
    plain = lambda k: conv._conv_lax(x, k, (strides, strides), padding)  # noqa: E731
    return jax.linear_transpose(plain, kernel)(dy)[0]


class LinenDropout(nn.Module):
    rate: float
    broadcast_dims: Any = ()

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        return nn.Dropout(self.rate, self.broadcast_dims)(x, deterministic=not train)


class LinenNorm(nn.Module):
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any = None
    scale_init: Any = nn.initializers.ones
    use_scale: bool = True
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        return nn.BatchNorm(
            not train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            dtype=self.dtype,
            scale_init=self.scale_init,
            use_scale=self.use_scale,
            use_bias=self.use_bias,
        )(x)


@contextlib.contextmanager
def without(names: set[str]) -> Iterator[None]:
    fastest = conv._fastest_on_cpu

    def choose(x: Any, kernel: Any, strides: int, padding: int) -> Any:
        chosen = fastest(x, kernel, strides, padding)
        if chosen == "winograd" and "winograd" in names:
            chosen = "held"
        if chosen == "patches" and len(kernel) == 1 and "one" in names:
            chosen = "lax"
        if chosen == "patches" and len(kernel) > 1 and "tiny" in names:
            chosen = "lax"
        if chosen == "held" and "held" in names:
            chosen = "lax"
        if chosen == "winograd" and min(x.shape[1:3]) > 28 and "large_winograd" in names:
            chosen = "lax"
        return chosen

    same = lambda x: x  # noqa: E731
    with contextlib.ExitStack() as stack:

        def swap(owner: Any, name: str, new: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, new))

        swap(conv, "_fastest_on_cpu", choose)
        if "once" in names:
            for module in (conv, kernel_gradient, winograd, pool, attention):
                swap(module, "once", same)
        if "kernel_gradient" in names:
            swap(conv, "kernel_gradient", lax_kernel_gradient)
            swap(winograd, "kernel_gradient", lax_kernel_gradient)
        if "fold" in names:
            swap(conv, "_conv_wide", lambda x, k, s, p: conv._conv_neighbours(x, k, s, p))
        if "neighbours" in names:
            swap(conv, "_conv_neighbours", lambda x, k, s, p: conv._conv_lax(x, k, (s, s), p))
        if "pool" in names:
            swap(resnet, "max_pool", lambda x, lowering: pool.max_pool(x, lowering="lax"))
        if "attention" in names:
            for module in (tfc, vit):
                swap(module, "attention", jax.nn.dot_product_attention)
        if "dense" in names:
            for module in (tfc, vit, mae):
                swap(module, "Dense", nn.Dense)
        if "dropout" in names:
            for module in (tfc, vit, iresnet, classify):
                swap(module, "Dropout", LinenDropout)
        if "norm" in names:
            for module in (tfc, resnet, iresnet):
                swap(module, "BatchNorm", LinenNorm)
        yield


ALL = {
    *("winograd", "one", "tiny", "held", "once", "kernel_gradient", "fold", "neighbours"),
    *("pool", "attention", "dense", "dropout", "norm"),
}


def make_step(config: Any, names: set[str]) -> tuple[Callable[[], float], float]:
    dataset = load_dataset(config)
    settings = config.train
    mesh = sharding.make_mesh(1)
    with without(names):
        recipe = make_recipe(config, dataset, mesh, total_steps=1000, steps_per_epoch=100.0)
        key = jax.random.key(0)
        state = jax.jit(recipe.create, out_shardings=recipe.places)(key)
        local = next(
            train_batches(
                dataset.splits["train"],
                batch_size=settings.batch_size,
                image_size=config.input.image_size,
                augment=build_augment(config),
                second=build_second(config),
                seed=0,
                start_step=0,
                balance="",
                cache_mb=0,
                process_index=0,
                process_count=1,
            )
        )
        batch = sharding.global_batch(mesh, local)
        start = time.perf_counter()
        with jax.set_mesh(mesh):
            step = recipe.step_while(recipe.plan.always).lower(state, batch, key).compile()
        seconds = time.perf_counter() - start

    def run() -> float:
        nonlocal state
        start = time.perf_counter()
        cpu = time.process_time()
        state, scalars = step(state, batch, key)
        jax.block_until_ready((state, scalars))
        return (
            (time.perf_counter() - start) * 1e3,
            (time.process_time() - cpu) * 1e3,
            float(scalars["loss"]),
        )

    return run, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("step", choices=sorted(STEPS))
    parser.add_argument("--without", action="append", default=[], help="names, or all")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--heap", action="store_true")
    args = parser.parse_args()
    config = STEPS[args.step]()
    about = {"benchmark": "ablation", "step": args.step}
    if args.heap:
        run, _ = make_step(config, set())
        for _ in range(3):
            run()
        before = [run()[0] for _ in range(args.repeats)]
        aside = set_fragments_aside()
        run()
        after = [run()[0] for _ in range(args.repeats)]
        line = {"aside_mib": aside >> 20, "before": spread(before), "after": spread(after)}
        line["ratio"] = round(float(np.median(before) / np.median(after)), 2)
        print(json.dumps({**about, **line}), flush=True)
        return
    variants = {"": set()}
    for text in args.without:
        names = set(text.split(","))
        kept = {name[1:] for name in names if name.startswith("+")}
        names = ALL - kept if "all" in names else names
        assert names <= ALL | {"large_winograd"}, names
        variants[text] = names
    runs = {}
    for text, names in variants.items():
        runs[text], seconds = make_step(config, names)
        print(
            json.dumps(
                {**about, "without": text, "compile_s": round(seconds, 1), "loss": runs[text]()[2]}
            ),
            flush=True,
        )
    set_fragments_aside()
    times = {text: [] for text in runs}
    for _ in range(args.repeats):
        for text, run in runs.items():
            run()
            times[text].append(run())
    for text in runs:
        wall, cpu, _ = zip(*times[text])
        wall0, cpu0, _ = zip(*times[""])
        ratios = [a / b for a, b in zip(wall, wall0)]
        cpus = [a / b for a, b in zip(cpu, cpu0)]
        print(
            json.dumps(
                {
                    **about,
                    "without": text,
                    "ms": spread(list(wall)),
                    "ratio": spread(ratios, 2),
                    "cpu_ratio": spread(cpus, 2),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
