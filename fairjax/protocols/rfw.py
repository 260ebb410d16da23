"""RFW: accuracy by race in ten folds, error rates at one threshold, and the bias degree.

Each race has its own 6,000 pairs, of which the 3,000 non-mated ones were selected to be hard and
lie within the race. The accuracy that papers print (Avg, Std, SER) gives each race its own
thresholds; the error rates here share one. `fairjax.protocols.verification.tables` renders both.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.accuracy import VARIANTS
from fairjax.protocols.verification.bias import Bias, GroupPairs, ThresholdPool
from fairjax.protocols.verification.gaps import BiasDegree
from fairjax.protocols.verification.tables import tables as tables


def evaluate(
    predictions: Mapping[str, np.ndarray],
    *,
    pairs: Pairs,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    accuracy: str,
    all_accuracies: bool,
    fmrs: Sequence[float],
    tolerance: float | int,
    bias_fmrs: Sequence[float],
    bias_pool: ThresholdPool,
    bias_threshold: float | int,
    bias_pairs: GroupPairs,
    bias_denominator: Literal["target", "realised", "mean_group"],
    bias_ddof: Literal[0, 1],
    bias_scale: Literal["ratio", "percent"],
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a model's embeddings of the benchmark's images.

    Args:
      predictions: Columns with one row an image: "id", "cluster" (the number of the person),
        "embedding", and the `group_by` attribute.
      pairs: Rows of the predictions that the benchmark compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared: "race".
      accuracy: A variant of `accuracy.VARIANTS`; "rfw_official" to compare with papers. The same
        without centring is reported beside it.
      all_accuracies: Whether to report every variant beside it.
      fmrs: Overall false match rates to read error rates at, fractions in (0, 1). The list has
        12,000 non-mated pairs: 1e-3 rests on 12 errors in all.
      tolerance: See `embedded.evaluate`.
      bias_fmrs: Overall FMRs of the bias degree, 1e-5 to 1e-2 in the paper; () leaves it out.
      bias_pool: Where its thresholds come from; "all_pairs" of the images fits the printed numbers.
      bias_threshold: A score for `bias_pool` "fixed"; otherwise not used.
      bias_pairs: Whose FMR spreads; "protocol", the list's, fits the printed numbers.
      bias_denominator: What the spread is divided by.
      bias_ddof: Of the standard deviation.
      bias_scale: "ratio", or "percent" for a hundred times as much.
      resamples: Bootstrap resamples of people; 2,000 or more to publish.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or a setting is out of range.

    Source: Wang et al., ICCV 2019, for the pairs; Xu et al., CVPR 2021 (arXiv 2106.05519), tables
      3 to 5. The definition of the bias degree is ours; see `bias`.
    """
    embeddings = embedded.embeddings_of(
        predictions, attributes=attributes, group_by=group_by, pairs=pairs
    )
    beside = list(VARIANTS) if all_accuracies else ["uncentred"]
    return embedded.evaluate(
        embeddings,
        pairs,
        name="rfw",
        attribute=group_by,
        accuracies=list(dict.fromkeys([accuracy, *beside])),
        bias=Bias(
            fmrs=tuple(bias_fmrs),
            pool=bias_pool,
            pairs=bias_pairs,
            threshold=float(bias_threshold),
            degree=BiasDegree(bias_denominator, bias_ddof, bias_scale),
        ),
        person=_person(embeddings.ids, embeddings.subject),
        tolerance=float(tolerance),
        fmrs=tuple(fmrs),
        resamples=resamples,
        level=level,
        seed=seed,
        limits=limits,
    )


def _person(ids: np.ndarray, subject: np.ndarray) -> np.ndarray | None:
    """Who is on each image in truth: 13 names occur in two races, as two subjects.

    Told by the folder, ".../African/m.0abc/m.0abc_0001.jpg"; None where the ids have none.
    """
    parts = [str(name).split("/") for name in ids]
    if not all(len(part) > 2 for part in parts):
        return None
    _, person = np.unique([part[-2] for part in parts], return_inverse=True)
    return person
