"""What contrastive pre-training has learned, by group, and whether it has collapsed.

No paper prints this: it says whether pre-training served all groups alike. Nothing here needs a
label but the groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.results import Measure, Results, Table, finite_or_none
from fairjax.metrics import representation
from fairjax.protocols.by_image import per_image
from fairjax.protocols.by_image.grouped import mean_of
from fairjax.protocols.cells import cell
from fairjax.protocols.settings import ProtocolSettings

COLLAPSED = 0.1  # below this feature_std, images can hardly be told apart
_SPREAD = {
    "feature_std": (
        representation.feature_std,
        "deviation of unit vectors, mean over dimensions "
        "times sqrt(dimensions): 1 is spread, 0 collapsed",
    ),
    "uniformity": (
        representation.uniformity,
        "log of the mean of exp(-2 squared distance) over pairs: 0 is collapsed",
    ),
    "effective_rank": (representation.effective_rank, "exp of the entropy of singular values"),
}


@dataclass(frozen=True, kw_only=True)
class ContrastiveSettings(ProtocolSettings):
    """Settings of what contrastive pre-training has learned."""


def measure_contrastive(
    predictions: Mapping[str, np.ndarray],
    settings: ContrastiveSettings,
    *,
    attributes: Mapping[str, Sequence[str]],
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures the loss, the alignment of views and the spread of each space, by group.

    Args:
      predictions: "cluster" of each image, and the `group_by` attribute; "loss" of each image, or
        "batch_loss" of its evaluation batch; for each space, as present, "alignment_<space>"
        (squared distance of the unit vectors of two views) and "embedding_<space>" [images, dim].
      settings: What is measured.
      attributes: For each attribute the names of its values in label order.
      seed: Seed of the resamples.
      limits: Sentences about the labels.

    Returns:
      The results. Spreads and a loss of the batch have no interval: they are not means over images.

    Raises:
      ValueError: If `group_by` is no classified attribute, or a column is missing or not finite.
    """
    spaces = [name.removeprefix("embedding_") for name in predictions if "embedding_" in name]
    aligned = [f"alignment_{space}" for space in spaces]
    loss = "batch_loss" if "batch_loss" in predictions else "loss"
    per_image.require_columns(
        predictions, attributes=attributes, group_by=settings.group_by, columns=[loss, *aligned]
    )
    rule = "the pre-training loss among the images of an evaluation batch"
    quantities, of_the_batch = [], []
    if loss == "batch_loss":
        of_the_batch.append(
            Measure(
                name="contrastive_loss",
                value=finite_or_none(predictions[loss].astype(np.float64).mean()),
                unit="",
                n=len(predictions[loss]),
                rule=rule,
                note="a loss of the batch, not of an image: no interval, and no groups",
            )
        )
    else:
        quantities.append(
            mean_of(
                "contrastive_loss",
                predictions[loss].astype(np.float64),
                unit="nats",
                rule=rule,
                lower_is_better=True,
            )
        )
    quantities += [
        mean_of(
            f"{space}_alignment",
            predictions[name].astype(np.float64),
            unit="squared distance",
            rule="squared distance of an image's two views as unit vectors: 0 is alike",
            lower_is_better=True,
        )
        for space, name in zip(spaces, aligned, strict=True)
    ]
    results = per_image.assess(
        "contrastive",
        quantities,
        predictions,
        attributes=attributes,
        group_by=settings.group_by,
        resamples=settings.resamples,
        level=settings.level,
        seed=seed,
        limits=limits,
    )
    results.protocol["spaces"] = spaces
    group_by = settings.group_by
    group, names = predictions[group_by], attributes[group_by]
    everyone = np.ones(len(group), bool)
    rows = [({}, everyone), *(({group_by: g}, group == k) for k, g in enumerate(names))]
    spread = [
        _spread(f"{space}_{kind}", kind, predictions[f"embedding_{space}"][those], of)
        for space in spaces
        for kind in _SPREAD
        for of, those in rows
    ]
    collapsed = [
        m.name.removesuffix("_feature_std")
        for m in spread
        if m.name.endswith("feature_std") and not m.group and (m.value or 0.0) < COLLAPSED
    ]
    warning = [
        f"The space {space!r} has collapsed: its feature_std is below {COLLAPSED}."
        for space in collapsed
    ]
    return replace(
        results,
        measures=[*of_the_batch, *results.measures, *spread],
        limits=[*results.limits, *warning],
    )


def _spread(name: str, kind: str, features: np.ndarray, group: dict[str, str]) -> Measure:
    function, rule = _SPREAD[kind]
    value = finite_or_none(function(features)) if len(features) > 1 else None
    return Measure(
        name=name,
        value=value,
        unit="",
        n=len(features),
        group=group,
        rule=rule,
        note="" if value is not None else "undefined: fewer than two images",
    )


def tables(results: Results, *, published: str = "") -> list[Table]:
    """Loss and alignment by group, their gaps, and the spread of each space by group."""
    all_tables = per_image.tables(results, published=published)
    by = results.protocol["group_by"]
    loss = results.get("contrastive_loss")
    if not loss.interval and loss.note:
        row = [cell(loss, ratio=".3f"), f"{loss.n:,}"]
        note = f"{loss.rule}: {loss.note}"
        all_tables.insert(0, Table("Pre-training loss", ["loss", "n"], [row], note))
    for space in results.protocol["spaces"]:
        rows = []
        for group in (*results.protocol["groups"], ""):
            of = {by: group} if group else {}
            measures = [results.get(f"{space}_{kind}", **of) for kind in _SPREAD]
            rows.append([group or "everyone", *map(cell, measures), f"{measures[0].n:,}"])
        rules = "; ".join(f"{kind}: {rule}" for kind, (_, rule) in _SPREAD.items())
        columns = [by, *_SPREAD, "n"]
        all_tables.append(Table(f"Spread of the {space} space by {by}", columns, rows, rules))
    return all_tables
