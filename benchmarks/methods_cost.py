"""What does a step of each recognition method cost, over a step of CosFace?

Forward, backward and an update by SGD with momentum, float32, on random images of 1,000 people in
four groups. All steps run in one process, turn by turn, after compilation and a warm-up of their
own. Prints one JSON line a method: its time, the ratio to CosFace on an IResNet of the same depth,
for methods with a network of their own the ratio to CosFace on that network, the aim, and its
parameters beyond CosFace's.

Run: python benchmarks/methods_cost.py [--depth 34 --size 112 --batch 64 --repeats 5]
     python benchmarks/methods_cost.py --tiny     # seconds; its ratios mean nothing
     python benchmarks/methods_cost.py --methods gabn pfe
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fairjax.core.types import Target
from fairjax.methods import METHODS
from fairjax.models.gac import GacNet
from fairjax.models.iresnet import IResNet
from fairjax.models.preprocess import normalise
from fairjax.optim import with_own_optimizers

PEOPLE, GROUPS = 1000, 4
TARGETS = {
    "identity": Target(tuple(map(str, range(PEOPLE))), mean=0.0, std=1.0),
    "group": Target(tuple("ABCD"), mean=0.0, std=1.0),
}


class Case(NamedTuple):
    """One method as it is measured.

    Attributes:
      method: Key of METHODS.
      settings: Settings that differ from the defaults.
      network: "iresnet" or "gac".
      dims: Embeddings of how many times the usual length.
      aim: Largest ratio to CosFace that is aimed at; None for no aim.
    """

    method: str
    settings: Mapping[str, Any] = {}
    network: str = "iresnet"
    dims: int = 1
    aim: float | None = None


CASES = {
    "cosface": Case("cosine_margin"),
    "cosface, GAC's network": Case("cosine_margin", network="gac"),
    "gac": Case("gac", network="gac", aim=1.5),
    "debface": Case("debface", network="gac", dims=2, aim=1.3),
    "gabn, first order": Case("gabn", {"second_order": False, "erase_regions": 0}, aim=1.6),
    "gabn, second order": Case("gabn", {"erase_regions": 0}, aim=3.0),
    "gabn, second order, erasing": Case("gabn", {"erase_regions": 1, "erase_after_epochs": 0.0}),
    "mixfairface": Case("mixfairface", aim=1.3),
    "uss": Case("uss"),
    "ic_ffr": Case("ic_ffr", {"gamma_u": 1e-3}),
    "labelless_face": Case("labelless_face"),
    "descon": Case("descon"),
    "rl_rbn": Case("rl_rbn"),
    "invreg": Case("invreg"),
    "pfe": Case("pfe", aim=0.4),
}


def network(case: Case, depth: int, width: int, dim: int) -> nn.Module:
    """The case's backbone."""
    if case.network == "gac":
        return GacNet(depth=depth, width=width, dim=case.dims * dim)
    return IResNet(depth=depth, width=width, dim=case.dims * dim)


def make_step(case: Case, backbone: nn.Module, size: int, batch: int) -> tuple[Callable, int]:
    """A function that takes one step and waits for it, and the number of parameters."""
    method = METHODS[case.method](
        backbone=backbone,
        targets=TARGETS,
        preprocess=lambda images: normalise(images, kind="half"),
        **case.settings,
    )
    rng = np.random.default_rng(0)
    people = np.repeat(rng.permutation(PEOPLE)[: batch // 2], 2).astype(np.int32)
    rows = {
        "image": rng.integers(0, 256, (batch, size, size, 3)).astype(np.uint8),
        "identity": people,
        "group": people % GROUPS,
        "mask": np.ones(batch, bool),
        "epoch": np.float32(6),
    }
    rows = jax.tree.map(jnp.asarray, rows)
    key = jax.random.key(0)
    params, model_state = jax.jit(method.init)(key, rows)
    schedule = optax.constant_schedule(0.01)
    tx = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9))
    tx = with_own_optimizers(tx, schedule, params, own=method.own_optimizers)

    def step(params: Any, model_state: Any, opt_state: Any) -> tuple[Any, Any, Any]:
        gradient, aux = jax.grad(method.loss, has_aux=True)(params, model_state, rows, key)
        updates, opt_state = tx.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), aux.model_state, opt_state

    state = (params, model_state, tx.init(params))
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state).compile()

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(*state))

    return run, sum(leaf.size for leaf in jax.tree.leaves(params))


def measure(
    names: list[str], *, depth: int, width: int, dim: int, size: int, batch: int, repeats: int
) -> list[dict[str, Any]]:
    """One row a case: seconds a step, ratios and parameters."""
    steps, parameters = {}, {}
    for name in names:
        case = CASES[name]
        steps[name], parameters[name] = make_step(
            case, network(case, depth, width, dim), size, batch
        )
        steps[name]()  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, run in steps.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    rows = []
    for name in names:
        case = CASES[name]
        row = {
            "case": name,
            "milliseconds": {
                "min": round(1e3 * min(seconds[name]), 1),
                "median": round(1e3 * middle[name], 1),
                "max": round(1e3 * max(seconds[name]), 1),
            },
            "over_cosface": round(middle[name] / middle["cosface"], 2),
            "aim": case.aim,
            "more_parameters": parameters[name] - parameters["cosface"],
        }
        own = "cosface, GAC's network"
        if case.network == "gac" and own in middle:
            row["over_cosface_on_its_network"] = round(middle[name] / middle[own], 2)
        rows.append(row)
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=34)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--dim", type=int, default=512, help="length of the embedding")
    parser.add_argument("--size", type=int, default=112, help="side of the images, in pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=sorted({c.method for c in CASES.values()}))
    parser.add_argument("--tiny", action="store_true", help="seconds, to see that all run")
    given = parser.parse_args()
    wanted = given.methods or [case.method for case in CASES.values()]
    names = [
        name for name, case in CASES.items() if case.method in wanted or name.startswith("cosface")
    ]
    settings = {key: getattr(given, key) for key in ("depth", "width", "dim", "size", "batch")}
    settings["repeats"] = given.repeats
    if given.tiny:
        settings.update(depth=18, width=4, dim=16, size=32, batch=8, repeats=2)
    about = {
        **settings,
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
        "jax": jax.__version__,
    }
    for row in measure(names, **settings):
        print(json.dumps({**row, **about}))


if __name__ == "__main__":
    main()
