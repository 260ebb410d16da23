"""Public residual networks as torch computes them, narrow and with made-up weights.

`python tests/torch_rendering.py` writes the outputs that the tests read where torch is not
installed. The weights follow from a seed, so that only outputs are stored.
"""

from pathlib import Path

import numpy as np

VECTORS = Path(__file__).parent / "vectors" / "residual.npz"
KINDS = ("insightface", "tface", "torchvision_18", "torchvision_50")
UNITS = (2, 2, 2, 2)  # of an IResNet 18 and a ResNet 18
WIDTH, DIM, SIDE = 4, 6, 32


def images() -> np.ndarray:
    """Two images, float32 [2, 32, 32, 3]."""
    return np.random.default_rng(5).normal(size=(2, SIDE, SIDE, 3)).astype(np.float32)


def checkpoint(kind: str) -> dict[str, np.ndarray]:
    """Tensors under the names of one of `KINDS`."""
    rng = np.random.default_rng(KINDS.index(kind))
    made = {}
    for name, shape in shapes(kind).items():
        if name.endswith("running_var"):
            made[name] = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            made[name] = rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        elif name == "features.weight":
            made[name] = np.ones(shape)
        else:
            made[name] = (
                rng.uniform(0.5, 1.5, shape) if "weight" in name else rng.normal(size=shape)
            )
    return {name: np.asarray(tensor, np.float32) for name, tensor in made.items()}


