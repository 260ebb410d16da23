"""How long does a ResNet-50 training step take on this CPU, beside PyTorch's?

Forward, backward and an update by SGD with momentum, float32, on random images. Ours is jitted; the
peer is the same v1.5 network in eager PyTorch, in the faster of its two memory layouts. Both run in
one process, turn by turn, after a warm-up of their own. Prints one JSON line a case.

Run: python benchmarks/step_time.py [--size 64 --batch 32 --depth 50 --repeats 20] [--naive]
     python benchmarks/step_time.py --alone ours; ... --alone "torch NHWC"
     python benchmarks/step_time.py --profile     # where our step's time goes; needs no PyTorch

The peer needs the extra `bench`.
"""

import argparse
import json
import os
import platform
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fairjax.run.host import keep_freed_memory

keep_freed_memory()  # for both sides, and before either starts a thread

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from flax import linen as nn  # noqa: E402

from fairjax.models.layers.backend import Lowering  # noqa: E402
from fairjax.models.resnet import STAGES, ResNet  # noqa: E402

CLASSES = 1000
WARM_UP = 3
PEERS = {"torch NCHW": False, "torch NHWC": True}  # whether channels are last
ALONE = ("ours", *PEERS)


class Classifier(nn.Module):
    """A ResNet and its last layer."""

    depth: int
    lowering: Lowering

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        features = ResNet(self.depth, lowering=self.lowering)(images, train=train)
        return nn.Dense(CLASSES, name="head")(features)


def make_batch(batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images `[batch, size, size, 3]` and labels `[batch]`."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch, size, size, 3)).astype(np.float32)
    return images, rng.integers(0, CLASSES, batch).astype(np.int32)


def our_step(
    depth: int, batch: int, size: int, lowering: Lowering
) -> tuple[Callable[[], Any], Any]:
    """A function that takes one step and waits for it, and the compiled step itself."""
    images, labels = map(jnp.asarray, make_batch(batch, size))
    model = Classifier(depth, lowering)
    variables = jax.jit(partial(model.init, train=True))(jax.random.key(0), images)
    tx = optax.sgd(0.01, momentum=0.9)

    def loss(params: Any, stats: Any) -> tuple[jax.Array, Any]:
        variables = {"params": params, "batch_stats": stats}
        logits, moved = model.apply(variables, images, train=True, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), moved["batch_stats"]

    def step(params: Any, stats: Any, opt_state: Any) -> tuple[Any, Any, Any]:
        grads, stats = jax.grad(loss, has_aux=True)(params, stats)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state

    state = (variables["params"], variables["batch_stats"], tx.init(variables["params"]))
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state).compile()

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state))

    return run, compiled


