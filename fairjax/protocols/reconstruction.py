"""How well a masked autoencoder draws what it does not see, by group.

No paper prints this: it says whether pre-training served all groups alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairjax.core.results import Results
from fairjax.protocols.by_image import per_image
from fairjax.protocols.by_image.grouped import mean_of
from fairjax.protocols.by_image.per_image import tables as tables
from fairjax.protocols.settings import ProtocolSettings


@dataclass(frozen=True, kw_only=True)
class ReconstructionSettings(ProtocolSettings):
    """Settings of what masked autoencoders have learned."""


def measure_reconstruction(
    predictions: Mapping[str, np.ndarray],
    settings: ReconstructionSettings,
    *,
    attributes: Mapping[str, Sequence[str]],
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures the reconstruction error of each group.

    Args:
      predictions: "loss" and "cluster" of each example, and the `group_by` attribute.
      settings: What is measured.
      attributes: For each attribute the names of its values in label order.
      seed: Seed of the resamples.
      limits: Sentences about the labels.

    Raises:
      ValueError: If `group_by` is no classified attribute, or the loss is missing or not finite.
    """
    per_image.require_columns(
        predictions, attributes=attributes, group_by=settings.group_by, columns=["loss"]
    )
    error = mean_of(
        "reconstruction_loss",
        predictions["loss"].astype(np.float64),
        unit="squared units",
        rule="squared error a pixel of the removed patches, in the units of the training target",
        lower_is_better=True,
    )
    return per_image.assess(
        "reconstruction",
        [error],
        predictions,
        attributes=attributes,
        group_by=settings.group_by,
        resamples=settings.resamples,
        level=settings.level,
        seed=seed,
        limits=limits,
    )
