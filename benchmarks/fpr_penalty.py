"""What does the FPR penalty cost a step of the class head, beside plain CosFace and PyTorch?

A step is forward and backward from embeddings and class weights, not normalised, to the loss and
its gradients by both, float32. The peer is the authors' released algorithm (variant "tface") in
eager PyTorch, step by step as they take them: a column a class, whole matrices of floats as masks,
the cosines twice. "torch tface, spared" is our own tuning of it: a row a class, masks of bytes, and
sums over the few cosines that are selected. Threshold, loss and gradients must agree with ours.

The floor is the three matrix products that no implementation can spare: cosines, and their
gradient by either side. The cosines' 4 bytes each also pass through memory at least four times:
written, read by the softmax, read and written to become their gradient.

All run in one process, turn by turn, after a warm-up of their own. Prints one JSON line a case.

Run: python benchmarks/fpr_penalty.py [--batch 512 --classes 28000 --dim 512 --repeats 10]

The peer needs the extra `bench`.
"""

import argparse
import json
import math
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from fairjax.run.host import keep_freed_memory

keep_freed_memory()  # for both sides, and before either starts a thread

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from fairjax.heads import Head, class_losses  # noqa: E402
from fairjax.losses import CosFace, FprPenalty  # noqa: E402
from fairjax.models.cosine_head import unit  # noqa: E402

SCALE, MARGIN = 64.0, 0.35
WARM_UP = 2
GAMMA_U = {"paper": 1e-4, "tface": 0.0, "mean_sq": 0.0}  # as published; 0 is 1 / (classes - 1)


