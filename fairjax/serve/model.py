"""A face model that is ready for use, whatever it was read from."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32

from fairjax.core.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from fairjax.audit.finished import Audit

Flip = Literal["none", "sum", "concat"]
FLIPS = ("none", "sum", "concat")
BATCH = 64  # images that are computed at a time unless somebody says otherwise


class ModelError(UserError, ValueError):
    """A model cannot be read, used or written; the message says what, where and what to do."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done with an image before the network sees it.

    Attributes:
      height: Height of the images, in pixels.
      width: Width of the images, in pixels.
      mean: Mean of each channel, in pixel values from 0 to 255; it is subtracted.
      std: Divisor of each channel, in pixel values.
      colour: Order of the channels that the network sees: "RGB" or "BGR".
      layout: Order of the axes that the network sees: "NHWC" or "NCHW".
      flip: What is done with the mirror image: "none"; "sum" adds its embedding and normalises the
        sum; "concat" joins both embeddings and normalises them.
      resizes: Whether images of another size are resized; else they are refused.
      inside: What the model's own graph does with pixels, as `describe` says it; "" where it does
        nothing.
      found: For each of these settings where its value comes from, such as "graph", "flag" or
        "assumed"; {} where the model's own file has them all.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colour: str = "RGB"
    layout: str = "NHWC"
    flip: str = "none"
    resizes: bool = False
    inside: str = ""
    found: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """One line: "112 x 112 RGB, resized, (pixel - 127.5) / 127.5"."""
        if self.inside:
            return self.inside
        mean, std = _numbers(self.mean), _numbers(self.std)
        sizes = "resized" if self.resizes else "as they are"
        return f"{self.height} x {self.width} {self.colour}, {sizes}, (pixel - {mean}) / {std}"

    def to_json(self) -> dict[str, Any]:
        """The settings, JSON-ready."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that turns images into embeddings and predictions.

    Attributes:
      name: Name of the run or file, for people.
      kind: What it was read from: "run", "safetensors", "onnx" or "stablehlo".
      hash: SHA-256 of the weights, "sha256:...".
      preprocessing: What is done with an image before the network sees it.
      targets: For each attribute that is predicted or was learned: {"values": class names in label
        order, "mean", "std", "unit"}; {} where nothing is known.
      outputs: Shape of what the model makes of one image, by name: "embedding", "pred_<task>" (a
        number) and "prob_<task>" (a probability of each class).
      tasks: For each task of an attribute model the attribute that it predicts.
      step: Step of the checkpoint; None where the file does not say.
      multiple: The number of images in a batch must be a multiple of this.
      start: `(uint8 images [batch, height, width, 3], RGB) -> {name: array}`; the arrays may still
        be under way on a device.
      run_folder: Folder of the run with the weights and the flip that it was evaluated with; None
        for a file, another checkpoint or another flip.
    """

    name: str
    kind: str
    hash: str
    preprocessing: Preprocessing
    targets: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, tuple[int, ...]]
    tasks: Mapping[str, str]
    step: int | None
    multiple: int
    start: Callable[[np.ndarray], Mapping[str, Any]] = field(repr=False)
    run_folder: Path | None = None

    def embed(
        self, images: np.ndarray, *, batch_size: int = BATCH
    ) -> Float32[np.ndarray, "images dim"]:
        """Embeddings of face crops.

        Args:
          images: uint8 [images, height, width, 3], RGB crops of the model's size.
          batch_size: Number of images that are computed at a time.

        Raises:
          ModelError: If the images are of another size or type, or the model has no embedding.
        """
        if "embedding" not in self.outputs:
            raise ModelError(f"{self.name} has no embedding; it has {', '.join(self.outputs)}.")
        return self.predict(images, batch_size=batch_size)["embedding"]

    def predict(self, images: np.ndarray, *, batch_size: int = BATCH) -> dict[str, np.ndarray]:
        """All that the model makes of face crops: `outputs` says what, one row an image.

        Args:
          images: uint8 [images, height, width, 3], RGB crops of the model's size.
          batch_size: Number of images that are computed at a time.

        Raises:
          ModelError: If the images are of another size or type.
        """
        images = np.asarray(images)
        size = self.preprocessing.height, self.preprocessing.width
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*size, 3):
            raise ModelError(
                f"images are {images.dtype} {list(images.shape)}; {self.name} takes uint8 "
                f"[images, {size[0]}, {size[1]}, 3], RGB from 0 to 255."
            )
        if batch_size < 1:
            raise ModelError(f"batch_size={batch_size} must be 1 or more.")
        if not len(images):
            return {name: np.zeros((0, *shape), np.float32) for name, shape in self.outputs.items()}
        rows = self.rows(min(batch_size, len(images)))
        parts = [
            self.compute(images[start : start + rows], rows)
            for start in range(0, len(images), rows)
        ]
        return {name: np.concatenate([batch[name] for batch in parts]) for name in self.outputs}

    def evaluate(
        self, data: "str | Path | ConfigDict", *, folder: str | Path | None = None
    ) -> "Audit":
        """Numbers by group on other data: those of `python -m fairjax.main --evaluate RUN`.

        Args:
          data: A config that names data and protocol, or its name or file with its options, such as
            "quickstart:smoke". Backbone, method and image size are the run's.
          folder: Where predictions, results.json and report.html go; None is a folder in
            RUN-evaluations. An evaluation that is there already is read again.

        Returns:
          An object like that of `fairjax.audit(...)`: `.measure`, `.table`, `.report`, ...

        Raises:
          ModelError: If the model is not a run as it was evaluated.
          ConfigError: If the config is wrong or does not fit the model.
          WorkdirError: If the run is not finished, or the folder holds something else.
        """
        if self.run_folder is None:
            raise ModelError(
                f"{self.name} is no run with its own flip and evaluated checkpoint, and that is "
                "what evaluate takes; for another model type: fairjax audit --model MODEL --data "
                "rfw:DIR"
            )
        from fairjax.serve.evaluate import evaluate_run

        return evaluate_run(self.run_folder, data, None if folder is None else Path(folder))

    def rows(self, batch_size: int) -> int:
        """The smallest batch of at least so many images that the devices can share."""
        return -(-batch_size // self.multiple) * self.multiple

    def compute(self, images: np.ndarray, rows: int) -> dict[str, np.ndarray]:
        """One batch, filled up to `rows` images with black ones that are dropped again."""
        return fetched(self.start(padded(images, rows)), len(images))

    def with_flip(self, flip: str) -> "Model":
        """The same model, the mirror image's embedding being added or joined on the host.

        Raises:
          ModelError: If `flip` is not known, or the model already does so.
        """
        own = self.preprocessing.flip
        if flip not in FLIPS:
            raise ModelError(f"flip={flip!r} must be one of {', '.join(FLIPS)}.")
        if flip == own:
            return self
        if own != "none":
            raise ModelError(f"{self.name} was exported with flip {own!r}; it cannot be undone.")

        def start(images: np.ndarray) -> Mapping[str, Any]:
            columns, mirrored = self.start(images), self.start(images[:, :, ::-1])
            plain, mirror = (np.asarray(x["embedding"]) for x in (columns, mirrored))
            both = plain + mirror if flip == "sum" else np.concatenate([plain, mirror], axis=1)
            length = np.linalg.norm(both, axis=1, keepdims=True)
            return {**columns, "embedding": both / np.maximum(length, np.finfo(np.float32).tiny)}

        (dim,) = self.outputs["embedding"]
        return replace(
            self,
            preprocessing=replace(self.preprocessing, flip=flip),
            outputs={**self.outputs, "embedding": (2 * dim if flip == "concat" else dim,)},
            start=start,
            run_folder=None,
        )


def padded(images: np.ndarray, rows: int) -> np.ndarray:
    """The images and as many black ones as make `rows`."""
    missing = rows - len(images)
    return np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else images


def fetched(columns: Mapping[str, Any], rows: int) -> dict[str, np.ndarray]:
    """The first rows of each array, on the host and of a batch that has been computed."""
    return {name: np.asarray(column)[:rows] for name, column in columns.items()}


def _numbers(values: tuple[float, ...]) -> str:
    """One number where all channels share it, else all."""
    shown = [f"{value:.6g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"[{', '.join(shown)}]"
