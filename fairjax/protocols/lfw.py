"""LFW and lists of its form: ten-fold accuracy and error rates, by group where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results
from fairjax.protocols.settings import PairSettings
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.bias import Bias
from fairjax.protocols.verification.gaps import BiasDegree
from fairjax.protocols.verification.tables import tables as tables


@dataclass(frozen=True, kw_only=True)
class LfwSettings(PairSettings):
    """Settings of LFW-style pairs, generated ones too.

    Attributes:
      group_by: Attribute whose groups are compared, or "" for everyone alone.
      accuracy: A variant of `accuracy.VARIANTS`; "insightface" is the customary one.
      bias_fmrs: Overall FMRs over all pairs of the images, at whose thresholds FMR and TMR are
        measured by group and their spread over groups and over people; () leaves it out.
    """

    group_by: str = "group"

    def bias(self) -> Bias:
        """The rates over all pairs that these settings ask for."""
        return Bias(
            fmrs=tuple(self.bias_fmrs),
            pool="all_pairs",
            pairs="within_group_all",
            degree=BiasDegree("target", 1, "ratio"),
        )


def measure_lfw(
    predictions: Mapping[str, np.ndarray],
    settings: LfwSettings,
    *,
    pairs: Pairs,
    attributes: Mapping[str, Sequence[str]],
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a model's embeddings of the benchmark's images.

    Args:
      predictions: Columns with one row an image: "id", "cluster" (the number of the person),
        "embedding", and the `group_by` attribute.
      settings: What is measured.
      pairs: Rows of the predictions that the list compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      seed: Seed of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or a setting is out of range.

    Source: Huang et al., "Labeled Faces in the Wild", 2007, for the folds.
    """
    group_by = settings.group_by
    embeddings = embedded.embeddings_of(
        predictions,
        attributes=attributes,
        group_by=group_by,
        pairs=pairs,
        scorer=settings.scorer,
    )
    return embedded.measure_embeddings(
        embeddings,
        pairs,
        name="lfw",
        attribute=group_by,
        accuracies=[settings.accuracy],
        bias=settings.bias(),
        tolerance=float(settings.tolerance),
        fmrs=tuple(settings.fmrs),
        resamples=settings.resamples,
        level=settings.level,
        seed=seed,
        limits=limits,
    )
