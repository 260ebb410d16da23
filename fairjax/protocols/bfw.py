"""BFW: error rates of eight subgroups of ethnicity and gender at one threshold.

From the official list of pairs (five folds, non-mated pairs within a subgroup), and over all pairs
of the images, where low rates can be seen: true match rates at overall FMRs with their mean and
deviation over subgroups, and the bias degree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fairjax.core.comparisons import Embeddings, Pairs
from fairjax.core.results import Results
from fairjax.protocols.verification import embedded
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

    Subgroups named by two words, as "asian_females", are also taken together by ethnicity and by
    gender, on the list's pairs.

    Args:
      predictions: As for `rfw.evaluate`.
      pairs: Rows of the predictions that the official list compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared: "subgroup".
      accuracy: A variant of `accuracy.VARIANTS`, over the list's five folds.
      fmrs: Overall false match rates on the list to read error rates at.
      tolerance: See `embedded.evaluate`.
      bias_fmrs: Overall FMRs over all pairs, 1e-7 to 1e-3 in the paper for the bias degree, 1e-5 to
        1e-1 in its successor's for true match rates; () leaves all pairs out. Of 199,750,000 pairs
        1e-7 accepts 20.
      bias_pool: Where these thresholds come from; "all_pairs" fits the printed numbers.
      bias_threshold: A score for `bias_pool` "fixed"; otherwise not used.
      bias_pairs: Whose FMR spreads; "within_group_all" fits the printed numbers.
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

    Source: Robinson et al., CVPR Workshops 2020 (arXiv 2002.06483), for the pairs; Xu et al., CVPR
      2021 (arXiv 2106.05519), table 6. The definition of the bias degree is ours; see `bias`.
    """
    embeddings = embedded.embeddings_of(
        predictions, attributes=attributes, group_by=group_by, pairs=pairs
    )
    settings: dict[str, Any] = {
        "name": "bfw",
        "accuracies": [accuracy],
        "tolerance": float(tolerance),
        "fmrs": tuple(fmrs),
        "resamples": resamples,
        "level": level,
        "seed": seed,
    }
    bias = Bias(
        fmrs=tuple(bias_fmrs),
        pool=bias_pool,
        pairs=bias_pairs,
        threshold=float(bias_threshold),
        degree=BiasDegree(bias_denominator, bias_ddof, bias_scale),
    )
    results = embedded.evaluate(
        embeddings, pairs, attribute=group_by, bias=bias, limits=limits, **settings
    )
    measures = list(results.measures)
    for attribute, coarser in _coarser(embeddings).items():
        part = embedded.evaluate(
            coarser, pairs, attribute=attribute, bias=None, limits=(), **settings
        )
        measures += [m for m in part.measures if m.group or m.across]
    return replace(results, measures=measures)


def _coarser(embeddings: Embeddings) -> dict[str, Embeddings]:
    """The images by ethnicity and by gender; empty where the groups' names don't say."""
    words = [name.rpartition("_")[::2] for name in embeddings.groups]
    if not words or not all(ethnicity and gender for ethnicity, gender in words):
        return {}
    found = {}
    for attribute, names in zip(("ethnicity", "gender"), zip(*words, strict=True), strict=True):
        groups, index = np.unique(names, return_inverse=True)
        group = np.append(index, -1)[embeddings.group]  # the last one is UNKNOWN's
        found[attribute] = replace(
            embeddings, group=group, groups=tuple(str(name) for name in groups)
        )
    return found
