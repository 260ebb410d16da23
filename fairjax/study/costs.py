"""What a row of a study costs next to the baseline, and which rows no other beats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from fairjax.config.study import Row, Study
from fairjax.report.drawing.lines import Choice
from fairjax.run.progress import read_metrics
from fairjax.run.workdir import read_json
from fairjax.study.numbers import Cell
from fairjax.study.runs import folder_name


class Cost(NamedTuple):
    """What a row costs next to the baseline; None where runs that would say it are missing.

    Attributes:
      more_parameters: Trained parameters that it has more.
      step: Time of its step over that of the baseline's.
    """

    more_parameters: int | None
    step: float | None


def costs_of(workdir: Path, study: Study, rows: Sequence[Row]) -> dict[str, Cost]:
    """The cost of each row; none without a baseline.

    Args:
      workdir: The study's folder, which holds its runs.
      study: The study.
      rows: Rows whose costs are wanted.
    """
    if not study.baseline:
        return {}

    def folders(name: str) -> list[Path]:
        return [workdir / folder_name(name, seed) for seed in study.seeds]

    costs = {}
    for row in rows:
        own, base = folders(row.name), folders(study.baseline)
        speeds = [(_speed(a), _speed(b)) for a, b in zip(own, base, strict=True)]
        ratios = [theirs / ours for ours, theirs in speeds if ours and theirs]
        counts = [count for folder in own if (count := _parameters(folder)) is not None]
        before = [count for folder in base if (count := _parameters(folder)) is not None]
        more = counts[0] - before[0] if counts and before else None
        costs[row.name] = Cost(more, fmean(ratios) if ratios else None)
    return costs


def choices_of(study: Study, cells: Mapping[str, Mapping[str, Cell]]) -> list[Choice]:
    """The points of the study's trade-off; rows that lack one of the numbers are left out."""
    if study.trade_off is None:
        return []
    points = []
    for name, line in cells.items():
        x, y = (line[title] for title in study.trade_off)
        if x.mean is not None and y.mean is not None:
            points.append(Choice(name, x.mean, y.mean, x.interval, y.interval, front=True))
    return [
        point._replace(front=not any(_dominates(other, point) for other in points))
        for point in points
    ]


def _dominates(point: Choice, other: Choice) -> bool:
    """Whether it is as good in both numbers and better in one."""
    as_good = point.x >= other.x and point.y <= other.y
    return as_good and (point.x, point.y) != (other.x, other.y)


def _speed(folder: Path) -> float | None:
    """Images a second of a run: the median of its logged lines but the first."""
    lines = [
        m["images_per_second"]
        for m in read_metrics(folder / "metrics.jsonl")
        if "images_per_second" in m
    ]
    return float(median(lines[1:] or lines)) if lines else None


def _parameters(folder: Path) -> int | None:
    path = folder / "outcome.json"
    return read_json(path).get("parameters") if path.exists() else None