def make_data(batch: int, classes: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, class weights a row each, labels; every other image lies near its class."""
    rng = np.random.default_rng(0)
    weights = 0.01 * rng.standard_normal((classes, dim), np.float32)
    labels = rng.integers(0, classes, batch).astype(np.int32)
    embeddings = rng.standard_normal((batch, dim), np.float32)
    embeddings[::2] += 100 * weights[labels[::2]]
    return embeddings, weights, labels


def our_step(variant: str | None, data: tuple[np.ndarray, ...]) -> tuple[Callable[[], Any], float]:
    """A function that takes one step and waits for it, and the seconds of compilation."""
    margin = CosFace(scale=SCALE, margin=MARGIN)
    penalty = variant and FprPenalty(
        variant=variant, gamma_u=GAMMA_U[variant], alpha=1.0, alpha_mode="constant", power=2.0
    )

    head = Head(name="dense", chunk=8192, rate=0.1)

    def loss(x: jax.Array, weights: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        outcome = class_losses(
            head,
            weights,
            unit(x),
            labels,
            jnp.ones(len(labels), bool),
            {},
            jax.random.key(0),
            margin=margin,
            penalty=penalty,
            classes=len(weights),
        )
        threshold = outcome.penalty.threshold if outcome.penalty else jnp.float32(0)
        return outcome.loss.mean(), threshold

    arrays = tuple(map(jnp.asarray, data))
    start = time.perf_counter()
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)).lower(*arrays).compile()
    seconds = time.perf_counter() - start
    return lambda: jax.block_until_ready(step(*arrays)), seconds


def floor_step(data: tuple[np.ndarray, ...]) -> Callable[[], Any]:
    """The three matrix products alone."""
    x, weights = map(jnp.asarray, data[:2])
    upstream = jnp.ones((len(x), len(weights)))
    step = jax.jit(lambda x, w, g: (x @ w.T, g @ w, g.T @ x)).lower(x, weights, upstream).compile()
    return lambda: jax.block_until_ready(step(x, weights, upstream))


def torch_step(kind: str, data: tuple[np.ndarray, ...]) -> Callable[[], Any]:
    """CosFace ("cosface"), or the released algorithm on it ("tface", "tface, spared"), eagerly."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    x, by_row, labels = map(torch.from_numpy, data)
    rows, classes = len(x), len(by_row)
    index, labels = torch.arange(rows), labels.long()
    class_axis = 1 if kind == "tface" else 0
    weights = by_row.T.clone(memory_format=torch.contiguous_format) if class_axis else by_row
    x.requires_grad_(), weights.requires_grad_()

    def cosines_with(weights: Any) -> Any:
        directions = normalize(weights, dim=1 - class_axis)
        return (normalize(x) @ (directions if class_axis else directions.T)).clamp(-1, 1)

    def rank(wrong: Any) -> int:
        return math.ceil((rows * (classes - 1) - int(wrong.sum())) / (classes - 1))

    def shift_as_released(both: Any, held: Any, margined: Any) -> tuple[Any, float]:
        own = torch.zeros_like(both).scatter_(1, labels[:, None], 1.0)
        others, others_held = both - 2 * own, held - 2 * own
        wrong = others > both[index, labels][:, None]
        best = (others - 2 * wrong.float()).flatten().topk(rank(wrong)).values
        threshold = best.topk(len(best)).values[-1]
        chosen = (~wrong & (others > threshold)).float()
        values, values_held = chosen * others, chosen * others_held
        squares = torch.where(margined[:, None] > values, values, values_held) ** 2
        number = (squares > 0).float().sum(1).clamp(min=1)
        return (1 + held[index, labels]) * squares.sum(1) / number, threshold.item()

    def shift_spared(both: Any, held: Any, margined: Any) -> tuple[Any, float]:
        with torch.no_grad():
            own = torch.zeros_like(both, dtype=torch.bool)
            own[index, labels] = True
            wrong = (both > both[index, labels][:, None]) & ~own
            ranked = both.masked_fill(own | wrong, -2)
            threshold = ranked.flatten().topk(rank(wrong)).values[-1].item()
        row, column = torch.nonzero(ranked > threshold, as_tuple=True)
        value = both[row, column]
        value = torch.where(margined[row] > value, value, held[row, column])
        total = torch.zeros(rows).index_add(0, row, value**2)
        number = torch.zeros(rows).index_add(0, row, (value != 0).float()).clamp(min=1)
        return (1 + held[index, labels]) * total / number, threshold

    def run() -> tuple[tuple[Any, float], tuple[Any, Any]]:
        x.grad = weights.grad = None
        both, threshold = cosines_with(weights), 0.0
        margined = both[index, labels] - MARGIN
        if kind != "cosface":
            held = cosines_with(weights.detach())
            shift_of = shift_as_released if kind == "tface" else shift_spared
            shift, threshold = shift_of(both, held, margined)
            margined = margined - shift
        loss = cross_entropy(SCALE * both.index_put((index, labels), margined), labels)
        loss.backward()
        return (loss.detach(), threshold), (x.grad, weights.grad.T if class_axis else weights.grad)

    return run


def agree(ours: Any, theirs: Any) -> None:
    """Stops unless loss, threshold and both gradients of two steps agree."""
    (loss, threshold), grads = ours
    (their_loss, their_threshold), their_grads = theirs
    np.testing.assert_allclose(loss, their_loss, rtol=1e-5)
    np.testing.assert_allclose(threshold, their_threshold, rtol=1e-5)
    for mine, other in zip(grads, their_grads, strict=True):
        size = float(np.abs(np.asarray(other)).max())
        np.testing.assert_allclose(mine, np.asarray(other), atol=1e-4 * size)


def spread(values: Any, digits: int = 1) -> dict[str, float]:
    """Smallest, middle and largest."""
    points = {"min": np.min(values), "median": np.median(values), "max": np.max(values)}
    return {name: round(float(value), digits) for name, value in points.items()}


def time_turns(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds a call of each, called in turn so that a busy machine slows all alike."""
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    times = defaultdict(list)
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--batch", type=int, default=512, help="images a step")
    parser.add_argument("--classes", type=int, default=28_000, help="people")
    parser.add_argument("--dim", type=int, default=512, help="of an embedding")
    parser.add_argument("--repeats", type=int, default=10, help="timed steps of each case")
    args = parser.parse_args()
    import torch

    data = make_data(args.batch, args.classes, args.dim)
    runs, compile_seconds = {"floor": floor_step(data)}, {}
    for variant in (None, *GAMMA_U):
        name = variant or "cosface"
        runs[name], compile_seconds[name] = our_step(variant, data)
    for kind in ("cosface", "tface", "tface, spared"):
        runs[f"torch {kind}"] = torch_step(kind, data)
        agree(runs[kind.partition(",")[0]](), runs[f"torch {kind}"]())

    times = time_turns(runs, args.repeats)
    about = {
        "benchmark": "fpr_penalty",
        "batch": args.batch,
        "classes": args.classes,
        "dim": args.dim,
        "repeats": args.repeats,
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
        "jax": jax.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }
    for name, run in runs.items():
        line = {**about, "case": name, "ms": spread(times[name])}
        if name == "floor":
            line["gflop"] = round(6e-9 * args.batch * args.classes * args.dim, 1)
        elif not name.startswith("torch"):
            (loss, threshold), _ = run()
            line |= {"loss": float(loss), "threshold": float(threshold)}
            line["compile_seconds"] = round(compile_seconds[name], 1)
            line["time_over_cosface"] = spread(times[name] / times["cosface"], 2)
            line["time_over_floor"] = spread(times[name] / times["floor"], 2)
            peer = "torch cosface" if name == "cosface" else "torch tface"
            line |= {"peer": peer, "speed_over_peer": spread(times[peer] / times[name], 2)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
