"""Quantities by group and the gaps between groups, each as a `Measure` that a reviewer can check.

A protocol says what it measures as `Quantity`s; this module gives every one its n, its interval
and its notes the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.results import FEW, Measure
from fairjax.metrics import bootstrap, by_group
from fairjax.metrics.classification import divide, mean, mean_rows

_TINY, _UNBOUNDED = 1e-300, 1e100  # a rate that stands for 0, and what 1 / it exceeds


@dataclass(frozen=True)
class Quantity:
    """Something measured, before it is known on whom.

    Attributes:
      name: The measure's name.
      unit: Its unit.
      rule: Its definition, for the reader.
      rows: What each example adds, [examples, ...].
      value: Makes the number from sums of rows, any leading axes.
      used: Bool [examples]: the examples it is computed over.
      errors: Bool [examples]: the errors a rate counts, or None.
      values: [examples], where it is the mean of these over the used examples; else None.
      lower_is_better: Which end is the worst group.
      recentre: Whether resampled values lie to one side, so that the interval is recentred.
    """

    name: str
    unit: str
    rule: str
    rows: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    used: np.ndarray
    errors: np.ndarray | None
    values: np.ndarray | None
    lower_is_better: bool
    recentre: bool = False


def mean_of(
    name: str,
    values: np.ndarray,
    *,
    used: np.ndarray | None = None,
    unit: str = "fraction",
    rule: str = "",
    errors: np.ndarray | None = None,
    lower_is_better: bool,
) -> Quantity:
    """The mean of one value an example, over the used examples (all, unless said)."""
    used = np.ones(len(values), bool) if used is None else used
    rows = mean_rows(values, used)
    return Quantity(name, unit, rule, rows, mean, used, errors, values, lower_is_better)


@dataclass(frozen=True)
class Sampling:
    """How uncertainty is computed, the same for every number of a report.

    Attributes:
      cluster: Cluster of each example.
      draws: The bootstrap's resamples.
      level: Nominal coverage, a fraction.
      seed: The seed of the draws and the permutations.
    """

    cluster: np.ndarray
    draws: bootstrap.Draws
    level: float
    seed: int

    @property
    def resamples(self) -> int:
        return self.draws.weights.shape[1]


@dataclass(frozen=True)
class ByGroup:
    """A quantity on every group of one attribute.

    Attributes:
      quantity: What was measured.
      names: The groups' names.
      measures: One a group.
      rates: The values, [groups], NaN where undefined.
      resampled: The same in each resample, [resamples, groups].
      permuted: Under permuted labels, [permutations, groups]; None where it was not asked for.
    """

    quantity: Quantity
    names: Sequence[str]
    measures: list[Measure]
    rates: np.ndarray
    resampled: np.ndarray
    permuted: np.ndarray | None = None


def measure_groups(
    quantity: Quantity,
    group: np.ndarray,
    groups: Sequence[Mapping[str, str]],
    sampling: Sampling,
    *,
    permute: bool = False,
) -> ByGroup:
    """Measures a quantity on each group.

    Args:
      quantity: What to measure.
      group: Group of each example, an index into `groups`; -1 leaves the example out.
      groups: What each group is, {"race": "White"}, {} for everyone.
      sampling: Where intervals come from.
      permute: Whether to find what equal groups would show; only for means.
    """
    quantity_rows = np.where(
        (group >= 0).reshape(-1, *[1] * (quantity.rows.ndim - 1)), quantity.rows, 0
    )
    used = quantity.used & (group >= 0)
    inside = np.maximum(group, 0)
    size = len(groups)
    rates = quantity.value(by_group.group_sums(quantity_rows, inside, groups=size))
    resampled = quantity.value(
        bootstrap.resampled_sums(quantity_rows, inside, sampling.draws, groups=size)
    )
    n = np.bincount(inside[used], minlength=size)
    counted = quantity.errors
    n_errors = None if counted is None else np.bincount(inside[used & counted], minlength=size)
    pairs = np.unique(np.stack([inside[used], sampling.draws.position[used]]), axis=1)
    n_clusters = np.bincount(pairs[0], minlength=size)
    measures = [
        _cell(
            quantity,
            dict(groups[g]),
            float(rates[g]),
            resampled[:, g],
            sampling,
            n=int(n[g]),
            n_clusters=int(n_clusters[g]),
            n_errors=None if n_errors is None else int(n_errors[g]),
        )
        for g in range(size)
    ]
    permuted = None
    if permute and quantity.values is not None:
        permuted = bootstrap.permuted_means(
            quantity.values[used],
            inside[used],
            sampling.cluster[used],
            groups=size,
            permutations=sampling.resamples,
            seed=sampling.seed,
        )
    names = [", ".join(g.values()) for g in groups]
    return ByGroup(quantity, names, measures, rates, resampled, permuted)


def _cell(
    quantity: Quantity,
    group: dict[str, str],
    value: float,
    resampled: np.ndarray,
    sampling: Sampling,
    *,
    n: int,
    n_clusters: int,
    n_errors: int | None,
) -> Measure:
    """One number with its interval and what limits it."""
    blank = Measure(
        name=quantity.name,
        value=None,
        unit=quantity.unit,
        n=n,
        group=group,
        n_clusters=n_clusters,
        n_errors=n_errors,
        rule=quantity.rule,
    )
    if np.isnan(value):
        why = "nothing to divide by" if n else "no example to compute it over"
        return replace(blank, note=f"undefined: {why}")
    notes = []
    if n_errors is not None and n_errors < FEW:
        notes.append(f"fewer than {FEW} errors ({n_errors})")
    elif n_errors is None and n < FEW:
        notes.append(f"fewer than {FEW} examples ({n})")
    method = f"cluster bootstrap, percentile, {sampling.resamples} resamples"
    interval = bootstrap.percentile_interval(resampled, level=sampling.level)
    if quantity.recentre:
        method = method.replace("percentile", "recentred")
        interval = bootstrap.recentred_interval(value, resampled, level=sampling.level)
    interval, note = _usable(interval, resampled, 0.0, np.inf)
    is_rate = quantity.values is not None and quantity.unit == "fraction"
    if interval is None and is_rate and value in (0.0, 1.0):
        interval = bootstrap.exact_interval(
            all_counted=value == 1.0, trials=n_clusters, level=sampling.level
        )
        method, note = "Clopper-Pearson on clusters, since every resample gives the same rate", ""
    return replace(
        blank,
        value=value,
        interval=interval,
        level=sampling.level if interval else None,
        method=method if interval else "",
        note="; ".join(filter(None, [*notes, note])),
    )


def _usable(
    interval: tuple[float, float] | None, resampled: np.ndarray, low: float, high: float
) -> tuple[tuple[float, float] | None, str]:
    """The interval cut to what is possible, None where it says nothing, and a note."""
    if interval is None or interval[0] == interval[1]:
        return None, "no interval: every resample gives the same value"
    interval = max(interval[0], low), min(interval[1], high)
    if interval[1] > _UNBOUNDED:
        return None, "no interval: some resamples have a group without errors"
    lost = float(np.isnan(resampled).mean())
    return interval, f"{lost:.1%} of resamples left out: undefined there" if lost else ""


def complement(part: ByGroup) -> ByGroup:
    """1 - rate: errors from accuracies, true positive rates from false negative rates."""
    permuted = None if part.permuted is None else 1 - part.permuted
    return replace(part, rates=1 - part.rates, resampled=1 - part.resampled, permuted=permuted)


@dataclass(frozen=True)
class Summary:
    """A number made of the rates of all groups.

    Attributes:
      name: What its measure's name ends in.
      value: Takes one array [..., groups] a part, gives [...].
      norm: The same of deviations from the rates; bounds how far the value can be off (see
        `bootstrap.gap_interval`). None: the value moves smoothly, a percentile interval serves.
      rule: Its definition.
      unit: Its unit; "" is that of the rates.
      ddof: Of a standard deviation.
      log: Whether `norm` is of the deviations of the logarithms: for ratios.
      low: The smallest value possible.
      high: The largest value possible.
      noise: Whether to add what equal groups would show; only where it grows with the gap.
    """

    name: str
    value: Callable[..., np.ndarray]
    norm: Callable[..., np.ndarray] | None
    rule: str
    unit: str = ""
    ddof: int | None = None
    log: bool = False
    low: float = 0.0
    high: float = np.inf
    noise: bool = False


def summarise(
    prefix: str,
    summary: Summary,
    *parts: ByGroup,
    across: str,
    sampling: Sampling,
    group: Mapping[str, str] | None = None,
) -> list[Measure]:
    """A summary over groups, with its noise floor and p-value where it has them.

    The value is None where fewer than two groups have one. In a resample that lacks a group which
    the data have, the summary is undefined and the resample is left out.

    Args:
      prefix: What the measure's name begins with.
      summary: What to compute.
      *parts: The quantities by group that it summarises, of one attribute.
      across: That attribute.
      sampling: Where intervals come from.
      group: The group it is about, for a worst group.
    """
    known = np.all([~np.isnan(part.rates) for part in parts], axis=0)
    unit = summary.unit or parts[0].quantity.unit
    blank = Measure(
        name=f"{prefix}_{summary.name}",
        value=None,
        unit=unit,
        across=across,
        n=sum(m.n for part in parts for m in part.measures),
        group=dict(group or {}),
        n_clusters=len(np.unique(sampling.cluster[np.any([p.quantity.used for p in parts], 0)])),
        ddof=summary.ddof,
        rule=summary.rule,
    )
    rates = [part.rates[known] for part in parts]
    if known.sum() < 2:
        return [replace(blank, note="undefined: fewer than two groups have a value")]
    value = float(summary.value(*rates))
    if np.isnan(value):
        return [replace(blank, note="undefined: nothing to divide by")]
    resampled = _whole_resamples([part.resampled[:, known] for part in parts])
    interval, method, note = _summary_interval(summary, value, rates, resampled, unit, sampling)
    left_out = [name for name, there in zip(parts[0].names, known, strict=True) if not there]
    few = {
        name
        for part in parts
        for name, m in zip(part.names, part.measures, strict=True)
        if m.n and m.n_errors is not None and m.n_errors < FEW
    }
    notes = [
        f"without {', '.join(left_out)}: undefined there" if left_out else "",
        f"fewer than {FEW} errors in {', '.join(sorted(few))}" if few else "",
        note,
    ]
    found = replace(
        blank,
        value=value,
        interval=interval,
        level=sampling.level if interval else None,
        method=method if interval else "",
        note="; ".join(filter(None, notes)),
    )
    permuted = [part.permuted[:, known] for part in parts if part.permuted is not None]
    if not summary.noise or len(permuted) < len(parts):
        return [found]
    null = summary.value(*permuted)
    blank = replace(blank, method=f"{len(null)} permutations of the {across} of whole clusters")
    floor = replace(
        blank,
        name=f"{found.name}_noise_floor",
        value=float(np.quantile(null, sampling.level)),
        rule=f"{sampling.level:g} quantile of {found.name} when groups are equal",
    )
    p_value = replace(
        blank,
        name=f"{found.name}_p_value",
        value=bootstrap.p_value(value, null),
        unit="fraction",
        ddof=None,
        rule=f"share of permutations that reach {found.name}; not adjusted for other tests",
    )
    return [found, floor, p_value]


def _summary_interval(
    summary: Summary,
    value: float,
    rates: Sequence[np.ndarray],
    resampled: Sequence[np.ndarray],
    unit: str,
    sampling: Sampling,
) -> tuple[tuple[float, float] | None, str, str]:
    """Interval of a summary, its method, and what limits it."""
    high = 1.0 if unit == "fraction" else summary.high
    if summary.norm is None:
        values = summary.value(*resampled)
        interval = bootstrap.percentile_interval(values, level=sampling.level)
        kind = "percentile"
    elif summary.log:
        if any((r == 0).any() for r in rates):
            return None, "", "no interval: a group's rate is 0"
        # A rate of 0 in a resample is as far off as can be; the floor keeps it finite.
        off = [
            np.log(np.maximum(b, _TINY)) - np.log(r) for b, r in zip(resampled, rates, strict=True)
        ]
        values = summary.norm(*off)
        logs = bootstrap.gap_interval(np.log(value), values, level=sampling.level)
        interval = None if logs is None else (np.exp(logs[0]), np.exp(logs[1]))
        kind = "deviation of log rates"
    else:
        off = [b - r for b, r in zip(resampled, rates, strict=True)]
        values = summary.norm(*off)
        interval = bootstrap.gap_interval(value, values, level=sampling.level)
        kind = "deviation of rates"
    method = f"cluster bootstrap, {kind}, {sampling.resamples} resamples"
    interval, note = _usable(interval, values, summary.low, high)
    return interval, method, note


def _whole_resamples(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rates by group [resamples, groups], all NaN in a resample that lacks a group."""
    lacking = np.any([np.isnan(rates).any(axis=1) for rates in parts], axis=0)
    return [np.where(lacking[:, None], np.nan, rates) for rates in parts]


