"""How well a masked autoencoder draws what it does not see, by group.

No paper prints this: it says whether pre-training served all groups alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fairjax.core.results import Results
from fairjax.protocols.by_image import per_image
from fairjax.protocols.by_image.grouped import mean_of
from fairjax.protocols.by_image.per_image import tables as tables


def evaluate(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures the reconstruction error of each group.

    Args:
      predictions: "loss" and "cluster" of each example, and the `group_by` attribute.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared.
      resamples: Bootstrap resamples, and permutations for noise floors.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Of the resamples.
      limits: Sentences about the labels.

    Raises:
      ValueError: If `group_by` is no classified attribute, or the loss is missing or not finite.
    """
    per_image.check(predictions, attributes=attributes, group_by=group_by, columns=["loss"])
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
        group_by=group_by,
        resamples=resamples,
        level=level,
        seed=seed,
        limits=limits,
    )