def torch_step(depth: int, batch: int, size: int, channels_last: bool) -> Callable[[], None]:
    """The same step by PyTorch, eagerly."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    images, labels = make_batch(batch, size)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(labels).long()
    model = torch_resnet(depth).train().to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return run


def torch_resnet(depth: int) -> Any:
    """ResNet v1.5 as torchvision lays it out."""
    import torch

    layers, features = torch_trunk(depth)
    pool = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, *pool, torch.nn.Linear(features, CLASSES))


def torch_trunk(depth: int, *, width: int = 64, stages: int = 4) -> tuple[list[Any], int]:
    """Its layers up to the last map, and that map's channels."""
    import torch

    def conv_norm(inner: int, outer: int, size: int, strides: int = 1) -> list[Any]:
        padding = (size - 1) // 2
        conv = torch.nn.Conv2d(inner, outer, size, strides, padding, bias=False)
        return [conv, torch.nn.BatchNorm2d(outer)]

    relu = partial(torch.nn.ReLU, inplace=True)

    class Block(torch.nn.Module):
        def __init__(self, inner: int, width: int, strides: int):
            super().__init__()
            outer = width * (4 if depth >= 50 else 1)
            if depth >= 50:
                layers = conv_norm(inner, width, 1) + [relu()]
                layers += conv_norm(width, width, 3, strides) + [relu()]
                layers += conv_norm(width, outer, 1)
            else:
                layers = conv_norm(inner, width, 3, strides) + [relu()]
                layers += conv_norm(width, outer, 3)
            self.residual = torch.nn.Sequential(*layers)
            same = inner == outer and strides == 1
            projection = [] if same else conv_norm(inner, outer, 1, strides)
            self.shortcut = torch.nn.Sequential(*projection)

        def forward(self, x: Any) -> Any:
            return torch.relu_(self.residual(x) + self.shortcut(x))

    layers = [*conv_norm(3, width, 7, 2), relu(), torch.nn.MaxPool2d(3, 2, 1)]
    inner = width
    for stage, blocks in enumerate(STAGES[depth][:stages]):
        for i in range(blocks):
            layers.append(Block(inner, width * 2**stage, 2 if stage and not i else 1))
            inner = width * 2**stage * (4 if depth >= 50 else 1)
    return layers, inner


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Smallest, middle and largest."""
    points = {"min": np.min(values), "median": np.median(values), "max": np.max(values)}
    return {name: round(float(value), digits) for name, value in points.items()}


def time_turns(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds a call of each, called in turn so that a busy machine slows all alike.

    In turn from the warm-up on: one side's first calls take pieces out of what the other freed.
    A turn is two calls, of which the second is timed: the first finds caches that the other side
    filled and cores that its threads still wait on, neither of which training ever does.
    """
    for _ in range(WARM_UP):
        for run in runs.values():
            run()
    times = defaultdict(list)
    for _ in range(repeats):
        for name, run in runs.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def profile(run: Callable[[], Any], compiled: Any, repeats: int) -> dict[str, float]:
    """Milliseconds a step by kind of work, from a trace; the median over steps of each operation.

    An operation belongs to the layer and pass that XLA recorded for it; a fusion has one record,
    so an elementwise neighbour may be counted with it.
    """
    for _ in range(WARM_UP):
        run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(repeats):
                run()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(trace)).planes
        durations = defaultdict(list)
        for event in (event for plane in planes for line in plane.lines for event in line.events):
            operation = dict(event.stats).get("hlo_op")
            if operation is not None:
                durations[operation].append(event.duration_ns / 1e6)
    definitions = dict(re.findall(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)", compiled.as_text(), re.M))
    kinds: dict[str, float] = defaultdict(float)
    for operation, times in durations.items():
        kinds[kind_of(operation, definitions.get(operation, ""))] += float(np.median(times))
    return {kind: round(ms, 1) for kind, ms in sorted(kinds.items(), key=lambda item: -item[1])}


def kind_of(operation: str, definition: str) -> str:
    """The kind of work that one operation of the compiled step does."""
    found = re.search(r'op_name="([^"]*)"', definition)
    source = found[1] if found else ""
    heavy = "ynn" in operation or operation.startswith(("dot", "convolution"))
    if not source:  # XLA drops the names when it turns round a convolution for its gradient
        return "convolution backward" if heavy else "unnamed copies"
    if "jvp(" not in source:
        return "update"
    direction = "backward" if "transpose(jvp" in source else "forward"
    if "Norm_" in source or "_norm" in source:
        return f"norm {direction}"
    if heavy:
        return f"convolution {direction}"
    if "Conv_" in source or "_conv" in source:
        return f"slices around convolutions {direction}"
    return f"pool, ReLU, sums and loss {direction}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--depth", type=int, default=50, choices=sorted(STAGES))
    parser.add_argument("--repeats", type=int, default=20, help="timed steps of each side")
    parser.add_argument("--naive", action="store_true", help="add XLA's own convolutions and pool")
    parser.add_argument("--profile", action="store_true", help="say where our step's time goes")
    parser.add_argument("--alone", choices=ALONE, help="time one side, with no other's threads")
    args = parser.parse_args()
    shape = (args.depth, args.batch, args.size)
    about = {
        "benchmark": "step_time",
        "depth": args.depth,
        "batch": args.batch,
        "size": args.size,
        "repeats": args.repeats,
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
        "jax": jax.__version__,
    }
    lowerings: dict[str, Lowering] = {"ours": "auto", "naive": "lax"}
    runs, compile_seconds = {}, {}
    for name, lowering in lowerings.items():
        if (name == "naive" and not args.naive) or args.alone in PEERS:
            continue
        start = time.perf_counter()
        runs[name], compiled = our_step(*shape, lowering)
        compile_seconds[name] = round(time.perf_counter() - start, 1)
        if args.profile:
            kinds = profile(runs[name], compiled, args.repeats)
            print(json.dumps({**about, "case": f"{name}: profile", "ms": kinds}), flush=True)
    if args.profile:
        return

    import torch

    wanted = [name for name in PEERS if args.alone in (None, name)]
    runs |= {name: torch_step(*shape, PEERS[name]) for name in wanted}
    times = time_turns(runs, args.repeats)
    if args.alone:
        case = f"{args.alone}, alone"
        print(json.dumps({**about, "case": case, "ms": spread(times[args.alone])}))
        return
    peer = min(PEERS, key=lambda name: np.median(times[name]))
    for name in runs:
        line = {**about, "case": name, "ms": spread(times[name])}
        line["images_per_second"] = round(args.batch / np.median(times[name]) * 1e3, 1)
        if name in compile_seconds:
            ratios = [p / o for o, p in zip(times[name], times[peer], strict=True)]
            line["compile_seconds"] = compile_seconds[name]
            line |= {"peer": peer, "speed_over_peer": spread(ratios, 2)}
        else:
            line |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
