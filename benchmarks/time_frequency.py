"""How long does a step of time-frequency pre-training take on this CPU, beside PyTorch's?

Two views of random images, the code objective, forward, backward and an AdamW update, float32, from
normalised images on. The peer is the same network in eager PyTorch: its own ResNet in the faster of
two memory layouts, `TransformerEncoderLayer`, `torch.fft.fft2`, fused AdamW. Both run in one
process, turn by turn, after their own warm-up; `--alone` gives one side a process to itself, in
which PyTorch is quicker. Prints one JSON line.

Run: python benchmarks/time_frequency.py [--model small --batch 128 --repeats 40]
     python benchmarks/time_frequency.py --model paper --batch 8 --repeats 10
     python benchmarks/time_frequency.py --alone ours; ... --alone "torch NHWC"

The peer needs the extra `bench`.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

from fairjax.run.host import keep_freed_memory

keep_freed_memory()  # for both sides, and before either starts a thread

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from step_time import ALONE, PEERS, spread, time_turns, torch_trunk  # noqa: E402

from fairjax.losses import time_frequency  # noqa: E402
from fairjax.methods.time_frequency import TwoViews  # noqa: E402
from fairjax.models.tfc import TFC  # noqa: E402

# The config's default at 224 pixels, and its `:small`.
MODELS = {
    "paper": dict(size=224, width=64, stages=4, dim=256, layers=2, hidden=512, projection=128),
    "small": dict(size=64, width=16, stages=3, dim=64, layers=1, hidden=128, projection=64),
}
TEMPERATURE, SHARE, STRENGTH, WITHIN, DROPOUT = 0.2, 0.1, 0.1, 0.2, 0.1


def our_step(model: str, views: tuple[np.ndarray, np.ndarray]) -> Callable[[], None]:
    """A function that takes one step and waits for it."""
    sizes = {name: value for name, value in MODELS[model].items() if name != "size"}
    network = TwoViews(TFC(**sizes, dropout=DROPOUT), SHARE, STRENGTH, "perturb", False)
    one, other = map(jnp.asarray, views)
    mask = jnp.ones(len(one), bool)
    tx = optax.adamw(3e-4, b2=0.99, weight_decay=3e-4)

    def loss(params: Any, stats: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        spectrum_key, dropout_key = jax.random.split(key)
        spaces, moved = network.apply(
            {"params": params, "batch_stats": stats},
            one,
            other,
            spectrum_key,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
        parts = time_frequency(*spaces, mask, temperature=TEMPERATURE, margin=1.0)
        total = WITHIN * (parts.time + parts.frequency) + parts.across
        return total.mean(), moved["batch_stats"]

    def step(params: Any, stats: Any, opt_state: Any, key: jax.Array) -> tuple[Any, ...]:
        key, now = jax.random.split(key)
        gradients, stats = jax.grad(loss, has_aux=True)(params, stats, now)
        updates, opt_state = tx.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state, key

    key = jax.random.key(0)
    init = jax.jit(partial(network.init, train=False))
    variables = init(key, one[:1], other[:1], key)
    params, stats = variables["params"], variables["batch_stats"]
    state = (params, stats, jax.jit(tx.init)(params), key)
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state).compile()

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state))

    return run


def torch_step(
    model: str, views: tuple[np.ndarray, np.ndarray], channels_last: bool
) -> Callable[[], None]:
    """The same step by PyTorch, eagerly."""
    import torch

    nn, functional, sizes = torch.nn, torch.nn.functional, MODELS[model]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dim = sizes["dim"]

    class Side(nn.Module):
        def __init__(self, tokens: int) -> None:
            super().__init__()
            layer = partial(nn.TransformerEncoderLayer, dim, 2, sizes["hidden"], DROPOUT)
            self.places = nn.Parameter(0.02 * torch.randn(tokens, dim))
            self.layers = nn.Sequential(*(layer(batch_first=True) for _ in range(sizes["layers"])))
            self.project = nn.Sequential(
                nn.Linear(dim, dim),
                nn.BatchNorm1d(dim),
                nn.ReLU(),
                nn.Linear(dim, sizes["projection"]),
            )

        def forward(self, tokens: Any) -> tuple[Any, Any]:
            high = self.layers(tokens + self.places).mean(dim=1)
            return high, self.project(high)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers, channels = torch_trunk(18, width=sizes["width"], stages=sizes["stages"])
            self.trunk = nn.Sequential(*layers)
            self.cell = nn.Linear(channels, dim)
            self.norm = nn.LayerNorm(dim)
            side = sizes["size"] // (4 * 2 ** (sizes["stages"] - 1))
            self.time, self.frequency = Side(side**2), Side(side**2)

        def forward(self, one: Any, other: Any) -> Any:
            cells, changed = (self.cell(self.trunk(x).permute(0, 2, 3, 1)) for x in (one, other))
            h, z = self.time(cells.flatten(1, 2))
            h2, _ = self.time(changed.flatten(1, 2))
            spectrum = torch.fft.fft2(cells, dim=(1, 2), norm="ortho").abs().flatten(1, 2)
            f, w = self.frequency(self.norm(torch.log1p(spectrum)))
            f2, _ = self.frequency(self.norm(torch.log1p(perturbed(spectrum))))
            return WITHIN * (contrast(h, h2) + contrast(f, f2)) + contrast(z, w)

    def perturbed(spectrum: Any) -> Any:
        remove = torch.rand(len(spectrum), 1, 1) < 0.5
        chosen = torch.rand_like(spectrum) < SHARE
        top = STRENGTH * spectrum.amax(dim=(1, 2), keepdim=True)
        raised = spectrum + top * torch.rand_like(spectrum)
        return torch.where(chosen, torch.where(remove, 0.0, raised), spectrum)

    def contrast(one: Any, other: Any) -> Any:
        both = functional.normalize(torch.cat([one, other]))
        logits = (both @ both.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        partner = (torch.arange(len(both)) + len(one)) % len(both)
        return functional.cross_entropy(logits, partner)

    network = Network().train().to(memory_format=layout)
    one, other = (
        torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout) for x in views
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=3e-4, betas=(0.9, 0.99), weight_decay=3e-4, fused=True
    )

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(one, other).backward()
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--model", default="small", choices=sorted(MODELS))
    parser.add_argument("--batch", type=int, default=128, help="pairs of views a step")
    parser.add_argument("--repeats", type=int, default=40, help="timed steps of each side")
    parser.add_argument("--alone", choices=ALONE, help="time one side, with no other's threads")
    args = parser.parse_args()
    rng, size = np.random.default_rng(0), MODELS[args.model]["size"]
    views = tuple(rng.normal(size=(2, args.batch, size, size, 3)).astype(np.float32))
    runs = {} if args.alone in PEERS else {"ours": our_step(args.model, views)}
    wanted = [name for name in PEERS if args.alone in (None, name)]
    runs |= {name: torch_step(args.model, views, PEERS[name]) for name in wanted}
    times = time_turns(runs, args.repeats)
    if args.alone:
        line = {"benchmark": "time_frequency", **vars(args), "ms": spread(times[args.alone])}
        print(json.dumps(line))
        return
    peer = min(PEERS, key=lambda name: np.median(times[name]))
    ratios = [p / o for o, p in zip(times["ours"], times[peer], strict=True)]
    import torch

    print(
        json.dumps(
            {
                "benchmark": "time_frequency",
                **vars(args),
                "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
                "jax": jax.__version__,
                "ms": spread(times["ours"]),
                "peer": f"{peer} {torch.__version__}",
                "peer_ms": spread(times[peer]),
                "speed_over_peer": spread(ratios, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
