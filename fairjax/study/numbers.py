"""What a study's runs say together: a cell over seeds, and whether a claim holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from fairjax.plan import Claim, Column, Row
from fairjax.results import Measure, Results

LEVEL = 0.95  # of the intervals
Verdict = Literal["holds", "contradicted", "inconclusive", "not tested"]


@dataclass(frozen=True)
class Cell:
    """One number of the table, in the unit in which it is printed (a fraction in percent).

    Attributes:
      values: By seed; None where the run has no such number.
      mean: Over the seeds that have it; None where none has.
      std: Over seeds, ddof 1; None with fewer than two.
      interval: Of the mean; see `method`.
      method: How the interval was made.
      published: The paper's number, or None.
    """

    values: tuple[float | None, ...]
    mean: float | None
    std: float | None
    interval: tuple[float, float] | None
    method: str
    published: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        if self.mean is None or self.published is None:
            return None
        return self.mean - self.published


@dataclass(frozen=True)
class Tested:
    """A claim, tried on our runs.

    Attributes:
      claim: The claim.
      difference: Mean over seeds of the number of `claim.row` minus that of `claim.than`.
      interval: Of the difference, at LEVEL; None where there is none.
      published: The paper's difference, or None.
      verdict: "holds" or "contradicted" where the interval lies on one side of 0.
      why: What limits the test, or prevents it; "".
    """

    claim: Claim
    difference: float | None
    interval: tuple[float, float] | None
    published: float | None
    verdict: Verdict
    why: str


def cell(column: Column, row: Row, results: Sequence[Results | None]) -> Cell:
    """The number of a row and a column over its seeds.

    With two seeds or more the interval is Student's for the mean over seeds: what another seed
    would change. With one it is the run's own: what other people in the test would change.

    Args:
      column: What is measured.
      row: The recipe.
      results: By seed; None where the run is not done.
    """
    values = tuple(value_of(r, column) if r else None for r in results)
    known = [v for v in values if v is not None]
    mean = float(np.mean(known)) if known else None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    interval, method = None, ""
    if mean is not None and std is not None:
        reach = float(stats.t.ppf((1 + LEVEL) / 2, len(known) - 1)) * std / len(known) ** 0.5
        interval, method = (mean - reach, mean + reach), f"Student's t over {len(known)} seeds"
    elif known:
        one = next(r for r, v in zip(results, values, strict=True) if r and v is not None)
        measure = _measure(one, column)
        if measure.interval is not None:
            low, high = measure.interval
            interval, method = (_printed(low, measure), _printed(high, measure)), measure.method
    return Cell(values, mean, std, interval, method, row.published.get(column.title))


def value_of(results: Results, column: Column) -> float | None:
    """The column's number as it is printed; None where it is absent or undefined."""
    try:
        measure = _measure(results, column)
    except KeyError:
        return None
    return None if measure.value is None else _printed(measure.value, measure)


def _measure(results: Results, column: Column) -> Measure:
    if column.measure.endswith("_worst"):  # whichever group it is
        for m in results.measures:
            if (m.name, m.across, m.at) == (column.measure, column.across, column.at):
                return m
    return results.get(column.measure, across=column.across, at=column.at, **column.group)


def _printed(value: float, measure: Measure) -> float:
    return 100 * value if measure.unit == "fraction" else value


def combined(
    differences: Sequence[float], resampled: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """The mean difference of two recipes and its interval, over seeds and over the test's people.

    Two things could have come out otherwise: the trainings and the people in the test. The
    variance of the mean over seeds is s^2 / S; that over people is the variance, over resamples of
    people, of the mean difference. Their sum counts what a training has in common with the people
    twice, so it is on the safe side. The interval is Student's with Welch and Satterthwaite's
    degrees of freedom. With one seed the trainings' share is not known and not in it.

    Args:
      differences: By seed, of the runs as they are.
      resampled: [seeds, resamples], the same differences in resamples of people.
    """
    seeds, mean = len(differences), float(np.mean(differences))
    over_people = float(np.nanvar(resampled.mean(axis=0), ddof=1))
    over_seeds = float(np.var(differences, ddof=1)) / seeds if seeds > 1 else 0.0
    total = over_people + over_seeds
    if total == 0:
        return mean, (mean, mean)
    freedom = (seeds - 1) * (total / over_seeds) ** 2 if over_seeds else np.inf
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * total**0.5
    return mean, (mean - reach, mean + reach)


def judge(claim: Claim, mean: float, interval: tuple[float, float]) -> Verdict:
    """Whether the claim holds: the whole interval must lie on one side of no difference."""
    low, high = interval
    if not (low > 0 or high < 0):
        return "inconclusive"
    return "holds" if (mean < 0) == (claim.direction == "lower") else "contradicted"


def published_difference(claim: Claim, rows: Mapping[str, Row]) -> float | None:
    """The paper's difference, where it prints both numbers."""
    one, other = (rows[name].published.get(claim.column) for name in (claim.row, claim.than))
    return None if one is None or other is None else one - other
