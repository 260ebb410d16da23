"""How well a masked autoencoder draws what it does not see, by group.

No paper prints this: it says whether pre-training served all groups alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fairjax.metrics import bootstrap
from fairjax.protocols.grouped import Sampling, mean_of, measure_groups, summaries
from fairjax.protocols.utkface_tables import by_group_table, gap_table, index_of
from fairjax.results import Results, Table

NAME = "reconstruction_loss"


def evaluate(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures the reconstruction error of each group.

    Args:
      predictions: "loss" and "cluster" of each example, and the `group_by` attribute.
      attributes: For each attribute the names of its values in label order.
      group_by: The attribute whose groups are compared.
      resamples: Bootstrap resamples, and permutations for noise floors.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Of the resamples.
      limits: Sentences about the labels.

    Raises:
      ValueError: If `group_by` is no classified attribute, or the loss is missing or not finite.
    """
    if not attributes.get(group_by):
        known = ", ".join(name for name, values in attributes.items() if values)
        raise ValueError(f"group_by={group_by!r} must be a classified attribute: one of {known}.")
    if "loss" not in predictions or not np.isfinite(predictions["loss"]).all():
        raise ValueError("the predictions lack a finite column 'loss'; is this an autoencoder's?")
    cluster, group = predictions["cluster"], predictions[group_by].astype(np.int64)
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    sampling = Sampling(cluster, draws, level, seed)
    error = mean_of(
        NAME, predictions["loss"].astype(np.float64), unit="squared units", lower_is_better=True,
        rule="squared error a pixel of the removed patches, in the units of the training target",
    )  # fmt: skip
    names = tuple(attributes[group_by])
    total = measure_groups(error, np.zeros_like(group), [{}], sampling)
    part = measure_groups(error, group, [{group_by: name} for name in names], sampling,
                          permute=True)  # fmt: skip
    protocol = {
        "name": "reconstruction",
        "group_by": group_by,
        "groups": list(names),
        "n": len(cluster),
        "n_clusters": len(draws.weights),
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"cluster bootstrap, {resamples} resamples",
        "noise_floor": f"{resamples} permutations of the {group_by} of whole clusters",
    }
    measures = [*total.measures, *part.measures]
    measures += summaries(part, across=group_by, sampling=sampling)
    return Results("attributes", protocol, measures, {}, list(limits), {})


def tables(results: Results, *, published: str = "") -> list[Table]:
    """The error by group, and its gaps; nothing is published to put beside them."""
    del published
    protocol = results.protocol
    note = f"Brackets: {100 * protocol['level']:g} % interval, {protocol['interval']}."
    return [
        by_group_table(index_of(results), protocol["group_by"], protocol["groups"], [NAME], note),
        gap_table(results.measures, protocol["group_by"], protocol["noise_floor"]),
    ]
