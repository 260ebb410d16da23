"""All settings of a run, in one object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import optax

from fairjax.core.settings import (
    EvalSettings,
    InitSettings,
    InputSettings,
    OptimSettings,
    TrainSettings,
)
from fairjax.core.types import Method
from fairjax.data.dataset import DatasetSettings
from fairjax.run.score import Scoring


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What `fairjax.run.build.build_run` makes of a config; nothing below it sees the config.

    Attributes:
      seed: Root of all randomness.
      data: Where the data is and how it is split.
      input: From files to what the network sees.
      backbone: From images to features, in the compute dtype.
      init: Weights that training starts from.
      method: Key of METHODS.
      make_method: `(*, backbone, targets, preprocess) -> Method`.
      optim: Rate, decay, clipping and frozen parts.
      make_optimizer: `(*, lr, weight_decay, mask) -> optax chain`.
      make_schedule: `(*, peak_lr, total_steps, steps_per_epoch) -> schedule`.
      train: Length, batch, checkpoints and early stopping.
      eval: Which weights are evaluated.
      scoring: From predictions to numbers and a report.
      learned: Attributes that the method learns, as far as its settings name them.
      class_label: Attribute whose values are the classes of a margin loss; "" without one.
      head: Kind of the method's class head; "dense" without one.
      flip: What the method does with an image's mirror image, as its setting `tta` says; "" where
        it has no such setting.
      title: Name of the run, for a heading.
      tree: The resolved config as plain values, to be saved beside the results.
    """

    seed: int
    data: DatasetSettings
    input: InputSettings
    backbone: nn.Module
    init: InitSettings
    method: str
    make_method: Callable[..., Method]
    optim: OptimSettings
    make_optimizer: Callable[..., optax.GradientTransformation]
    make_schedule: Callable[..., optax.Schedule]
    train: TrainSettings
    eval: EvalSettings
    scoring: Scoring
    learned: frozenset[str]
    class_label: str
    head: str
    flip: str
    title: str
    tree: Mapping[str, Any]
