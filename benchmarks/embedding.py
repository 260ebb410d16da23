"""Embeddings of an IResNet-50 from JPEG crops: `fairjax embed` against its bare forward pass.

    python benchmarks/embedding.py

Four cases take turns in each round, on the same 112-pixel crops:

    bare        the run's jitted forward pass on decoded pixels
    files       the same through `fairjax embed`: JPEG files from a folder, decoded in parallel,
                parts written as the command writes them
    onnx_bare   onnxruntime on the exported model, decoded pixels
    onnx_files  the same through `fairjax embed`

One JSON line: images per second of each case, and the ratio of "files" to "bare" of each round. 1
means that decoding is never waited for. Weights are fresh; crops are smoothed noise.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from fairjax.config import backbone, base_config, method
from fairjax.run.loading import LoadedRun, assemble
from fairjax.serve.export import export
from fairjax.serve.load import load
from fairjax.serve.model import Model
from fairjax.serve.runs import as_model
from fairjax.serve.sources import open_images
from fairjax.serve.stream import run_over

SIZE = 112


def fresh_run(depth: int) -> LoadedRun:
    """An IResNet with fresh weights, as a finished run of a margin loss is loaded."""
    config = base_config()
    config.input.update(image_size=SIZE, normalise="half")
    config.method = method("cosine_margin")
    config.backbone = backbone("iresnet", depth=depth)
    description = {
        "targets": {"identity": {"values": [], "classes": 16, "mean": 0.0, "std": 1.0, "unit": ""}},
        "input": {"image_size": SIZE, "colour": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3}
        | {"normalise": "half", "hidden": None},
        "flip": "none",
    }

    def loaded(variables: Any) -> LoadedRun:
        tree = config.to_dict()
        return assemble(tree, description, variables, folder=Path("fresh"), step=0)

    batch = {"image": np.zeros((2, SIZE, SIZE, 3), np.uint8), "identity": np.zeros(2, np.int32)}
    batch["mask"] = np.ones(2, bool)
    shapes = jax.eval_shape(loaded({}).method.init, jax.random.key(0), batch)
    rng = np.random.default_rng(0)

    def drawn(path: Any, leaf: Any) -> np.ndarray:
        constant = {"scale": 1.0, "var": 1.0, "slope": 0.25, "bias": 0.0, "mean": 0.0}
        name = path[-1].key
        if name in constant:
            return np.full(leaf.shape, constant[name], np.float32)
        fan_in = max(1, leaf.size // leaf.shape[-1])
        return (rng.standard_normal(leaf.shape) / fan_in**0.5).astype(np.float32)

    params, state = jax.tree_util.tree_map_with_path(drawn, shapes)
    return loaded({"params": params, **state})


def write_crops(folder: Path, count: int) -> None:
    """JPEG files of smoothed noise."""
    rng = np.random.default_rng(0)
    for k in range(count):
        noise = Image.fromarray(rng.integers(0, 256, (14, 14, 3), np.uint8))
        noise.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg", quality=92)


def measure(depth: int, count: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """All cases in turns; the JSON line."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        crops = folder / "crops"
        crops.mkdir()
        write_crops(crops, count)
        run = fresh_run(depth)
        exported = folder / "model.onnx"
        started = time.perf_counter()
        export(run, exported, kind="onnx", normalised=False)
        export_s = time.perf_counter() - started
        images = open_images(str(crops))
        pixels = np.stack([images.read(row) for row in range(count)])
        models = {"": as_model(run, kind="run"), "onnx_": load(exported)}

        def bare(model: Model) -> Callable[[], Any]:
            return lambda: model.embed(pixels, batch_size=batch_size)

        def files(model: Model) -> Callable[[], Any]:
            def embed() -> None:
                shutil.rmtree(folder / "out.npz.parts", ignore_errors=True)
                run_over(model, images, folder / "out.npz", batch_size=batch_size)

            return embed

        cases = {
            prefix + name: make(model)
            for prefix, model in models.items()
            for name, make in (("bare", bare), ("files", files))
        }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name, case in cases.items():
                started = time.perf_counter()
                case()
                if turn:  # the first compiles
                    rates[name].append(count / (time.perf_counter() - started))
    ratios = {
        f"{prefix}files_over_bare": spread(
            [a / b for a, b in zip(rates[f"{prefix}files"], rates[f"{prefix}bare"], strict=True)]
        )
        for prefix in models
    }
    return {
        "benchmark": "embedding",
        "depth": depth,
        "images_per_second": {name: spread(values) for name, values in rates.items()},
        **ratios,
        "export_to_onnx_s": round(export_s, 1),
        "images": count,
        "batch": batch_size,
        "rounds": rounds,
        "device": f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}",
        "jax": jax.__version__,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Smallest, median and largest."""
    values = sorted(round(value, 3) for value in values)
    return {"min": values[0], "median": round(statistics.median(values), 3), "max": values[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps(measure(args.depth, args.images, args.batch, args.rounds)))


if __name__ == "__main__":
    main()
