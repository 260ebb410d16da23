"""Quantities by group and the gaps between groups, each as a `Measure` that a reviewer can check.

A protocol says what it measures as `Quantity`s; this module gives every one its n, its interval
and its notes the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.metrics import bootstrap, by_group
from fairjax.metrics.classification import divide, mean, mean_rows
from fairjax.results import Measure

FEW = 30  # errors below which a rate is not known to within 30 % (rule of 30, ISO/IEC 19795-1)


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

    @property
    def method(self) -> str:
        return f"cluster bootstrap, percentile, {self.resamples} resamples"


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
    quantity_rows = np.where((group >= 0).reshape(-1, *[1] * (quantity.rows.ndim - 1)),
                             quantity.rows, 0)  # fmt: skip
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
            quantity, dict(groups[g]), float(rates[g]), resampled[:, g], sampling,
            n=int(n[g]), n_clusters=int(n_clusters[g]),
            n_errors=None if n_errors is None else int(n_errors[g]),
        )
        for g in range(size)
    ]  # fmt: skip
    permuted = None
    if permute and quantity.values is not None:
        permuted = bootstrap.permuted_means(
            quantity.values[used], inside[used], sampling.cluster[used],
            groups=size, permutations=sampling.resamples, seed=sampling.seed,
        )  # fmt: skip
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
        name=quantity.name, value=None, unit=quantity.unit, n=n, group=group,
        n_clusters=n_clusters, n_errors=n_errors, rule=quantity.rule,
    )  # fmt: skip
    if np.isnan(value):
        why = "nothing to divide by" if n else "no example to compute it over"
        return replace(blank, note=f"undefined: {why}")
    notes = []
    if n_errors is not None and n_errors < FEW:
        notes.append(f"fewer than {FEW} errors ({n_errors})")
    elif n_errors is None and n < FEW:
        notes.append(f"fewer than {FEW} examples ({n})")
    interval, note = _interval(resampled, sampling.level)
    method = sampling.method
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


def _interval(resampled: np.ndarray, level: float) -> tuple[tuple[float, float] | None, str]:
    """The percentile interval, None where it has no width, and a note on what limits it."""
    interval = bootstrap.percentile_interval(resampled, level=level)
    if interval is None or interval[0] == interval[1]:
        return None, "no interval: every resample gives the same value"
    lost = float(np.isnan(resampled).mean())
    return interval, f"{lost:.1%} of resamples left out: undefined there" if lost else ""


def gap(
    name: str,
    summary: Callable[..., np.ndarray],
    *parts: ByGroup,
    across: str,
    sampling: Sampling,
    unit: str,
    rule: str,
    ddof: int | None = None,
    noise: bool = False,
    group: Mapping[str, str] | None = None,
) -> list[Measure]:
    """A summary over groups, with its noise floor and p-value when asked.

    The value is None where fewer than two groups have one. In a resample that lacks a group which
    the data have, the summary is undefined and the resample is left out.

    Args:
      name: The measure's name.
      summary: Takes one array [..., groups] a part, gives [...].
      *parts: The quantities by group that it summarises.
      across: The attribute that the groups are of.
      sampling: Where intervals come from.
      unit: The summary's unit.
      rule: Its definition.
      ddof: Of a standard deviation.
      noise: Also the value that equal groups would stay below, at the sampling's level, and the
        share of permutations that reach the summary, as `<name>_noise_floor` and `<name>_p_value`;
        only for summaries that grow with the gap, of parts measured with `permute`.
      group: The group it is about, for a worst group.
    """
    known = np.all([~np.isnan(part.rates) for part in parts], axis=0)
    measures = [m for part in parts for m in part.measures]
    blank = Measure(
        name=name, value=None, unit=unit, n=sum(m.n for m in measures), across=across,
        group=dict(group or {}), ddof=ddof, rule=rule,
        n_clusters=len(np.unique(sampling.cluster[np.any([p.quantity.used for p in parts], 0)])),
    )  # fmt: skip
    if known.sum() < 2:
        return [replace(blank, note="undefined: fewer than two groups have a value")]
    value = float(summary(*(part.rates[known] for part in parts)))
    if np.isnan(value):
        return [replace(blank, note="undefined: nothing to divide by")]
    resampled = np.array(summary(*(part.resampled[:, known] for part in parts)))
    missing = np.any([np.isnan(part.resampled[:, known]).any(axis=1) for part in parts], axis=0)
    resampled[missing] = np.nan
    interval, note = _interval(resampled, sampling.level)
    left_out = [name for name, there in zip(parts[0].names, known, strict=True) if not there]
    few = {name for part in parts for name, m in zip(part.names, part.measures, strict=True)
           if m.n and m.n_errors is not None and m.n_errors < FEW}  # fmt: skip
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
        method=sampling.method if interval else "",
        note="; ".join(filter(None, notes)),
    )
    if not noise or any(part.permuted is None for part in parts):
        return [found]
    null = summary(*(part.permuted[:, known] for part in parts if part.permuted is not None))
    blank = replace(blank, method=f"{len(null)} permutations of the {across} of whole clusters")
    return [
        found,
        replace(
            blank,
            name=f"{name}_noise_floor",
            value=float(np.quantile(null, sampling.level)),
            rule=f"{sampling.level:g} quantile of {name} when groups are equal",
        ),
        replace(
            blank,
            name=f"{name}_p_value",
            value=bootstrap.p_value(value, null),
            unit="fraction",
            ddof=None,
            rule=f"share of permutations that reach {name}; not adjusted for other tests",
        ),
    ]


def summaries(part: ByGroup, *, across: str, sampling: Sampling) -> list[Measure]:
    """Mean, spread, extremes and gaps of one quantity over the groups of one attribute."""
    q = part.quantity
    worst_of = np.fmax if q.lower_is_better else np.fmin

    def one(suffix: str, summary: Callable[..., np.ndarray], **more: object) -> list[Measure]:
        options = {"unit": q.unit, **more}
        return gap(f"{q.name}_{suffix}", summary, part, across=across, sampling=sampling, **options)  # type: ignore[arg-type]

    def spread(rates: np.ndarray) -> np.ndarray:
        return by_group.std(rates, ddof=1)

    found = [
        *one("mean", by_group.group_mean, rule="unweighted mean over groups"),
        *one("std", spread, rule="across groups, ddof 1", ddof=1, noise=True),
        *one(
            "std_over_mean",
            lambda rates: divide(spread(rates), by_group.group_mean(rates)),
            rule="std across groups (ddof 1) / unweighted mean", unit="ratio", ddof=1,
        ),
        *one("difference", by_group.difference, rule="largest - smallest group", noise=True),
        *one("ratio", by_group.ratio, rule="smallest / largest group", unit="ratio"),
    ]  # fmt: skip
    if q.name.endswith("accuracy"):
        rule = "largest error / smallest error"
        found += one("ser", by_group.skewed_error_ratio, rule=rule, unit="ratio")
    if not np.isnan(part.rates).all():
        index = by_group.worst_group(part.rates, lower_is_better=q.lower_is_better)
        found += one(
            "worst",
            lambda rates: np.asarray(worst_of.reduce(rates, axis=-1)),
            rule=f"{'largest' if q.lower_is_better else 'smallest'} group; the interval is of "
            "the worst group of each resample, whichever it is",
            group=part.measures[index].group,
        )
    return found
