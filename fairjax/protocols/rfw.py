"""RFW: accuracy by race in ten folds, error rates at one threshold, and the bias degree.

Each race has its own 6,000 pairs, of which the 3,000 non-mated ones were selected to be hard and
lie within the race. The accuracy that papers print (Avg, Std, SER) gives each race its own
thresholds; the error rates here share one. `fairjax.protocols.verification.tables` renders both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results
from fairjax.protocols.settings import BiasSettings
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.accuracy import VARIANTS
from fairjax.protocols.verification.tables import tables as tables


@dataclass(frozen=True, kw_only=True)
class RfwSettings(BiasSettings):
    """Settings of RFW; the bias degree as in the FPR penalty paper's Table 5.

    Attributes:
      accuracy: A variant of `accuracy.VARIANTS`; "rfw_official" to compare with papers. The same
        without centring is reported beside it.
      all_accuracies: Whether every variant is reported beside it.
      fmrs: Overall false match rates at which error rates are read, fractions in (0, 1). The list
        has 12,000 non-mated pairs: 1e-3 rests on 12 errors in all.
      bias_fmrs: Overall FMRs of the bias degree, 1e-5 to 1e-2 in the paper; () leaves it out.
      bias_pairs: Pairs whose FMR spreads; "protocol", the list's, fits the printed numbers.
    """

    accuracy: str = "rfw_official"
    all_accuracies: bool = True
    bias_fmrs: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2)


def measure_rfw(
    predictions: Mapping[str, np.ndarray],
    settings: RfwSettings,
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
      pairs: Rows of the predictions that the benchmark compares, with their folds.
      attributes: For each attribute the names of its values in label order.
      seed: Seed of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or a setting is out of range.

    Source: Wang et al., ICCV 2019, for the pairs; Xu et al., CVPR 2021 (arXiv 2106.05519), tables
      3 to 5. The definition of the bias degree is ours; see `bias`.
    """
    group_by = settings.group_by
    embeddings = embedded.embeddings_of(
        predictions,
        attributes=attributes,
        group_by=group_by,
        pairs=pairs,
        scorer=settings.scorer,
    )
    beside = list(VARIANTS) if settings.all_accuracies else ["uncentred"]
    return embedded.measure_embeddings(
        embeddings,
        pairs,
        name="rfw",
        attribute=group_by,
        accuracies=list(dict.fromkeys([settings.accuracy, *beside])),
        bias=settings.bias(),
        person=_person(embeddings.ids, embeddings.subject),
        tolerance=float(settings.tolerance),
        fmrs=tuple(settings.fmrs),
        resamples=settings.resamples,
        level=settings.level,
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
