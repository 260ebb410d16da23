"""Statistics of a study: a table cell over seeds, the test of a claim, and the overall verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, stats

from fairjax.config.study import Claim, Column, Row, Thesis
from fairjax.core.results import Measure, Results
from fairjax.metrics.gap_tests import holm

LEVEL = 0.95  # of the intervals
_LEAST_P = 1e-12
Verdict = Literal[
    "holds", "contradicted", "inconclusive", "not tested", "not converged", "descriptive"
]


@dataclass(frozen=True)
class Cell:
    """One number of the table, in the unit in which it is printed (a fraction in percent).

    Attributes:
      values: The number of each seed; None where the run has no such number.
      mean: Mean over the seeds that have the number; None where none has.
      std: Standard deviation over seeds, ddof 1; None with fewer than two.
      interval: Confidence interval of the mean, made by `method`.
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


class VarianceComponent(NamedTuple):
    """A component of a variance, and the degrees of freedom with which it is known."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """A difference, and how far it may lie from the true one.

    The distance from the true one in standard errors is compared with the mean of Student's
    critical values for the components of its variance, weighted by their shares. Simulated, with
    three seeds, 200 resamples, equal recipes and trainings that move the number from 0 to 10 times
    as much as people do, tests at 5 % reject at most 5 % and those at 0.25 % at most 0.4 %; Welch
    and Satterthwaite's degrees of freedom would make that 7 % and 2 %.

    Attributes:
      mean: The difference.
      components: Components of the variance, whose sum is above 0.

    Source: Cochran, Biometrics 1964 (the test of Cochran and Cox, 1950).
    """

    mean: float
    components: tuple[VarianceComponent, ...]

    @property
    def error(self) -> float:
        """The standard error."""
        return sum(component.variance for component in self.components) ** 0.5

    def spread(self, *, seeds: int) -> tuple[float, float] | None:
        """Standard deviations over trainings, of one seed, and over people; None with one seed."""
        if seeds < 2 or len(self.components) < 2:
            return None
        people, trainings = (component.variance for component in self.components)
        return (seeds * trainings) ** 0.5, people**0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Confidence interval at LEVEL."""
        reach = self._critical(1 - LEVEL) * self.error
        return self.mean - reach, self.mean + reach

    def p_value(self, null: float) -> float:
        """Two-sided p-value of a true difference of `null`; at least 1e-12."""
        distance = abs(self.mean - null) / self.error
        if distance >= self._critical(_LEAST_P):
            return _LEAST_P
        reached = optimize.brentq(
            lambda log: self._critical(np.exp(log)) - distance, np.log(_LEAST_P), 0.0
        )
        return float(np.exp(reached))

    def _critical(self, p_value: float) -> float:
        total = sum(
            component.variance * float(stats.t.isf(p_value / 2, component.freedom))
            for component in self.components
        )
        return total / self.error**2


@dataclass(frozen=True)
class ClaimResult:
    """Test of a claim on our runs.

    Attributes:
      claim: The claim.
      published: The paper's difference, or None.
      difference: Mean over seeds of the number of `claim.row` minus that of `claim.than`; None
        where it is not tested.
      interval: Interval of the difference, at LEVEL, for this claim alone.
      p_value: Two-sided p-value of a true difference of `claim.bound`.
      p_value_holm: The p-value adjusted for the number of claims in the family.
      verdict: Whether the claim holds, as `adjust` decides.
      why: What limits the test, or prevents it; "".
      spread: Standard deviations of the difference: over trainings, of one seed's, and over the
        test's people; None with one seed.
    """

    claim: Claim
    published: float | None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_value_holm: float | None = None
    verdict: Verdict = "not tested"
    why: str = ""
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Conclusion:
    """Verdict on a thesis.

    Attributes:
      thesis: The thesis.
      verdict: "not converged" or "not tested" where one of its claims was not tested, for that
        reason, and none is contradicted.
      because: Texts of the claims that keep it from holding.
      must_hold: Number of claims that must hold, by verdict.
      must_not_fail: Number of claims that must not be contradicted, by verdict.
    """

    thesis: Thesis
    verdict: Verdict
    because: tuple[str, ...]
    must_hold: Mapping[Verdict, int]
    must_not_fail: Mapping[Verdict, int]


def cell(
    column: Column, row: Row, results: Sequence[Results | None], pooled: Results | None = None
) -> Cell:
    """The number of a row and a column over its seeds.

    With two seeds or more the interval is Student's for the mean over seeds: what another seed
    would change. With one it is the run's own: what other people in the test would change.

    Args:
      column: What is measured.
      row: The recipe.
      results: Results of each seed; None where the run is not finished.
      pooled: Results of the predictions of all seeds together, where these are folds: the cell's
        mean is then their number, and its interval theirs.
    """
    values = tuple(value_of(r, column) if r else None for r in results)
    known = [v for v in values if v is not None]
    mean = float(np.mean(known)) if known else None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    interval, method = None, ""
    if pooled is not None:
        mean = value_of(pooled, column)
        if mean is not None and not column.over_others:
            interval, method = _own_interval(pooled, column)
    elif mean is not None and std is not None:
        reach = float(stats.t.ppf((1 + LEVEL) / 2, len(known) - 1)) * std / len(known) ** 0.5
        interval, method = (mean - reach, mean + reach), f"Student's t over {len(known)} seeds"
    elif known and not column.over_others:
        first = next(r for r, v in zip(results, values, strict=True) if r and v is not None)
        interval, method = _own_interval(first, column)
    return Cell(values, mean, std, interval, method, row.published.get(column.title))


def _own_interval(results: Results, column: Column) -> tuple[tuple[float, float] | None, str]:
    """The interval that the results give, as it is printed, and how it was made."""
    measure = _measure(results, column)
    if measure.interval is None:
        return None, ""
    low, high = measure.interval
    return (_printed(low, measure), _printed(high, measure)), measure.method


