"""Verification of more comparisons than fit in memory: error rates by group, without resamples.

The rates, their thresholds and their clustered intervals are those of `verification`, found in
passes over chunks. So are the primary tests, whose null is drawn for both rates. What takes
resamples of people is left out: intervals, noise floors and p-values of other gaps, verdicts,
accuracies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.results import FEW, Measure, Results, finite_or_none
from fairjax.core.verdict import ALPHA
from fairjax.metrics import adequacy, clustered, verification
from fairjax.metrics.clustered import ClusteredRate
from fairjax.metrics.streaming import Counts, ScoreHistogram, ThresholdSearch
from fairjax.metrics.verification import InsufficientDataError
from fairjax.protocols import gaps
from fairjax.protocols.gaps import GroupRates, Number, Setting
from fairjax.protocols.verification.arrays import CURVE_POINTS
from fairjax.protocols.verification.gaps import (
    OF_BOTH_RATES,
    OF_ONE_RATE,
    adjusted,
    drawn_null,
    known_of,
)
from fairjax.protocols.verification.rates import at_fmr

_DRAWS = 2000  # of rates under equality
Chunks = Callable[[], Iterable[Comparisons]]
_LIMIT = (
    "Gaps have no intervals or noise floors here: these take resamples of people, which were not "
    "made. Audit a sample of the pairs for them."
)


@runtime_checkable
class Passes(Protocol):
    """Comparisons of one system that are gone through once for every method that is called."""

    def histogram(self) -> ScoreHistogram:
        """Where all scores lie."""

    def search(self, search: ThresholdSearch) -> None:
        """Adds the comparisons to a search."""

    def count(self, counts: Counts) -> None:
        """Adds the comparisons to counts."""


@dataclass(frozen=True)
class InChunks:
    """Comparisons in chunks.

    Attributes:
      chunks: Called once a pass, gives the same comparisons in chunks.
      groups: How many groups there are.
    """

    chunks: Chunks
    groups: int

    def histogram(self) -> ScoreHistogram:
        """Where all scores lie."""
        histogram = ScoreHistogram(groups=self.groups)
        for chunk in self.chunks():
            histogram.add(chunk)
        return histogram

    def search(self, search: ThresholdSearch) -> None:
        """Adds the comparisons to a search."""
        for chunk in self.chunks():
            search.add(chunk)

    def count(self, counts: Counts) -> None:
        """Adds the comparisons to counts."""
        for chunk in self.chunks():
            counts.add(chunk)


def measure_stream(
    passes: Passes,
    *,
    groups: Sequence[str],
    attribute: str,
    fmrs: Sequence[float],
    thresholds: Sequence[float] = (),
    names: Sequence[str] = (),
    level: float,
    limits: Sequence[str],
    name: str = "verification",
    more_tests: int = 0,
) -> Results:
    """Measures one system in three passes; in one with given thresholds alone, but for curves.

    Args:
      passes: The comparisons, for one pass after the other.
      groups: Names of the groups.
      attribute: What they are of: "race".
      fmrs: Target false match rates, fractions in (0, 1).
      thresholds: Given thresholds.
      names: Names of the given thresholds as operating points; () names them by their values.
      level: Coverage of intervals, a fraction in (0, 1).
      limits: Sentences for the reader.
      name: The protocol's name.
      more_tests: Number of primary tests that the caller adds to the report and adjusts together
        with these.

    Returns:
      Results of kind "verification"; the provenance is empty, for the caller to fill in.
    """
    histogram = passes.histogram()
    search = ThresholdSearch(histogram, targets=fmrs)
    if fmrs:
        passes.search(search)
    points, measures = [], []
    for target in fmrs:
        try:
            points.append((at_fmr(target), search.threshold(target), "all non-mated pairs"))
        except InsufficientDataError as error:
            for rate in ("fmr", "fnmr", "tmr"):
                measures.append(
                    Measure(rate, None, "fraction", 0, at=at_fmr(target), note=str(error))
                )
    names = names or [f"threshold {t:g}" for t in thresholds]
    points += [(at, float(t), "given") for at, t in zip(names, thresholds, strict=True)]
    counts = Counts([threshold for _, threshold, _ in points], groups=len(groups))
    passes.count(counts)
    setting = Setting(level, 0, "subject", ALPHA / max(2 * len(points) + more_tests, 1))
    for index, point in enumerate(points):
        measures += _at_point(counts, index, point, groups, attribute, setting)
    measures = [n.measure for n in adjusted([Number(m) for m in measures], "holm")]
    nonmated, mated = histogram.counts.sum(axis=(1, 2))
    protocol = {
        "name": name,
        "attribute": attribute,
        "groups": list(groups),
        "systems": [""],
        "n": int(nonmated + mated),
        "fmrs": list(fmrs),
        "thresholds": list(thresholds),
        "threshold_rule": "smallest score whose FMR does not exceed the target"
        if fmrs
        else "given",
        "threshold_source": "all non-mated pairs" if fmrs else "given",
        "accuracies": [],
        "tolerances": {},
        "level": level,
        "interval": f"clustered by people, thresholds held fixed; {clustered.COVERAGE_FOUND}",
        "noise_floor": "not computed without resamples",
        "adjusted": "holm",
        "streamed": True,
    }
    plots: dict[str, Any] = {"det": {"groups": _curves(histogram, groups)}}
    if points:
        plots["matrix"] = _matrix(counts, points[0], groups, level)
    return Results("verification", protocol, measures, plots, [*limits, _LIMIT], {})


def _at_point(
    counts: Counts,
    place: int,
    point: tuple[str, float, str],
    groups: Sequence[str],
    attribute: str,
    setting: Setting,
) -> list[Measure]:
    """Rates of everyone, of each group and across groups, the gaps' values, the primary tests."""
    level = setting.level
    at, threshold, source = point
    blank = Measure("", None, "fraction", 0, at=at, threshold=threshold, threshold_source=source)
    size = len(groups)
    numbers = []
    counted = {
        "fmr": _backed([counts.fmr(place, (g, g)) for g in range(size)]),
        "fnmr": _backed([counts.fnmr(place, g) for g in range(size)]),
    }
    for g in [None, *range(size)]:
        group = {} if g is None else {attribute: groups[g]}
        fmr = counts.fmr(place, None) if g is None else counted["fmr"][g]
        fnmr = counts.fnmr(place, None) if g is None else counted["fnmr"][g]
        missed = _measured(replace(blank, name="fnmr", group=group), fnmr, level)
        numbers += [
            _measured(replace(blank, name="fmr", group=group), fmr, level),
            missed,
            _complement(missed),
        ]
    for a in range(size):
        for b in range(a + 1, size):
            rate = counts.fmr(place, (a, b))
            if rate.trials:
                group = {attribute: groups[a], f"other_{attribute}": groups[b]}
                numbers.append(_measured(replace(blank, name="fmr", group=group), rate, level))
    rates = {name: np.array([one.rate for one in own]) for name, own in counted.items()}
    own = {
        name: [m for m in numbers if m.name == name and list(m.group) == [attribute]]
        for name in counted
    }
    n = {name: sum(m.n for m in measures) for name, measures in own.items()}
    gap = replace(blank, across=attribute)
    for name, of_one in OF_ONE_RATE.items():
        for kind, values in rates.items():
            numbers.append(_gap(replace(gap, name=f"{kind}_{name}", n=n[kind]), of_one, values))
    for name, of_both in OF_BOTH_RATES.items():
        numbers.append(
            _gap(replace(gap, name=name, n=sum(n.values())), of_both, rates["fmr"], rates["fnmr"])
        )
    for name, values in rates.items():
        part = GroupRates(
            name=name,
            unit="fraction",
            lower_is_better=True,
            names=groups,
            measures=own[name],
            rates=values,
            resampled=np.zeros((0, size)),
            known=known_of(counted[name]),
            label=f"{name.upper()} ",
            missing=f"no pairs for {name.upper()}",
        )
        part = drawn_null(part, draws=_DRAWS, seed=setting.seed)
        tests = gaps.equality_test(replace(gap, n=n[name]), part, setting)
        numbers += [number.measure for number in tests]
    return numbers


