"""A model whose outputs are worked out by hand from the pixels, and images for it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fairjax.serve.model import Model, Preprocessing

SIDE = 8
COLOURS = ((10, 20, 30), (200, 100, 0), (0, 0, 60))  # of the images, one colour each


def example_model(outputs: Sequence[str] = ("embedding",), **changes) -> Model:
    """A model of 8 x 8 images: their mean colour is the embedding, its red share a probability."""

    def start(images: np.ndarray) -> dict[str, np.ndarray]:
        mean = images.mean(axis=(1, 2), dtype=np.float32)
        old = mean[:, :1] / 255
        made = {
            "embedding": mean,
            "prob_gender": np.concatenate([1 - old, old], axis=1),
            "pred_age": mean[:, :1] / 10,
        }
        return {name: made[name] for name in outputs}

    shapes = {"embedding": (3,), "prob_gender": (2,), "pred_age": (1,)}
    one = (127.5,) * 3
    model = Model(
        name="colours",
        kind="onnx",
        hash="sha256:0123456789abcdef0123",
        preprocessing=Preprocessing(height=SIDE, width=SIDE, mean=one, std=one),
        targets={"gender": {"values": ("male", "female")}},
        outputs={name: shapes[name] for name in outputs},
        tasks={},
        step=None,
        multiple=1,
        start=start,
    )
    return replace(model, **changes)


def write_images(folder: Path, sides: Sequence[int] = (SIDE, SIDE, SIDE)) -> Path:
    """Square PNG images `0.png`, `1.png`, ... of `COLOURS`, with the given sides."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, side in enumerate(sides):
        pixels = np.full((side, side, 3), COLOURS[k], np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder
