"""What a step of training sends and holds on 1 to 512 devices, from the compiled program.

    python benchmarks/scaling.py [--case balancedface two_million mae] [--devices 1 8 64 512]

Compiles the training step for so many virtual CPU devices, and runs nothing. Each device has the
same number of rows whatever the number of devices: the global batch grows with it.

    balancedface   IResNet-50, 28,000 people, streamed CosFace head with the FPR penalty
    two_million    2,000,000 people, without the penalty, which takes 2^31 cosines at most
    mae            masked autoencoder, ViT-B/16, 224 pixels, bfloat16

The class weights are split over all devices, but over 128 at most: devices with the same shard
add up their gradients. One line of JSON each: the collectives of the program and the bytes that
each device sends for them in a ring; of these, all but the gradients of the weights beside the
head; bytes of a device in the step; floating-point operations of a device. Then the roofline's
reading for a chip and a network: seconds that the arithmetic, and
that the network, would take at least. XLA counts the operations inside a loop once, so those of a
streamed head are more.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np

ROWS = {"balancedface": 64, "two_million": 64, "mae": 64}  # of each device
PEOPLE = {"balancedface": 28_000, "two_million": 2_000_000}
CHIP = {"flops": 0.4 * 989e12, "network": 50e9}  # H100 at 40 % of its bfloat16 peak; 400 Gbit/s
WIDTH = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "s64": 8}
KINDS = "all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute"
LINE = re.compile(rf" = (.*?) ({KINDS})(?:-start)?\(.*")


def size(types: str) -> int:
    """Bytes of the arrays that a result type of a program names."""
    total = 0
    for kind, shape in re.findall(r"\b([a-z]+\d+|pred)\[([\d,]*)\]", types):
        count = 1
        for length in filter(None, shape.split(",")):
            count *= int(length)
        total += count * WIDTH.get(kind, 4)
    return total


def group_size(line: str, devices: int) -> int:
    """Number of devices that take part in a collective together."""
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(found[1])
    if found := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return found[1].count(",") + 1
    return devices


def sent(program: str, devices: int) -> tuple[dict[str, int], list[tuple[str, float]]]:
    """Number of collectives by kind, and the bytes that a device sends for each in a ring."""
    counts: Counter[str] = Counter()
    each = []
    for found in LINE.finditer(program):
        n, number = group_size(found[0], devices), size(found[1])
        if n == 1:
            continue
        share = {"all-reduce": 2 * (n - 1) / n, "reduce-scatter": n - 1, "collective-permute": 1}
        counts[found[2]] += 1
        each.append((found[2], number * share.get(found[2], (n - 1) / n)))
    return dict(counts), each


def config_of(case: str, devices: int) -> Any:
    """The config of a case."""
    from fairjax import config as config_lib
    from fairjax.heads import ROWS_MULTIPLE

    rows = ROWS[case] * devices
    if case == "mae":
        config = config_lib.load("configs/utkface/mae.py")
        config.backbone = config_lib.vit("base", positions="sincos")
    else:
        method = "cosface" if case == "two_million" else "fpr_penalty"
        config = config_lib.load(f"configs/recognition/margin.py:method={method},depth=50")
        config.method.head.name = "streamed"
        config.train.head_shards = min(devices, ROWS_MULTIPLE)
    config.compute_dtype = "bfloat16"
    config.train.batch_size = rows
    return config


def compile_step(case: str, devices: int) -> dict[str, Any]:
    """Compiles one case in this process, which has so many devices."""
    import jax

    from fairjax.data.dataset import Dataset, Examples
    from fairjax.run import capacity, sharding
    from fairjax.run.build import build_run
    from fairjax.run.recipe import make_recipe

    assert jax.device_count() == devices
    settings = build_run(config_of(case, devices))
    if case == "mae":
        none = np.zeros(0, np.int64)
        train = Examples(none.astype(str), {}, none, lambda rows: rows)
        dataset = Dataset("utkface", {}, {"train": train}, {})
    else:
        dataset = capacity.stand_in(settings, PEOPLE[case])
    mesh = sharding.make_mesh(settings.train.head_shards)
    recipe = make_recipe(settings, dataset, mesh, total_steps=1000, steps_per_epoch=1000.0)
    program = capacity.compile_step(
        settings.input, recipe, dataset.splits["train"], mesh, batch=settings.train.batch_size
    )
    counts, each = sent(program.as_text(), devices)
    rest = capacity.shares(recipe)[1]
    gradients = 2 * (devices - 1) / devices * rest.bytes
    total = sum(number for _, number in each)
    flops = float(program.cost_analysis()["flops"])
    return {
        "case": case,
        "devices": devices,
        "batch": settings.train.batch_size,
        "collectives": counts,
        "sent_mib": round(total / 2**20, 2),
        "sent_beside_gradients_mib": round((total - gradients) / 2**20, 2),
        "device_gib": round(capacity.device_bytes(program) / 2**30, 2),
        "teraflops": round(flops / 1e12, 3),
        "arithmetic_s": flops / CHIP["flops"],
        "network_s": total / CHIP["network"],
    }


def main() -> None:
    """Compiles each case for each number of devices, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 8, 64, 512])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(compile_step(options.case[0], options.devices[0])), flush=True)
        return
    for case in options.case:
        for devices in options.devices:
            environment = {
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_NUM_CPU_DEVICES": str(devices),
                "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # of machine code; not of what is sent
            }
            line = [sys.executable, __file__, "--here", "--case", case, "--devices", str(devices)]
            subprocess.run(line, check=True, env=environment)


if __name__ == "__main__":
    main()
