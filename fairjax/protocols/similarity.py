"""How alike two models represent the same faces, by group: centred kernel alignment.

The SSL fairness study compares a supervised and a self-supervised model this way: where their
representations of one group differ more than those of another, they treat that group differently.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fairjax.core.results import Measure, Results, Table, finite_or_none
from fairjax.metrics import representation
from fairjax.protocols.cells import cell

FEATURES = "features"  # the column of predictions
_RULE = (
    "linear CKA with unbiased HSIC: 1 is alike up to rotation and scale, 0 has nothing in common"
)
_METHOD = "jackknife over 20 blocks of clusters"


def measure_similarity(
    one: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    level: float,
    names: tuple[str, str],
) -> Results:
    """Measures the similarity on everyone and on each group.

    Args:
      one: Predictions of the first model: "id", "cluster", the `group_by` attribute, and
        "features" [images, dim].
      other: Predictions of the second model on the same images in the same order.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are told apart.
      level: Coverage of the intervals, a fraction.
      names: What the two models are called.

    Returns:
      The results; `provenance` is empty.

    Raises:
      ValueError: If there are no features, other images, or no such groups.

    Source: Yfantidou et al. 2024 (arXiv 2406.02361), stage 4 of Figure 2; `metrics.representation`
      has the measure's.
    """
    if not attributes.get(group_by):
        known = ", ".join(name for name, values in attributes.items() if values)
        raise ValueError(f"group_by={group_by!r} must be a classified attribute: one of {known}.")
    for name, columns in zip(names, (one, other), strict=True):
        if FEATURES not in columns:
            raise ValueError(
                f"{name} saved no features; train it with --config.method.save_features=True."
            )
    if not np.array_equal(one["id"], other["id"]):
        raise ValueError(f"{names[0]} and {names[1]} were tested on different images.")
    group, groups = one[group_by], attributes[group_by]
    rows: list[tuple[dict[str, str], np.ndarray]] = [({}, np.ones(len(group), bool))]
    rows += [({group_by: name}, group == k) for k, name in enumerate(groups)]
    protocol = {
        "name": "similarity",
        "models": list(names),
        "group_by": group_by,
        "groups": list(groups),
        "n": len(group),
        "level": level,
        "interval": _METHOD,
    }
    measures = [
        _measure(one[FEATURES][of], other[FEATURES][of], one["cluster"][of], which, level)
        for which, of in rows
    ]
    return Results("attributes", protocol, measures, {}, [], {})


def _measure(
    one: np.ndarray, other: np.ndarray, cluster: np.ndarray, group: dict[str, str], level: float
) -> Measure:
    value = finite_or_none(representation.cka(one, other))
    interval = representation.cka_interval(one, other, cluster, level=level)
    notes = ["undefined: fewer than four images, or a constant representation"]
    if value is not None:
        notes = ["no interval: too few clusters"] if interval is None else []
    return Measure(
        name="cka",
        value=value,
        unit="",
        n=len(one),
        group=group,
        interval=interval,
        level=level if interval else None,
        method=_METHOD if interval else "",
        n_clusters=len(np.unique(cluster)),
        rule=_RULE,
        note="; ".join(notes),
    )


def tables(results: Results) -> list[Table]:
    """One row a group and one for everyone."""
    by = results.protocol["group_by"]
    rows = []
    for group in (*results.protocol["groups"], ""):
        measure = results.get("cka", **({by: group} if group else {}))
        rows.append([group or "everyone", cell(measure), f"{measure.n:,}"])
    note = f"{_RULE}. Brackets: {100 * results.protocol['level']:g} % interval, {_METHOD}."
    title = "Similarity of {} and {}".format(*results.protocol["models"])
    return [Table(title, [by, "CKA", "n"], rows, note)]
