"""What pre-training without labels is assessed by: numbers that every image has, by group."""

from collections.abc import Mapping, Sequence

import numpy as np

from fairjax.core.results import Results, Table
from fairjax.metrics import bootstrap
from fairjax.protocols.by_image.grouped import Quantity, Sampling, measure_groups, summaries
from fairjax.protocols.utkface_tables import by_group_table, gap_table


def require_columns(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    columns: Sequence[str],
) -> None:
    """Refuses what cannot be assessed.

    Raises:
      ValueError: If `group_by` is no classified attribute, or a column is missing or not finite.
    """
    if not attributes.get(group_by):
        known = ", ".join(name for name, values in attributes.items() if values)
        raise ValueError(f"group_by={group_by!r} must be a classified attribute: one of {known}.")
    for name in columns:
        if name not in predictions or not np.isfinite(predictions[name]).all():
            raise ValueError(
                f"the predictions lack a finite column {name!r}; are they of another method?"
            )


def assess(
    name: str,
    quantities: Sequence[Quantity],
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Each quantity on everyone and on each group, and its gaps.

    Args:
      name: Name of the protocol.
      quantities: Means of one value an image.
      predictions: "cluster" of each image, and the `group_by` attribute.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared.
      resamples: Bootstrap resamples, and permutations for noise floors.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Seed of the resamples.
      limits: Sentences about the labels.
    """
    cluster, group = predictions["cluster"], predictions[group_by].astype(np.int64)
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    sampling = Sampling(cluster, draws, level, seed, tests=len(quantities))
    names, measures = tuple(attributes[group_by]), []
    groups = [{group_by: value} for value in names]
    for quantity in quantities:
        total = measure_groups(quantity, np.zeros_like(group), [{}], sampling)
        part = measure_groups(quantity, group, groups, sampling, permute=True)
        measures += [*total.measures, *part.measures]
        measures += summaries(part, across=group_by, sampling=sampling)
    protocol = {
        "name": name,
        "group_by": group_by,
        "groups": list(names),
        "measured": [quantity.name for quantity in quantities],
        "n": len(cluster),
        "n_clusters": len(draws.weights),
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"cluster bootstrap, {resamples} resamples",
        "noise_floor": f"{resamples} permutations of the {group_by} of whole clusters",
    }
    return Results("attributes", protocol, measures, {}, list(limits), {})


def tables(results: Results, *, published: str = "") -> list[Table]:
    """What was measured by group, and its gaps; nothing is published to put beside them."""
    del published
    protocol = results.protocol
    note = f"Brackets: {100 * protocol['level']:g} % interval, {protocol['interval']}."
    return [
        by_group_table(
            results, protocol["group_by"], protocol["groups"], protocol["measured"], note
        ),
        gap_table(results),
    ]
