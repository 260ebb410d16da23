"""The measures of attribute models, sorted for a reader."""

from collections.abc import Sequence

from fairjax.core.results import Measure, Results
from fairjax.report.wording import metric_of, more_is_better


def overall(results: Results) -> list[Measure]:
    """The measures over everyone, accuracies and errors in years first, unknown ones last."""

    def rank(m: Measure) -> int:
        if metric_of(m.name) in ("mae", "accuracy"):
            return 0
        return 1 if more_is_better(m.name) is not None else 2

    return sorted((m for m in results.measures if not m.group and not m.across), key=rank)


def by_attributes(results: Results) -> dict[tuple[str, ...], dict[str, list[Measure]]]:
    """{attributes: {measure's name: measures by group}}, in order of appearance."""
    by_columns: dict[tuple[str, ...], dict[str, list[Measure]]] = {}
    for m in results.measures:
        if m.group and not m.across:
            by_columns.setdefault(tuple(m.group), {}).setdefault(m.name, []).append(m)
    return by_columns


def worst_to_best(measures: Sequence[Measure]) -> list[Measure]:
    """The defined ones in order; none where all are equal, or no direction is known."""
    better = more_is_better(measures[0].name) if measures else None
    known = [(m.value, index) for index, m in enumerate(measures) if m.value is not None]
    if better is None or len({value for value, _ in known}) < 2:
        return []
    order = sorted(known, key=lambda pair: pair[0] if better else -pair[0])
    return [measures[index] for _, index in order]


def worst_place(measures: Sequence[Measure]) -> int | None:
    """The place of the one worst group among the well-backed; None where two tie for it."""
    order = worst_to_best([m for m in measures if not m.is_thin])
    if not order or order[0].value == order[1].value:
        return None
    return list(measures).index(order[0])
