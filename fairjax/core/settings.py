"""Settings of a run, one dataclass a section of its config; each is checked when it is made.

A check's message begins with the field's name and value: `epochs=0.0 must be above 0.`; whoever
reads a config puts the section's path before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def need(ok: bool, key: str, value: Any, rule: str) -> None:
    """Refuses a value.

    Raises:
      ValueError: `key=value must be rule.`, where `ok` is False.
    """
    if not ok:
        raise ValueError(f"{key}={value!r} must be {rule}.")


def need_one_of(key: str, value: str, known: Sequence[str]) -> None:
    """Refuses a word that is not known.

    Raises:
      ValueError: Lists those that are.
    """
    need(value in known, key, value, "one of " + ", ".join(map(repr, known)))


TRACKERS = ("tensorboard", "wandb", "mlflow")
OPTIMIZATION_LEVELS = ("O0", "O1", "O2", "O3")


class Checked:
    """Bounds that the settings of a section share."""

    def need_above_zero(self, *keys: str) -> None:
        """Refuses the first of these fields that is 0 or less."""
        for key in keys:
            need(getattr(self, key) > 0, key, getattr(self, key), "above 0")

    def need_zero_or_more(self, *keys: str) -> None:
        """Refuses the first of these fields that is below 0."""
        for key in keys:
            need(getattr(self, key) >= 0, key, getattr(self, key), "0 or more")


@dataclass(frozen=True)
class Augment:
    """Random changes of a training image; by default, none.

    Attributes:
      flip: Probability of a mirror image.
      rotation_degrees: The angle is uniform in [-rotation_degrees, rotation_degrees].
      crop_scale: The share of the area that is kept and blown up to the full size is uniform
        between these two, in (0, 1].
      crop_ratio: Width / height of the crop is log-uniform between these two. A side that would be
        longer than the image's is cut to it (torchvision draws again instead).
      shift: The image is moved along each axis by a share of its side uniform in [-shift, shift]:
        padding and random cropping.
      brightness: All channels are multiplied by a factor uniform in 1 ± brightness.
      contrast: The distance to the image's mean grey is, by a factor uniform in 1 ± contrast.
      saturation: The distance to the pixel's grey is, by a factor uniform in 1 ± saturation.
      grey: Probability that all colour is taken away.

    What lies outside the image is black. Colour comes after geometry, and is clipped to [0, 255]
    once, at the end.
    """

    flip: float = 0.0
    rotation_degrees: float = 0.0
    crop_scale: tuple[float, float] = (1.0, 1.0)
    crop_ratio: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "shift", "brightness", "contrast", "saturation", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must lie in [0, 1].")
        if not 0 <= self.rotation_degrees <= 180:
            raise ValueError(f"rotation_degrees={self.rotation_degrees} must lie in [0, 180].")
        for name, top in (("crop_scale", 1.0), ("crop_ratio", np.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= top:
                raise ValueError(
                    f"{name}=({low}, {high}) must be (low, high) with 0 < low <= high"
                    + (" <= 1." if top == 1 else ".")
                )

    @property
    def moves(self) -> bool:
        """Whether pixels change place."""
        plain = (self.crop_scale, self.crop_ratio) == ((1.0, 1.0), (1.0, 1.0))
        return not plain or any((self.flip, self.rotation_degrees, self.shift))

    @property
    def colours(self) -> bool:
        """Whether pixels change colour."""
        return any((self.brightness, self.contrast, self.saturation, self.grey))


@dataclass(frozen=True, kw_only=True)
class HideSettings:
    """Patches that are covered in every image, in training and in evaluation.

    Attributes:
      sensitivity: File of a sensitivity map, or the folder of its run; "" covers nothing.
      ratio: Share of the patches that is covered.
      direction: Patches that are covered: "sensitive" or "nonsensitive".
      value: Colour of a covered patch: "mean" or "black".
    """

    sensitivity: str = ""
    ratio: float = 0.25
    direction: str = "sensitive"
    value: str = "mean"

    def __post_init__(self) -> None:
        need(0 <= self.ratio < 1, "ratio", self.ratio, "at least 0 and below 1")
        need_one_of("direction", self.direction, ("sensitive", "nonsensitive"))
        need_one_of("value", self.value, ("mean", "black"))


@dataclass(frozen=True, kw_only=True)
class InputSettings(Checked):
    """The `input` section: from files to what the network sees.

    Attributes:
      image_size: Height and width in pixels.
      normalise: "imagenet": channel mean and deviation; "half": (x/255 - 0.5)/0.5.
      cache_mb: Decoded images stay in memory up to this size, in MiB.
      balance: A label whose classes come equally often, such as identity or group; "" is none.
      images_per_identity: Images of a person that a batch has together, 2 or more, for methods that
        compare a person's images; people then come equally often. 0 shuffles images alone.
      augment: Random changes of a training image.
      views: Views of an image: 2 for methods that compare two.
      second_augment: Random changes of the second view.
      hide: Patches that are covered.
    """

    image_size: int = 64
    normalise: str = "imagenet"
    cache_mb: int = 4096
    balance: str = ""
    images_per_identity: int = 0
    augment: Augment = Augment()
    views: int = 1
    second_augment: Augment = Augment()
    hide: HideSettings = HideSettings()

    def __post_init__(self) -> None:
        even = self.image_size >= 2 and self.image_size % 2 == 0
        need(even, "image_size", self.image_size, "above 0 and even")
        self.need_zero_or_more("cache_mb")
        need(self.views in (1, 2), "views", self.views, "1 or 2")
        each = self.images_per_identity
        need(each == 0 or each >= 2, "images_per_identity", each, "0, or 2 or more")
        fits = not each or self.balance in ("", "identity")
        need(fits, "balance", self.balance, "'' or 'identity' beside images_per_identity")
        need_one_of("normalise", self.normalise, ("imagenet", "half"))

    @property
    def balanced(self) -> str:
        """The label whose classes come equally often; "" is none."""
        return "identity" if self.images_per_identity else self.balance

    @property
    def second(self) -> Augment | None:
        """Random changes of the second view; None where there is one view."""
        return self.second_augment if self.views == 2 else None


@dataclass(frozen=True, kw_only=True)
class InitSettings:
    """The `init` section: weights that training starts from.

    Attributes:
      run: Another run's folder, or a checkpoint (.safetensors, .pth, .npz) of an IResNet, ResNet,
        ViT or MAE under the names of its public programs; "" starts from random weights.
      part: Module that is taken: "backbone" (or another module), or "all"; "scorer=backbone" takes
        the other model's backbone for this model's scorer.
      channels: Order of colours that a checkpoint's network was trained with: "rgb" or "bgr". The
        first layer of a "bgr" network is turned, for our images are RGB. Runs are RGB.
    """

    run: str = ""
    part: str = "backbone"
    channels: str = "rgb"

    def __post_init__(self) -> None:
        need_one_of("channels", self.channels, ("rgb", "bgr"))


@dataclass(frozen=True, kw_only=True)
class UnfreezeSettings(Checked):
    """Parts that are frozen at first and released one by one.

    Attributes:
      parts: Paths of parameters, in the order of their release.
      every_epochs: Epochs between two releases.
      factor: Factor of the learning rate for each place down the list, in (0, 1].
    """

    parts: tuple[str, ...] = ()
    every_epochs: float = 5.0
    factor: float = 0.3

    def __post_init__(self) -> None:
        self.need_above_zero("every_epochs")
        need(0 < self.factor <= 1, "factor", self.factor, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class OptimSettings(Checked):
    """The `optim` section, apart from its algorithm and schedule, which have settings of their own.

    Attributes:
      peak_lr: Largest learning rate, at the global batch size; not scaled behind your back.
      weight_decay: Strength of the weight decay.
      decay_norms: Whether biases and normalisation scales decay too (face recipes).
      clip_norm: Largest global gradient norm; 0 is off.
      layer_decay: Factor of the rate for each block further down; 1 is off.
      freeze: Parts that stay as they are, in inference mode: ("backbone",) is a linear probe. A
        part is a path of parameters; * stands for anything, | between alternatives.
      unfreeze: Parts that are released while training.
    """

    peak_lr: float = 3e-4
    weight_decay: float = 0.05
    decay_norms: bool = False
    clip_norm: float = 0.0
    layer_decay: float = 1.0
    freeze: tuple[str, ...] = ()
    unfreeze: UnfreezeSettings = UnfreezeSettings()

    def __post_init__(self) -> None:
        self.need_above_zero("peak_lr")
        self.need_zero_or_more("weight_decay", "clip_norm")
        need(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Checked):
    """The `train` section; lengths are in epochs of the training split.

    Attributes:
      epochs: How long to train.
      batch_size: Rows of the global batch, over all devices and processes.
      accumulate: Micro-batches a step.
      head_shards: Devices that the class weights of a split head lie on.
      shard_optimizer: Whether the optimiser's state is spread over all devices (ZeRO stage 1): less
        memory a device, more traffic between them.
      ema_decay: Decay of an average of the weights that is evaluated instead of them; 0 is off.
      log_every: Steps between two logged lines.
      evaluate_every: Epochs between looks at the validation split.
      checkpoint_every: Seconds between checkpoints.
      keep_last: Number of newest checkpoints that are kept.
      keep_best: Number of best checkpoints that are kept besides.
      best_metric: Metric of the validation split; *loss and *mae are minimised.
      patience: Early stopping: evaluations without a better `best_metric` after which training
        stops; 0 is off.
      track: Where scalars are written besides metrics.jsonl: "tensorboard", "wandb", "mlflow".
        All three write to the run's folder; WANDB_MODE and MLFLOW_TRACKING_URI name a server.
      optimization_level: How hard XLA tries to make programs fast, "O0" to "O3": more takes longer
        to compile. "" is the backend's own. It changes numbers in their last digits.
      xla_flags: Flags added to XLA_FLAGS, such as "--xla_gpu_autotune_level=0"; none are needed.
    """

    epochs: float = 60.0
    batch_size: int = 128
    accumulate: int = 1
    head_shards: int = 1
    shard_optimizer: bool = False
    ema_decay: float = 0.0
    log_every: int = 20
    evaluate_every: float = 1.0
    checkpoint_every: float = 300.0
    keep_last: int = 2
    keep_best: int = 1
    best_metric: str = "loss"
    patience: int = 0
    track: tuple[str, ...] = ("tensorboard",)
    optimization_level: str = ""
    xla_flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.need_above_zero(
            "epochs",
            "batch_size",
            "accumulate",
            "head_shards",
            "log_every",
            "evaluate_every",
            "keep_last",
        )
        self.need_zero_or_more("checkpoint_every", "keep_best", "patience")
        need(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "at least 0 and below 1")
        if self.optimization_level:
            need_one_of("optimization_level", self.optimization_level, OPTIMIZATION_LEVELS)
        for name in self.track:
            need_one_of("track", name, TRACKERS)
        need(len(set(self.track)) == len(self.track), "track", self.track, "names that differ")


@dataclass(frozen=True, kw_only=True)
class SensitivitySettings:
    """Where a ViT that classifies an attribute looks, as sensitivity.npz.

    Attributes:
      attribute: What it classifies; "" collects nothing.
      source: What of a layer's attention, the mean over its heads, is a patch's weight. "cls": what
        the class token pays to the patch; "mean_query": what the patches pay to it, on average;
        "rollout": the class token's row of the product over layers of (attention + identity) / 2
        (Abnar and Zuidema 2020, arXiv 2005.00928).
      layers: "all" for the mean over layers, or "last".
      images: "all", or "correct": those that it classifies rightly.
      symmetrise: Whether a map is averaged with its mirror image.
    """

    attribute: str = ""
    source: str = "cls"
    layers: str = "all"
    images: str = "all"
    symmetrise: bool = False

    def __post_init__(self) -> None:
        need_one_of("source", self.source, ("cls", "mean_query", "rollout"))
        need_one_of("layers", self.layers, ("all", "last"))
        need_one_of("images", self.images, ("all", "correct"))


@dataclass(frozen=True, kw_only=True)
class EvalSettings(Checked):
    """The `eval` section, apart from its protocol, which has settings of its own.

    Attributes:
      batch_size: Rows of the global batch.
      weights: "last", or "best": the checkpoint with the best validation metric.
      published: "resnet50" or "tfc" prints the source's numbers beside ours; "" prints none.
      sensitivity: Where a classifier looks.
    """

    batch_size: int = 256
    weights: str = "last"
    published: str = ""
    sensitivity: SensitivitySettings = SensitivitySettings()

    def __post_init__(self) -> None:
        self.need_above_zero("batch_size")
        need_one_of("weights", self.weights, ("last", "best"))
        need_one_of("published", self.published, ("", "resnet50", "tfc"))
