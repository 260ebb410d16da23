"""JPEG files to normalised 224-pixel training batches: FairJAX against a PyTorch DataLoader.

    python benchmarks/input_pipeline.py

Both resize to 224 pixels, flip with probability 0.5, rotate by up to 10 degrees with bilinear
interpolation and black corners, and end with a normalised float32 batch of 64 on the CPU. The peer
is what one writes first: Pillow in two DataLoader workers. Three cases, one JSON line each:

    cached   ours keeps decoded images in memory, the peer decodes each time: training as it is run
    cold     ours decodes each time as well: the first epoch, or data larger than the cache
    shared   the peer keeps resized images in memory as well

The two take turns within one run. Before a turn both fill their prefetch buffers to the brim, so
that neither works during the other's turn; the turn starts with batches that are not counted, so
that neither is credited with what it prefetched.

Images: 200x200 JPEGs of $FAIRJAX_DATA/utkface.tar, else smoothed noise. Needs the `bench` extra.
"""

import argparse
import io
import json
import os
import platform
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE, BATCH, WORKERS = 224, 64, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNCOUNTED = 8  # more batches than either side prefetches
SETTLE_S = 2.0  # more than two workers need for the batches that they prefetch


def jpegs(n: int) -> tuple[list[bytes], str]:
    """The files, and where they come from."""
    tar = Path(os.environ.get("FAIRJAX_DATA", "")) / "utkface.tar"
    if tar.is_file():
        with tarfile.open(tar) as archive:
            members = [m for m in archive if m.isfile()]
            chosen = members[:: max(1, len(members) // n)][:n]
            return [archive.extractfile(m).read() for m in chosen], "utkface"  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    files = []
    for _ in range(n):
        file = io.BytesIO()
        noise = Image.fromarray(rng.integers(0, 256, (25, 25, 3)).astype(np.uint8))
        noise.resize((200, 200), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files, "smoothed noise"


def ours(files: list[bytes], *, cached: bool) -> Iterator[Any]:
    """Batches of FairJAX, normalised on JAX's device."""
    import jax
    import jax.numpy as jnp

    from fairjax.data.dataset import Examples
    from fairjax.data.stream.augment import Augment
    from fairjax.data.stream.pipeline import train_batches

    scale = jnp.asarray(1 / (255 * np.array(STD)), jnp.float32)
    offset = jnp.asarray(-np.array(MEAN) / STD, jnp.float32)

    # The spent batch is donated, so that its memory is used again as a training step would. Four
    # fifths of the time of a normalisation into fresh memory goes into mapping its 38 MB.
    @partial(jax.jit, donate_argnames="spent", keep_unused=True)
    def normalise(image: jax.Array, spent: jax.Array) -> jax.Array:
        return image.astype(jnp.float32) * scale + offset

    examples = Examples(
        ids=np.arange(len(files)).astype(str),
        labels={},
        cluster=np.arange(len(files)),
        read=lambda rows: [files[row] for row in rows],
    )
    batches = train_batches(
        examples,
        batch_size=BATCH,
        image_size=SIZE,
        seed=0,
        start_step=0,
        process_index=0,
        process_count=1,
        augment=Augment(flip=0.5, rotation_degrees=10.0),
        cache_mb=1 << 20 if cached else 0,
    )
    normalised = jnp.zeros((BATCH, SIZE, SIZE, 3))
    for batch in batches:
        normalised = jax.block_until_ready(normalise(batch["image"], spent=normalised))
        yield None  # not the batch, which the next round overwrites


class PeerDataset:
    """A torch map-style dataset: Pillow, then float32 [3, height, width]."""

    def __init__(self, files: Sequence[bytes], *, cached: bool) -> None:
        import torch

        self.files = files
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        self.resized = [self._decoded(file) for file in files] if cached else None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Any:
        import torch

        image = self.resized[row] if self.resized else self._decoded(self.files[row])
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        angle = float(torch.empty(()).uniform_(-10, 10))
        image = image.rotate(angle, Image.Resampling.BILINEAR)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        tensor = tensor.to(torch.float32).div_(255)
        return tensor.sub_(self.mean).div_(self.std)

    @staticmethod
    def _decoded(file: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(file)).convert("RGB")
        return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def peer(files: list[bytes], *, cached: bool) -> Iterator[Any]:
    """Batches of a DataLoader with two workers."""
    import torch

    loader = torch.utils.data.DataLoader(
        PeerDataset(files, cached=cached),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="spawn",  # forking a process that runs threads is not safe
    )
    while True:
        yield from loader


def images_per_second(batches: Iterator[Any], count: int) -> float:
    time.sleep(SETTLE_S)
    for _ in range(UNCOUNTED):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return count * BATCH / (time.perf_counter() - start)


def measure(
    case: str, files: list[bytes], source: str, rounds: int, batches: int
) -> dict[str, Any]:
    """Runs one case; returns its JSON line."""
    import jax
    import tensorflow as tf
    import torch

    makers: dict[str, Callable[[], Iterator[Any]]] = {
        "ours": lambda: ours(files, cached=case != "cold"),
        "peer": lambda: peer(files, cached=case == "shared"),
    }
    running = {name: make() for name, make in makers.items()}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for turn in range(rounds + 1):
        for name, iterator in running.items():
            rate = images_per_second(iterator, batches)
            if turn:  # the first compiles and starts workers
                rates[name].append(rate)
    ratios = [a / b for a, b in zip(rates["ours"], rates["peer"], strict=True)]

    def spread(values: list[float]) -> dict[str, float]:
        return {
            "min": round(min(values), 2),
            "median": round(statistics.median(values), 2),
            "max": round(max(values), 2),
        }

    return {
        "benchmark": "input_pipeline",
        "case": case,
        "ours_images_per_second": spread(rates["ours"]),
        "peer_images_per_second": spread(rates["peer"]),
        "ratio": spread(ratios),
        "images": source,
        "size": SIZE,
        "batch": BATCH,
        "rounds": rounds,
        "device": f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}",
        "versions": {
            "jax": jax.__version__,
            "tensorflow": tf.__version__,
            "torch": torch.__version__,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=16, help="counted in each turn")
    parser.add_argument("--case", choices=("cached", "cold", "shared"), action="append")
    args = parser.parse_args()
    files, source = jpegs(args.images)
    for case in args.case or ("cached", "cold", "shared"):
        print(json.dumps(measure(case, files, source, args.rounds, args.batches)), flush=True)


if __name__ == "__main__":
    main()
