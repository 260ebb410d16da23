"""LFW and lists of its form: ten-fold accuracy and error rates, by group where there are any."""

from collections.abc import Mapping, Sequence

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.bias import Bias
from fairjax.protocols.verification.gaps import BiasDegree
from fairjax.protocols.verification.tables import tables as tables


def evaluate(
    predictions: Mapping[str, np.ndarray],
    *,
    pairs: Pairs,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    accuracy: str,
    fmrs: Sequence[float],
    tolerance: float | int,
    bias_fmrs: Sequence[float],
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a model's embeddings of the benchmark's images.

    Args:
      predictions: Columns with one row an image: "id", "cluster" (the number of the person),
        "embedding", and the `group_by` attribute.
      pairs: Rows of the predictions that the list compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared, or "" for everyone alone.
      accuracy: A variant of `accuracy.VARIANTS`; "insightface" is the customary one.
      fmrs: Overall false match rates to read error rates at, fractions in (0, 1).
      tolerance: See `embedded.evaluate`.
      bias_fmrs: Overall FMRs over all pairs of the images, at whose thresholds FMR and TMR are
        measured by group and their spread over groups and over people; () leaves it out.
      resamples: Bootstrap resamples of people; 2,000 or more to publish.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or a setting is out of range.

    Source: Huang et al., "Labeled Faces in the Wild", 2007, for the folds.
    """
    embeddings = embedded.embeddings_of(
        predictions, attributes=attributes, group_by=group_by, pairs=pairs
    )
    return embedded.evaluate(
        embeddings,
        pairs,
        name="lfw",
        attribute=group_by,
        accuracies=[accuracy],
        bias=Bias(
            fmrs=tuple(bias_fmrs),
            pool="all_pairs",
            pairs="within_group_all",
            degree=BiasDegree("target", 1, "ratio"),
        ),
        tolerance=float(tolerance),
        fmrs=tuple(fmrs),
        resamples=resamples,
        level=level,
        seed=seed,
        limits=limits,
    )
