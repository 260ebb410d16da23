"""From a model's embeddings and a benchmark's pairs to results: what the benchmarks share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairjax.core.comparisons import UNKNOWN, Embeddings, Pairs, compare
from fairjax.core.results import Results
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification.accuracy import VARIANTS, centred_scores, same_group
from fairjax.protocols.verification.bias import Bias, all_pairs_measures, bias_points
from fairjax.protocols.verification.scene import Point


def embeddings_of(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    pairs: Pairs,
    scorer: str = "cosine",
) -> Embeddings:
    """A model's predictions as embeddings of people in groups.

    Args:
      predictions: Columns with one row an image: "id", "cluster" (the number of the person),
        "embedding", and the `group_by` attribute's labels, UNKNOWN where a group is not known.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared; "" for none.
      pairs: Rows of the predictions.
      scorer: "cosine"; "mls" for mutual likelihood, which needs the column "variance"; "" takes it
        where there is that column.

    Raises:
      ValueError: If a column is missing or of another length, a label or a row is out of range,
        `mated` contradicts the people, or `scorer` needs variances that are not there.
    """
    if group_by and not attributes.get(group_by):
        known = ", ".join(name for name, values in attributes.items() if values)
        raise ValueError(f"group_by={group_by!r} must be a classified attribute: one of {known}.")
    for name in ("id", "cluster", "embedding", *([group_by] if group_by else [])):
        if name not in predictions:
            raise ValueError(f"the predictions lack the column {name!r}.")
        if len(predictions[name]) != len(predictions["id"]):
            raise ValueError(
                f"predictions[{name!r}] has {len(predictions[name])} rows, 'id' has "
                f"{len(predictions['id'])}."
            )
    if predictions["embedding"].ndim != 2:
        raise ValueError(
            "predictions['embedding'] must have one vector a row; its shape is "
            f"{predictions['embedding'].shape}."
        )
    rows = len(predictions["id"])
    if not len(pairs):
        raise ValueError("there are no pairs: nothing to compare.")
    ends = np.concatenate([pairs.first, pairs.second])
    if ends.min() < 0 or ends.max() >= rows:
        raise ValueError(f"a pair names row {ends.max()}; the predictions have {rows} rows.")
    groups = tuple(attributes[group_by]) if group_by else ()
    group = predictions[group_by].astype(np.int64) if group_by else np.full(rows, UNKNOWN)
    if ((group < UNKNOWN) | (group >= len(groups))).any():
        raise ValueError(
            f"predictions[{group_by!r}] must hold labels in 0 .. {len(groups) - 1}, or {UNKNOWN}."
        )
    variance = None if scorer == "cosine" else predictions.get("variance")
    if scorer == "mls" and variance is None:
        raise ValueError(
            "scorer='mls' needs embeddings with variances, which this model does not predict; use "
            "scorer='cosine', or train config.method.name='pfe'."
        )
    return Embeddings(
        ids=predictions["id"],
        subject=predictions["cluster"].astype(np.int64),
        group=group,
        groups=groups,
        embedding=predictions["embedding"],
        variance=variance,
    )


def measure_embeddings(
    embeddings: Embeddings,
    pairs: Pairs,
    *,
    name: str,
    attribute: str,
    accuracies: Sequence[str],
    bias: Bias | None,
    person: np.ndarray | None = None,
    tolerance: float,
    **settings: Any,
) -> Results:
    """Scores the pairs and audits them; the bias degree and rates over all pairs where asked.

    Args:
      embeddings: Embeddings of the images.
      pairs: Rows of them.
      name: The protocol's.
      attribute: What the groups are of.
      accuracies: Variants in `accuracy.VARIANTS`, the protocol's own first.
      bias: What "bias degree" means; None where the protocol has none.
      person: Person of each image, as for `all_pairs.count_all_pairs`.
      tolerance: The largest ratio of the highest to the lowest group's rate that is accepted, of
        FMR and of FNMR; 0 asks for no verdicts.
      **settings: The rest of `verification.measure_comparisons`'s.

    Raises:
      ValueError: If an embedding is all zeros or not finite, a setting is out of range, or one
        needs cosines and the embeddings have variances.
    """
    if unknown := [variant for variant in accuracies if variant not in VARIANTS]:
        raise ValueError(f"accuracy={unknown[0]!r} must be one of {', '.join(VARIANTS)}.")
    if tolerance and tolerance < 1:
        raise ValueError(f"tolerance={tolerance:g} is a ratio, 1 or more; 0 for no verdicts.")
    if embeddings.scorer != "cosine":
        accuracies = _without_grids(accuracies)
        if bias is not None and bias.wanted and (bias.pooled or bias.pairs != "protocol"):
            raise ValueError(
                "bias_fmrs over all pairs counts cosines; with scorer='mls' set bias_fmrs=(), or "
                "bias_pool='protocol' and bias_pairs='protocol'."
            )
    comparisons = compare(embeddings, pairs)
    centred = {}
    if any(VARIANTS[variant].centred for variant in accuracies):
        part = same_group(comparisons) if embeddings.groups else np.zeros(len(pairs), np.int64)
        centred[""] = centred_scores(embeddings, pairs, part)
    points: list[Point] = []
    counted = None
    if bias is not None and bias.wanted:
        points, counted = bias_points(embeddings, comparisons, bias, person)
    listed = bias is not None and bias.pairs == "protocol"
    results = verification.measure_comparisons(
        {"": comparisons},
        name=name,
        attribute=attribute,
        accuracies=accuracies,
        centred=centred,
        more_points={"": points} if listed else None,
        bias_degree=bias.degree if bias is not None and bias.wanted and listed else None,
        tolerances={f"{rate}_max_over_min": tolerance for rate in ("fmr", "fnmr")}
        if tolerance
        else {},
        **settings,
    )
    if embeddings.scorer != "cosine":
        results = of_likelihood(results)
    if bias is None or not points:
        return results
    measures = list(results.measures)
    if counted is not None and not listed:
        measures += all_pairs_measures(counted, points, bias.degree, attribute=attribute)
    described = {
        "bias_fmrs": list(bias.fmrs),
        "bias_pool": bias.pool,
        "bias_pairs": bias.pairs,
        "bias_rule": bias.degree.rule,
    }
    return replace(results, protocol={**results.protocol, **described}, measures=measures)


def _without_grids(accuracies: Sequence[str]) -> list[str]:
    """The variants that any score can have: those that do not try cosines on a fixed grid.

    Raises:
      ValueError: If the first variant, the protocol's own, is not one of them.
    """
    free = [name for name, variant in VARIANTS.items() if variant.grid is None]
    if accuracies and accuracies[0] not in free:
        raise ValueError(
            f"accuracy={accuracies[0]!r} tries cosines or distances on a fixed grid; with "
            f"scorer='mls' use one of {', '.join(free)}."
        )
    return [name for name in accuracies if name in free]


def of_likelihood(results: Results) -> Results:
    """Results of mutual likelihood scores, whose rules and limits say so."""
    measures = [replace(m, rule=m.rule.replace(": cosine;", ": score;")) for m in results.measures]
    limits = [
        "Pairs are scored by the mutual likelihood of embeddings with variances, not by cosines.",
        *results.limits,
    ]
    return replace(
        results, measures=measures, limits=limits, protocol={**results.protocol, "scorer": "mls"}
    )