def value_of(results: Results, column: Column) -> float | None:
    """The column's number as it is printed; None where it is absent or undefined."""
    try:
        measure = _measure(results, column)
    except KeyError:
        return None
    if measure.value is None:
        return None
    if column.over_others:
        return _over_others(results, measure)
    return _printed(measure.value, measure)


def _over_others(results: Results, own: Measure) -> float | None:
    """A group's number over the mean of the other groups'; None where that is 0 or undefined."""
    ((attribute, name),) = own.group.items()
    others = [
        m.value
        for m in results.measures
        if (m.name, m.across, m.at) == (own.name, own.across, own.at)
        and m.group.keys() == {attribute}
        and m.group[attribute] != name
    ]
    known = [value for value in others if value is not None]
    if own.value is None or not known or len(known) < len(others) or not sum(known):
        return None
    return float(own.value / np.mean(known))


def _measure(results: Results, column: Column) -> Measure:
    if column.measure.endswith("_worst"):  # whichever group it is
        for m in results.measures:
            if (m.name, m.across, m.at) == (column.measure, column.across, column.at):
                return m
    return results.get(column.measure, across=column.across, at=column.at, **column.group)


def _printed(value: float, measure: Measure) -> float:
    return 100 * value if measure.unit == "fraction" else value


def combined(
    differences: Sequence[float], resampled: np.ndarray, *, pooled: float | None = None
) -> Estimate | None:
    """The mean difference of two recipes, and its error over seeds and over the test's people.

    Two things could have come out otherwise: the trainings and the people in the test. The
    variance of the mean over S seeds is s^2 / S, known with S - 1 degrees of freedom; that over
    people is the variance, over B resamples of people, of the mean difference, with B - 1. Their
    sum counts what a training has in common with the people twice, so it is on the safe side. So a
    tail as far out as many claims ask for can be had of few resamples, at the price of the error
    that they leave in the deviation; a p-value counted in resamples is never below 1 / (B + 1).
    With one seed the trainings' component is not known and not in it.

    Args:
      differences: Difference of the two runs of each seed.
      resampled: [seeds, resamples], those differences in resamples of people; a resample in which
        a seed's difference is NaN is left out. Of pooled folds [1, resamples].
      pooled: The difference in the predictions of all folds together, where seeds are folds; None
        is the mean of `differences`.

    Returns:
      The difference and its error; None where the difference does not vary, or is defined in
      fewer than two resamples.
    """
    seeds, moved = len(differences), resampled.mean(axis=0)
    moved = moved[~np.isnan(moved)]
    if len(moved) < 2:
        return None
    components = [VarianceComponent(float(np.var(moved, ddof=1)), len(moved) - 1)]
    if seeds > 1:
        over_seeds = float(np.var(differences, ddof=1)) / seeds
        components.append(VarianceComponent(over_seeds, seeds - 1))
    if not any(component.variance for component in components):
        return None
    mean = float(np.mean(differences)) if pooled is None else pooled
    return Estimate(mean, tuple(components))


def adjust(outcomes: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The claims with adjusted p-values and verdicts; descriptive ones have neither.

    Within a family p-values are adjusted by Holm's method: the chance that any verdict of "holds"
    or "contradicted" is false stays below 1 - LEVEL. A claim is decided where its adjusted p-value
    is at most that, and then by the side of its bound on which the difference lies.

    Args:
      outcomes: Outcomes in any order; those without a p-value are not changed and not counted.
    """
    adjusted = list(outcomes)
    for family in {t.claim.family for t in outcomes}:
        members = [k for k, t in enumerate(outcomes) if t.claim.family == family]
        raw = np.array([outcomes[k].p_value for k in members], np.float64)  # None becomes NaN
        for k, p in zip(members, holm(raw).tolist(), strict=True):
            outcome = outcomes[k]
            if outcome.difference is not None and not outcome.claim.descriptive:
                verdict = verdict_of(outcome.claim, outcome.difference, p)
                adjusted[k] = replace(outcome, p_value_holm=p, verdict=verdict)
    return adjusted


def verdict_of(claim: Claim, difference: float, p_value: float) -> Verdict:
    """Whether the claim holds, by its adjusted p-value."""
    if p_value > 1 - LEVEL:
        return "inconclusive"
    lower = difference < claim.bound
    return "holds" if lower == (claim.direction == "lower") else "contradicted"


def conclude(thesis: Thesis, outcomes: Sequence[ClaimResult]) -> Conclusion:
    """Verdict on a thesis from its claims, by the thesis's own rule.

    That all of several claims must hold needs no further adjustment (an intersection-union test:
    Berger, Technometrics 1982); that one contradicted claim is enough has it in the claims' own.
    """
    verdicts = {t.claim.text: t.verdict for t in outcomes}
    named = (*thesis.must_hold, *thesis.must_not_fail)
    verdict: Verdict
    for verdict in ("contradicted", "not converged", "not tested", "descriptive"):
        if because := tuple(text for text in named if verdicts[text] == verdict):
            break
    else:
        because = tuple(text for text in thesis.must_hold if verdicts[text] != "holds")
        verdict = "inconclusive" if because else "holds"
    needed, spared = (
        dict(Counter(verdicts[text] for text in texts))
        for texts in (thesis.must_hold, thesis.must_not_fail)
    )
    return Conclusion(thesis, verdict, because, needed, spared)


def published_difference(claim: Claim, rows: Mapping[str, Row]) -> float | None:
    """The paper's difference, where it prints both numbers."""
    a, b = (rows[name].published.get(claim.column) for name in (claim.row, claim.than))
    return None if a is None or b is None else a - b
