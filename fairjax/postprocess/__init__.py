"""What changes a trained system's scores without training it again: the registry of methods.

Every method is fitted on one set of pairs and applied to another: `fit(scores, settings)` returns
arrays by name, `apply(arrays, settings, scores)` the new scores (or embeddings).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fairjax.postprocess import centroid, clusters, groups, items, vmf
from fairjax.postprocess.scores import Scores

Arrays = dict[str, np.ndarray]
Labels = Literal["never", "to fit", "to fit and to use"]


@dataclass(frozen=True)
class Method:
    """One way to change scores after training.

    Attributes:
      title: What it does, in a few words.
      source: Paper, and the name it has there.
      groups: When group labels are needed: "never", "to fit" or "to fit and to use".
      needs: "scores", "images" (names of both sides' images) or "embeddings".
      gives: "score", "probability" of a mated pair, or "embedding".
      learns_from: Sides of the pairs, 0 (probe) and 1 (reference), whose people it learns from.
      fit: Arrays that it learns from pairs under settings.
      apply: New scores, or embeddings, from arrays, settings and pairs.
      defaults: Settings with their default values.
    """

    title: str
    source: str
    groups: Labels
    needs: Literal["scores", "images", "embeddings"]
    gives: Literal["score", "probability", "embedding"]
    learns_from: tuple[int, ...]
    fit: Callable[[Scores, Mapping[str, Any]], Arrays]
    apply: Callable[[Mapping[str, np.ndarray], Mapping[str, Any], Scores], np.ndarray]
    defaults: Mapping[str, Any]


_LINGHU = "Linghu et al., IJCB 2024"
_ALL: Labels = "to fit and to use"
METHODS: dict[str, Method] = {
    "z_norm": Method(
        "z-normalisation by reference image",
        f"{_LINGHU}, M1",
        "never",
        "images",
        "score",
        (0,),
        items.fit_reference,
        items.apply_reference,
        {},
    ),
    "z_norm_group": Method(
        "z-normalisation by reference image over non-mated probes of the probe's group",
        f"{_LINGHU}, M1.1",
        _ALL,
        "images",
        "score",
        (0,),
        items.fit_reference_group,
        items.apply_reference_group,
        {},
    ),
    "t_norm": Method(
        "t-normalisation by probe image",
        f"{_LINGHU}, M2",
        "never",
        "images",
        "score",
        (1,),
        items.fit_probe,
        items.apply_probe,
        {},
    ),
    "t_norm_group": Method(
        "t-normalisation by probe image over non-mated references of the reference's group",
        f"{_LINGHU}, M2.1",
        _ALL,
        "images",
        "score",
        (1,),
        items.fit_probe_group,
        items.apply_probe_group,
        {},
    ),
    "group_norm": Method(
        "z-normalisation by the reference's group",
        f"{_LINGHU}, M3 (M1.2 and M2.2 on other cohorts)",
        _ALL,
        "scores",
        "score",
        (0, 1),
        groups.fit_norm,
        groups.apply_norm,
        {},
    ),
    "platt": Method(
        "Platt scaling for each group",
        f"{_LINGHU}, M4",
        _ALL,
        "scores",
        "probability",
        (0, 1),
        groups.fit_platt,
        groups.apply_platt,
        {},
    ),
    "group_cdf": Method(
        "normal distribution functions of each group's mated and non-mated scores",
        f"{_LINGHU}, M5",
        _ALL,
        "scores",
        "score",
        (0, 1),
        groups.fit_cdf,
        groups.apply_cdf,
        {},
    ),
    "group_thresholds": Method(
        "a threshold for each group, moved to a common one",
        "customary",
        _ALL,
        "scores",
        "score",
        (0, 1),
        groups.fit_thresholds,
        groups.apply_thresholds,
        {"fmr": 1e-3},
    ),
    "fsn": Method(
        "fair score normalisation: a threshold for each cluster of embeddings",
        "Terhörst et al., Pattern Recognition Letters 2020",
        "never",
        "embeddings",
        "score",
        (0, 1),
        clusters.fit_fsn,
        clusters.apply_fsn,
        {"clusters": 100, "fmr": 1e-3, "seed": 0},
    ),
    "faircal": Method(
        "FairCal: beta calibration for each cluster of embeddings",
        "Salvador et al., ICLR 2022",
        "never",
        "embeddings",
        "probability",
        (0, 1),
        clusters.fit_faircal,
        clusters.apply_faircal,
        {"clusters": 100, "seed": 0},
    ),
    "vmf": Method(
        "a small network behind the embeddings, with one concentration for each group",
        "Conti et al., ICML 2022 (ethical module)",
        "to fit",
        "embeddings",
        "embedding",
        (0, 1),
        vmf.fit,
        vmf.apply,
        vmf.DEFAULTS,
    ),
    "centroid": Method(
        "a small network behind the embeddings that gives each group the reference group's scores",
        "Conti and Clemencon, arXiv 2504.19370 (centroid fairness loss)",
        "to fit",
        "embeddings",
        "embedding",
        (0, 1),
        centroid.fit,
        centroid.apply,
        centroid.DEFAULTS,
    ),
}
"""What `fairjax calibrate` can fit, by name."""