def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network of one of `KINDS`."""
    found: dict[str, tuple[int, ...]] = {}

    def norm(name, channels, affine=True):
        for leaf in ("weight", "bias")[: 2 * affine] + ("running_mean", "running_var"):
            found[f"{name}.{leaf}"] = (channels,)

    def conv(name, out, into, size):
        found[f"{name}.weight"] = (out, into, size, size)

    into, number = WIDTH, 0
    if kind == "tface":
        conv("input_layer.0", WIDTH, 3, 3)
        norm("input_layer.1", WIDTH)
        found["input_layer.2.weight"] = (WIDTH,)
    else:
        conv("conv1", WIDTH, 3, 3 if kind == "insightface" else 7)
        norm("bn1", WIDTH)
        if kind == "insightface":
            found["prelu.weight"] = (WIDTH,)
    for stage, units in enumerate((3, 4, 6, 3) if kind == "torchvision_50" else UNITS):
        out = WIDTH * 2**stage
        wide = 4 * out if kind == "torchvision_50" else out
        for unit in range(units):
            here = f"layer{stage + 1}.{unit}"
            projects = into != wide or (kind == "insightface" and unit == 0)
            if kind == "tface":
                here = f"body.{number}"
                names = {k: f"res_layer.{k}" for k in range(6)} | {"d": "shortcut_layer"}
            else:
                names = dict(enumerate(("bn1", "conv1", "bn2", "prelu", "conv2", "bn3")))
                names["d"] = "downsample"
            if kind in ("tface", "insightface"):
                norm(f"{here}.{names[0]}", into)
                conv(f"{here}.{names[1]}", out, into, 3)
                norm(f"{here}.{names[2]}", out)
                found[f"{here}.{names[3]}.weight"] = (out,)
                conv(f"{here}.{names[4]}", out, out, 3)
                norm(f"{here}.{names[5]}", out)
            else:
                sizes = ((1, into, out), (3, out, out), (1, out, wide))
                for k, (size, a, b) in enumerate(
                    sizes if kind == "torchvision_50" else ((3, into, out), (3, out, out)), 1
                ):
                    conv(f"{here}.conv{k}", b, a, size)
                    norm(f"{here}.bn{k}", b)
            if projects:
                conv(f"{here}.{names['d']}.0", wide, into, 1)
                norm(f"{here}.{names['d']}.1", wide)
            into, number = wide, number + 1
    flat = into * (SIDE // 16) ** 2
    if kind == "insightface":
        norm("bn2", into)
        found |= {"fc.weight": (DIM, flat), "fc.bias": (DIM,)}
        norm("features", DIM)
    elif kind == "tface":
        norm("output_layer.0", into)
        found |= {"output_layer.3.weight": (DIM, flat), "output_layer.3.bias": (DIM,)}
        norm("output_layer.4", DIM, affine=False)
    else:
        found |= {"fc.weight": (DIM, into), "fc.bias": (DIM,)}
    return found


def rendered(kind: str) -> np.ndarray:
    """What torch computes from `images` in evaluation: embeddings, or pooled features."""
    import torch
    from torch.nn import functional

    state = {name: torch.tensor(tensor.tolist()) for name, tensor in checkpoint(kind).items()}

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x, name):
        return functional.batch_norm(
            x,
            state[f"{name}.running_mean"],
            state[f"{name}.running_var"],
            state.get(f"{name}.weight"),
            state.get(f"{name}.bias"),
        )

    def improved_unit(x, here, names, shortcut, stride):
        y = conv(norm(x, f"{here}.{names[0]}"), f"{here}.{names[1]}")
        y = functional.prelu(norm(y, f"{here}.{names[2]}"), state[f"{here}.{names[3]}.weight"])
        y = norm(conv(y, f"{here}.{names[4]}", stride), f"{here}.{names[5]}")
        if f"{here}.{shortcut}.0.weight" in state:
            x = norm(conv(x, f"{here}.{shortcut}.0", stride), f"{here}.{shortcut}.1")
        else:
            x = functional.max_pool2d(x, 1, stride)
        return x + y

    def plain_block(x, here, stride):
        count = 3 if kind == "torchvision_50" else 2
        y = x
        for k in range(1, count + 1):
            own = stride if k == count - 1 else 1
            y = norm(conv(y, f"{here}.conv{k}", own), f"{here}.bn{k}")
            y = torch.relu(y) if k < count else y
        if f"{here}.downsample.0.weight" in state:
            x = norm(conv(x, f"{here}.downsample.0", stride), f"{here}.downsample.1")
        return torch.relu(x + y)

    x = torch.tensor(images().tolist()).permute(0, 3, 1, 2)
    if kind == "tface":
        x = norm(conv(x, "input_layer.0"), "input_layer.1")
        x = functional.prelu(x, state["input_layer.2.weight"])
        names = [f"res_layer.{k}" for k in range(6)]
        for number in range(sum(UNITS)):
            x = improved_unit(x, f"body.{number}", names, "shortcut_layer", 2 - number % 2)
        x = norm(x, "output_layer.0").flatten(1)
        x = functional.linear(x, state["output_layer.3.weight"], state["output_layer.3.bias"])
        return np.array(norm(x, "output_layer.4").tolist(), np.float32)
    if kind == "insightface":
        x = functional.prelu(norm(conv(x, "conv1"), "bn1"), state["prelu.weight"])
        names = ["bn1", "conv1", "bn2", "prelu", "conv2", "bn3"]
        for stage in range(1, 5):
            for unit in range(2):
                x = improved_unit(x, f"layer{stage}.{unit}", names, "downsample", 2 - unit)
        x = functional.linear(norm(x, "bn2").flatten(1), state["fc.weight"], state["fc.bias"])
        return np.array(norm(x, "features").tolist(), np.float32)
    x = torch.relu(norm(conv(x, "conv1", 2), "bn1"))
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, units in enumerate((3, 4, 6, 3) if kind == "torchvision_50" else UNITS, 1):
        for unit in range(units):
            x = plain_block(x, f"layer{stage}.{unit}", 2 if stage > 1 and unit == 0 else 1)
    return np.array(x.mean((2, 3)).tolist(), np.float32)


if __name__ == "__main__":
    np.savez_compressed(VECTORS, **{kind: rendered(kind) for kind in KINDS})
