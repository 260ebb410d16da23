"""BFW: error rates of eight subgroups of ethnicity and gender at one threshold.

From the official list of pairs (five folds, non-mated pairs within a subgroup), and over all pairs
of the images, where low rates can be seen: true match rates at overall FMRs with their mean and
deviation over subgroups, and the bias degree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairjax.core.comparisons import Embeddings, Pairs
from fairjax.core.results import Results
from fairjax.protocols.settings import BiasSettings
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.bias import GroupPairs
from fairjax.protocols.verification.tables import tables as tables


@dataclass(frozen=True, kw_only=True)
class BfwSettings(BiasSettings):
    """Settings of BFW; the bias degree as in the FPR penalty paper's Table 6.

    Attributes:
      group_by: Attribute whose groups are compared: "subgroup".
      accuracy: A variant of `accuracy.VARIANTS`, over the list's five folds.
      bias_fmrs: Overall FMRs over all pairs, 1e-7 to 1e-3 in the paper for the bias degree, 1e-5 to
        1e-1 in its successor's for true match rates; () leaves all pairs out. Of 199,750,000 pairs
        1e-7 accepts 20.
      bias_pairs: Pairs whose FMR spreads; "within_group_all" fits the printed numbers.
    """

    group_by: str = "subgroup"
    accuracy: str = "insightface"
    bias_fmrs: Sequence[float] = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
    bias_pairs: GroupPairs = "within_group_all"


def measure_bfw(
    predictions: Mapping[str, np.ndarray],
    settings: BfwSettings,
    *,
    pairs: Pairs,
    attributes: Mapping[str, Sequence[str]],
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a model's embeddings of the benchmark's images.

    Subgroups named by two words, as "asian_females", are also taken together by ethnicity and by
    gender, on the list's pairs.

    Args:
      predictions: Columns as for `rfw.measure_rfw`.
      settings: What is measured.
      pairs: Rows of the predictions that the official list compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      seed: Seed of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or a setting is out of range.

    Source: Robinson et al., CVPR Workshops 2020 (arXiv 2002.06483), for the pairs; Xu et al., CVPR
      2021 (arXiv 2106.05519), table 6. The definition of the bias degree is ours; see `bias`.
    """
    group_by = settings.group_by
    embeddings = embedded.embeddings_of(
        predictions,
        attributes=attributes,
        group_by=group_by,
        pairs=pairs,
        scorer=settings.scorer,
    )
    shared: dict[str, Any] = {
        "name": "bfw",
        "accuracies": [settings.accuracy],
        "tolerance": float(settings.tolerance),
        "fmrs": tuple(settings.fmrs),
        "resamples": settings.resamples,
        "level": settings.level,
        "seed": seed,
    }
    results = embedded.measure_embeddings(
        embeddings, pairs, attribute=group_by, bias=settings.bias(), limits=limits, **shared
    )
    measures = list(results.measures)
    for attribute, coarser in _coarser(embeddings).items():
        part = embedded.measure_embeddings(
            coarser, pairs, attribute=attribute, bias=None, limits=(), **shared
        )
        measures += [m for m in part.measures if m.group or m.across]
    return replace(results, measures=measures)


def _coarser(embeddings: Embeddings) -> dict[str, Embeddings]:
    """The images by ethnicity and by gender; empty where the groups' names don't say."""
    words = [name.rpartition("_")[::2] for name in embeddings.groups]
    if not words or not all(ethnicity and gender for ethnicity, gender in words):
        return {}
    coarser = {}
    for attribute, names in zip(("ethnicity", "gender"), zip(*words, strict=True), strict=True):
        groups, index = np.unique(names, return_inverse=True)
        group = np.append(index, -1)[embeddings.group]  # the last one is UNKNOWN's
        coarser[attribute] = replace(
            embeddings, group=group, groups=tuple(str(name) for name in groups)
        )
    return coarser