def _std(rates: np.ndarray) -> np.ndarray:
    return by_group.std(rates, ddof=1)


def _largest(rates: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmax.reduce(rates, axis=-1))


def _smallest(rates: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmin.reduce(rates, axis=-1))


DIFFERENCE = Summary(
    "difference", by_group.difference, by_group.difference, "largest - smallest group", noise=True
)
RATIO = Summary(
    "ratio",
    by_group.ratio,
    by_group.difference,
    "smallest / largest group",
    unit="ratio",
    log=True,
    high=1.0,
)


def summaries(part: ByGroup, *, across: str, sampling: Sampling) -> list[Measure]:
    """Mean, spread, extremes and gaps of one quantity over the groups of one attribute."""
    q = part.quantity
    centre = float(by_group.group_mean(part.rates))
    wanted = [
        Summary("mean", by_group.group_mean, None, "unweighted mean over groups"),
        Summary("std", _std, _std, "across groups, ddof 1", ddof=1, noise=True),
        Summary(
            "std_over_mean",
            lambda rates: divide(_std(rates), by_group.group_mean(rates)),
            lambda off: divide(_std(off), np.float64(centre)),
            "std across groups (ddof 1) / unweighted mean; the interval holds the mean fixed",
            unit="ratio",
            ddof=1,
        ),
        DIFFERENCE,
        RATIO,
    ]
    found = []
    for summary in wanted:
        found += summarise(q.name, summary, part, across=across, sampling=sampling)
    if q.name.endswith("accuracy"):
        ser = Summary(
            "ser",
            lambda errors: by_group.skewed_error_ratio(1 - errors),
            by_group.difference,
            "largest error / smallest error",
            unit="ratio",
            log=True,
            low=1.0,
        )
        found += summarise(q.name, ser, complement(part), across=across, sampling=sampling)
    if not np.isnan(part.rates).all():
        index = by_group.worst_group(part.rates, lower_is_better=q.lower_is_better)
        extreme, word = (_largest, "largest") if q.lower_is_better else (_smallest, "smallest")
        worst = Summary("worst", extreme, lambda off: _largest(np.abs(off)), f"the {word} group")
        group = part.measures[index].group
        found += summarise(q.name, worst, part, across=across, sampling=sampling, group=group)
    return found
