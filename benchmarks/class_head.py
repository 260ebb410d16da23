"""What do a million classes cost a step: memory at its peak, and time beside plain matmuls?

A step is forward and backward through the class head, from embeddings to the loss, and SGD with
momentum and weight decay on the class weights, float32. The peak is the process's largest resident
size in any step, compilation left out, above its size before the weights were made. It is set
against what nobody can spare, weights, their gradient and their momentum, plus 1 GiB.

The floor is the three matrix products: cosines, and their gradient by either side, in the head's
own chunks so that it fits the memory. A streamed head makes the cosines again in the backward pass,
a fourth; with the FPR penalty a fifth, to find the threshold. Head and floor run in turn, after a
warm-up of their own.

Prints one JSON line.

Run: python benchmarks/class_head.py [--classes 1000000 --dim 512 --batch 256 --chunk 8192]
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from fairjax.heads import Head, class_losses
from fairjax.losses import CosFace, FprPenalty
from fairjax.models.cosine_head import unit
from fairjax.optim import sgd

MIB = 2**20


def resident(peak: bool = False) -> int:
    """Bytes of this process in memory, now or at most since `forget_peak`."""
    line = "VmHWM:" if peak else "VmRSS:"
    status = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(text.split()[1]) for text in status if text.startswith(line))


def forget_peak() -> None:
    """Lets the peak begin anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def make_step(head: Head, classes: int, variant: str) -> tuple[Callable, Callable]:
    """How the optimiser begins, and the step, which is given weights and momentum to keep."""
    margin, penalty = CosFace(scale=64.0, margin=0.35), None
    if variant != "none":
        penalty = FprPenalty(
            variant=variant, gamma_u=0.0, alpha=1.0, alpha_mode="constant", power=2.0
        )
    tx = sgd(lr=lambda _: 0.1, weight_decay=5e-4, mask=lambda _: True, momentum=0.9, nesterov=False)

    def loss(weights: jax.Array, x: jax.Array, labels: jax.Array) -> jax.Array:
        return class_losses(
            head,
            weights,
            unit(x),
            labels,
            jnp.ones(len(labels), bool),
            {},
            jax.random.key(0),
            margin=margin,
            penalty=penalty,
            classes=classes,
        ).loss.mean()

    def step(weights: jax.Array, state: Any, x: jax.Array, labels: jax.Array) -> tuple[Any, ...]:
        value, (grad, x_grad) = jax.value_and_grad(loss, argnums=(0, 1))(weights, x, labels)
        updates, state = tx.update(grad, state, weights)
        return optax.apply_updates(weights, updates), state, value, x_grad

    return tx.init, jax.jit(step, donate_argnums=(0, 1))


@partial(jax.jit, static_argnums=2)
def floor(weights: jax.Array, x: jax.Array, chunk: int) -> tuple[jax.Array, jax.Array]:
    """The three matrix products alone."""

    def products(carry: tuple[jax.Array, jax.Array], number: jax.Array) -> tuple[Any, None]:
        grad, x_grad = carry
        start = jnp.minimum(number * chunk, len(weights) - chunk)
        part = lax.dynamic_slice_in_dim(weights, start, chunk)
        cosines = x @ part.T
        grad = lax.dynamic_update_slice_in_dim(grad, cosines.T @ x, start, 0)
        return (grad, x_grad + cosines @ part), None

    zeros = jnp.zeros_like(weights), jnp.zeros_like(x)
    return lax.scan(products, zeros, jnp.arange(-(-len(weights) // chunk)))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--classes", type=int, default=1_000_000, help="people")
    parser.add_argument("--dim", type=int, default=512, help="of an embedding")
    parser.add_argument("--batch", type=int, default=256, help="images a step")
    parser.add_argument("--head", default="streamed", help="or dense, sharded, sampled")
    parser.add_argument("--chunk", type=int, default=8192, help="classes at a time")
    parser.add_argument(
        "--variant", default="none", help="of the FPR penalty: paper, tface, mean_sq"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed steps")
    args = parser.parse_args()
    head = Head(name=args.head, chunk=args.chunk, rate=0.1)
    rows = head.rows(args.classes)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((args.batch, args.dim), np.float32))
    labels = jnp.asarray(rng.integers(0, args.classes, args.batch), jnp.int32)
    begin, step = make_step(head, args.classes, args.variant)
    shape = jax.ShapeDtypeStruct((rows, args.dim), jnp.float32)
    start = time.perf_counter()
    step = step.lower(shape, jax.eval_shape(begin, shape), x, labels).compile()
    compile_seconds = time.perf_counter() - start

    before = resident()
    weights = 0.01 * jax.random.normal(jax.random.key(0), shape.shape)
    state = jax.block_until_ready(jax.jit(begin)(weights))
    forget_peak()
    times: dict[str, list[float]] = {"step": [], "floor": []}
    peak = 0
    for turn in range(1 + args.repeats):  # the first warms up
        start = time.perf_counter()
        weights, state, loss, _ = jax.block_until_ready(step(weights, state, x, labels))
        middle = time.perf_counter()
        peak = max(peak, resident(peak=True) - before)
        jax.block_until_ready(floor(weights, x, min(args.chunk, rows)))
        if turn:
            times["step"].append(middle - start)
            times["floor"].append(time.perf_counter() - middle)
        forget_peak()

    bound = 3 * 4 * args.classes * args.dim + 2**30
    about = {
        "benchmark": "class_head",
        **vars(args),
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
        "jax": jax.__version__,
        "loss": float(loss),
        "compile_seconds": round(compile_seconds, 1),
        "peak_mib": round(peak / MIB),
        "bound_mib": round(bound / MIB),
        "within_bound": peak <= bound,
    }
    step_times, floor_times = (np.array(times[name]) for name in ("step", "floor"))
    about |= {
        "step_seconds": spread(step_times),
        "floor_seconds": spread(floor_times),
        "time_over_floor": spread(step_times / floor_times),
    }
    print(json.dumps(about))


def spread(values: np.ndarray) -> dict[str, float]:
    """Smallest, middle and largest."""
    points = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {name: round(float(value), 2) for name, value in points.items()}


if __name__ == "__main__":
    main()
