"""How long does a masked autoencoder's training step take on this CPU, beside PyTorch's?

Forward, backward and an AdamW update, float32, on random images: the encoder on the quarter of the
patches that is kept, the decoder on all. The peer is the same network in eager PyTorch, with its
fused attention and fused AdamW. Both run in one process, turn by turn, after their own warm-up.
`--maps` times a classifier's inference with every attention map against inference without. Prints
one JSON line a case, with each side's floor: the matrix products that the step cannot do without,
at the rate that this side's library reaches.

Run: python benchmarks/masked_autoencoder.py [--model base --size 224 --batch 16 --repeats 5]
     python benchmarks/masked_autoencoder.py --maps --model tiny   # needs no PyTorch

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
from step_time import spread, time_turns  # noqa: E402

from fairjax.losses.reconstruction import masked_patch_error, normalised_patches  # noqa: E402
from fairjax.models import masking  # noqa: E402
from fairjax.models.mae import MaskedAutoencoder  # noqa: E402
from fairjax.models.vit import SIZES, ViT, patchify  # noqa: E402
from fairjax.run.sensitivity import attention_of, patch_weights  # noqa: E402

RATIO, PATCH = 0.75, 16
DECODERS = {"tiny": (128, 4, 4), "small": (128, 8, 4), "base": (512, 8, 16)}  # dim, depth, heads


def encoder(model: str, **fields: Any) -> ViT:
    """The ViT of that size."""
    return ViT(**SIZES[model], patch=PATCH, **fields)


def our_step(model: str, images: np.ndarray) -> Callable[[], None]:
    """A function that takes one step and waits for it."""
    dim, depth, heads = DECODERS[model]
    network = MaskedAutoencoder(
        encoder(model, pool="tokens", positions="sincos"),
        decoder_dim=dim,
        decoder_depth=depth,
        decoder_heads=heads,
    )
    batch, patches = len(images), (images.shape[1] // PATCH) ** 2
    x = jnp.asarray(images)
    tx = optax.adamw(1e-4, b2=0.95, weight_decay=0.05)

    def choose(key: jax.Array) -> masking.Selection:
        flat = jnp.zeros((batch, patches))
        return masking.select(masking.scores(key, flat, strength=1.0), ratio=RATIO)

    def loss(params: Any, key: jax.Array) -> jax.Array:
        chosen = choose(key)
        guess = network.apply({"params": params}, x, chosen, train=True)
        targets = normalised_patches(patchify(x, patch=PATCH))
        return masked_patch_error(guess, targets, chosen.mask).mean()

    def step(params: Any, opt_state: Any, key: jax.Array) -> tuple[Any, Any]:
        updates, opt_state = tx.update(jax.grad(loss)(params, key), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    key = jax.random.key(0)
    params = jax.jit(partial(network.init, train=False))(key, x, choose(key))["params"]
    state = (params, jax.jit(tx.init)(params))
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(*state, key).compile()

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state, key))

    return run


def torch_step(model: str, images: np.ndarray) -> Callable[[], None]:
    """The same step by PyTorch, eagerly."""
    import torch

    functional, nn = torch.nn.functional, torch.nn

    class Block(nn.Module):
        def __init__(self, dim: int, heads: int):
            super().__init__()
            self.heads = heads
            self.norm_1, self.norm_2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
            self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

        def forward(self, x: Any) -> Any:
            b, n, d = x.shape
            qkv = self.qkv(self.norm_1(x)).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*qkv)
            x = x + self.out(mixed.transpose(1, 2).reshape(b, n, d))
            return x + self.down(functional.gelu(self.up(self.norm_2(x))))

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            size = SIZES[model]
            wide, depth, heads = DECODERS[model]
            self.embed = nn.Conv2d(3, size["dim"], PATCH, PATCH)
            self.cls = nn.Parameter(torch.zeros(1, 1, size["dim"]))
            self.blocks = nn.Sequential(
                *(Block(size["dim"], size["heads"]) for _ in range(size["depth"]))
            )
            self.norm = nn.LayerNorm(size["dim"], eps=1e-6)
            self.narrow = nn.Linear(size["dim"], wide)
            self.blank = nn.Parameter(torch.zeros(1, 1, wide))
            self.decoder = nn.Sequential(*(Block(wide, heads) for _ in range(depth)))
            self.last_norm = nn.LayerNorm(wide, eps=1e-6)
            self.pixels = nn.Linear(wide, PATCH * PATCH * 3)

        def forward(self, x: Any) -> Any:
            tokens = self.embed(x).flatten(2).transpose(1, 2) + places
            b, n, d = tokens.shape
            kept = int(n * (1 - RATIO))
            order = torch.rand(b, n).argsort(dim=1)
            restore = order.argsort(dim=1)
            ids = order[:, :kept, None].expand(-1, -1, d)
            tokens = torch.cat([self.cls.expand(b, -1, -1), tokens.gather(1, ids)], dim=1)
            y = self.narrow(self.norm(self.blocks(tokens)))
            listed = torch.cat([y[:, 1:], self.blank.expand(b, n - kept, -1)], dim=1)
            drawn = listed.gather(1, restore[:, :, None].expand(-1, -1, listed.shape[2]))
            y = self.decoder(torch.cat([y[:, :1], drawn + decoder_places], dim=1))
            guess = self.pixels(self.last_norm(y[:, 1:]))
            side = x.shape[2] // PATCH
            target = x.reshape(b, 3, side, PATCH, side, PATCH).permute(0, 2, 4, 3, 5, 1)
            target = target.reshape(b, n, -1)
            deviation = (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
            target = (target - target.mean(dim=-1, keepdim=True)) / deviation
            removed = (restore >= kept).float()
            return (((guess - target) ** 2).mean(dim=-1) * removed).sum() / removed.sum()

    patches = (images.shape[1] // PATCH) ** 2
    places = torch.zeros(1, patches, SIZES[model]["dim"])
    decoder_places = torch.zeros(1, patches, DECODERS[model][0])
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    network = Autoencoder().train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    )

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(x).backward()
        optimizer.step()

    return run


def matmul_flops(model: str, images: np.ndarray) -> float:
    """Multiplications and additions of a step's matrix products: forward and twice as many back."""
    size, (wide, depth, _) = SIZES[model], DECODERS[model]
    patches = (images.shape[1] // PATCH) ** 2
    kept, pixels = int(patches * (1 - RATIO)), PATCH * PATCH * 3

    def block(tokens: int, dim: int) -> int:
        return tokens * 12 * dim**2 + 2 * tokens**2 * dim

    one = kept * pixels * size["dim"] + size["depth"] * block(kept + 1, size["dim"])
    one += (kept + 1) * size["dim"] * wide + depth * block(patches + 1, wide)
    return 2.0 * 3 * len(images) * (one + patches * wide * pixels)


def product_rates() -> dict[str, float]:
    """FLOP/s that each side reaches in one large float32 product: the best of five."""
    import torch

    a = jnp.ones((2048, 2048))
    theirs = torch.ones(2048, 2048)
    product = jax.jit(jnp.matmul).lower(a, a).compile()
    runs = {
        "ours": lambda: jax.block_until_ready(product(a, a)),
        "torch": lambda: theirs @ theirs,
    }
    return {name: 2 * 2048**3 / min(ms) * 1e3 for name, ms in time_turns(runs, 5).items()}


def map_runs(model: str, images: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Inference with and without every layer's attention, reduced to one weight a patch."""
    plain, seeing = encoder(model), encoder(model, maps=True)
    x = jnp.asarray(images)
    params = jax.jit(partial(plain.init, train=False))(jax.random.key(0), x)["params"]

    def collect(params: Any, x: jax.Array) -> jax.Array:
        return patch_weights(attention_of(seeing, params, x), "cls").sum(axis=1)

    def infer(params: Any, x: jax.Array) -> jax.Array:
        return plain.apply({"params": params}, x, train=False)

    steps = {
        name: jax.jit(f).lower(params, x).compile()
        for name, f in (("with maps", collect), ("plain", infer))
    }
    return {
        name: partial(lambda step: jax.block_until_ready(step(params, x)), step)
        for name, step in steps.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--model", default="base", choices=sorted(DECODERS))
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--batch", type=int, default=16, help="images a step")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each side")
    parser.add_argument("--maps", action="store_true", help="time collecting attention instead")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(args.batch, args.size, args.size, 3)).astype(np.float32)
    about = {
        "benchmark": "masked_autoencoder",
        **{key: getattr(args, key) for key in ("model", "size", "batch", "repeats")},
        "device": f"{platform.machine()}, {os.cpu_count()} CPUs, {jax.default_backend()}",
        "jax": jax.__version__,
    }
    if args.maps:
        times = time_turns(map_runs(args.model, images), args.repeats)
        cost = [m / p for m, p in zip(times["with maps"], times["plain"], strict=True)]
        line = {"case": "attention maps", "ms": spread(times["with maps"])}
        line |= {"plain_ms": spread(times["plain"]), "cost_over_plain": spread(cost, 2)}
        print(json.dumps({**about, **line}))
        return

    import torch

    times = time_turns(
        {"ours": our_step(args.model, images), "torch": torch_step(args.model, images)},
        args.repeats,
    )
    ratios = [p / o for o, p in zip(times["ours"], times["torch"], strict=True)]
    flops = matmul_flops(args.model, images)
    floor, peer_floor = (round(flops / rate * 1e3, 1) for rate in product_rates().values())
    line = {"case": "ours", "ms": spread(times["ours"]), "floor_ms": floor}
    line |= {"peer": f"torch {torch.__version__}", "peer_ms": spread(times["torch"])}
    line |= {"peer_floor_ms": peer_floor}
    print(json.dumps({**about, **line, "speed_over_peer": spread(ratios, 2)}))


if __name__ == "__main__":
    main()