def _backed(rates: list[ClusteredRate]) -> list[ClusteredRate]:
    """Groups' rates, those of few errors with the design effect that the groups have in common."""
    if sum(rate.errors for rate in rates) < FEW:
        return rates
    effects = clustered.common_design_effects(rates)
    return [
        replace(rate, likeliest_effect=float(effect)) if rate.trials and rate.is_thin else rate
        for rate, effect in zip(rates, effects, strict=True)
    ]


def _measured(blank: Measure, rate: ClusteredRate, level: float) -> Measure:
    blank = replace(blank, n=rate.trials, n_clusters=rate.people)
    if not rate.trials:
        return replace(blank, note="no pairs")
    held = "clustered by people, threshold held fixed"
    return replace(
        blank,
        value=rate.rate,
        n_errors=rate.errors,
        interval=rate.interval(level=level),
        level=level,
        method=f"Wilson on effective trials, {held}",
        note=f"fewer than {FEW} errors ({rate.errors})" if rate.errors < FEW else "",
    )


def _complement(fnmr: Measure) -> Measure:
    if fnmr.value is None:
        return replace(fnmr, name="tmr")
    ends = fnmr.interval and (1 - fnmr.interval[1], 1 - fnmr.interval[0])
    return replace(fnmr, name="tmr", value=1 - fnmr.value, interval=ends)


def _gap(blank: Measure, summary: Any, *rates: np.ndarray) -> Measure:
    value = finite_or_none(float(summary.value(*rates)))
    return replace(
        blank,
        value=value,
        unit=summary.unit,
        rule=summary.rule,
        ddof=summary.ddof,
        note="" if value is not None else "undefined: a group without errors or pairs",
    )


def _curves(histogram: ScoreHistogram, groups: Sequence[str]) -> dict[str, Any]:
    curves = {}
    for g, name in [(None, "everyone"), *enumerate(groups)]:
        counts = histogram.counts.sum(axis=1) if g is None else histogram.counts[:, g]
        nonmated, mated = (int(n) for n in counts.sum(axis=1))
        one: dict[str, Any] = {
            "threshold": [],
            "fmr": [],
            "fnmr": [],
            "thirty_fmr": adequacy.lowest_rate(nonmated, errors=FEW),
            "thirty_fnmr": adequacy.lowest_rate(mated, errors=FEW),
        }
        if nonmated and mated:
            curve = verification.thin(histogram.curve(g), points=CURVE_POINTS)
            one |= {key: getattr(curve, key).tolist() for key in ("threshold", "fmr", "fnmr")}
        curves[name] = one
    return curves


def _matrix(
    counts: Counts, point: tuple[str, float, str], groups: Sequence[str], level: float
) -> dict[str, Any]:
    size = len(groups)
    cells = [[counts.fmr(0, (a, b)) for b in range(size)] for a in range(size)]
    ends = [[cell.interval(level=level) or (None, None) for cell in row] for row in cells]
    return {
        "at": point[0],
        "threshold": point[1],
        "groups": list(groups),
        "fmr": [[finite_or_none(cell.rate) for cell in row] for row in cells],
        "errors": [[cell.errors for cell in row] for row in cells],
        "n": [[cell.trials for cell in row] for row in cells],
        "low": [[low for low, _ in row] for row in ends],
        "high": [[high for _, high in row] for row in ends],
    }
