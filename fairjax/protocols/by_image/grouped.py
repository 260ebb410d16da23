"""Quantities by group and the gaps between groups, each as a `Measure` that a reviewer can check.

A protocol says what it measures as `Quantity`s; this module gives every one its n, its interval
and its notes the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.results import FEW, Measure
from fairjax.core.verdict import ALPHA, PRIMARY, is_primary
from fairjax.metrics import bootstrap, by_group
from fairjax.metrics.classification import divide, mean, mean_rows
from fairjax.metrics.equality import Known
from fairjax.protocols import gaps
from fairjax.protocols.gaps import GroupRates, Summary


@dataclass(frozen=True)
class Quantity:
    """Something measured, before it is known on whom.

    Attributes:
      name: Name of the measure.
      unit: Unit of the number.
      rule: Definition for the reader.
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
      tests: Number of primary tests in the report.
    """

    cluster: np.ndarray
    draws: bootstrap.Draws
    level: float
    seed: int
    tests: int = 1

    @property
    def resamples(self) -> int:
        return self.draws.weights.shape[1]

    @property
    def setting(self) -> gaps.Setting:
        """The same, for gaps across groups."""
        return gaps.Setting(self.level, self.seed, "cluster", ALPHA / self.tests)


def measure_groups(
    quantity: Quantity,
    group: np.ndarray,
    groups: Sequence[Mapping[str, str]],
    sampling: Sampling,
    *,
    permute: bool = False,
) -> GroupRates:
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
    group_rates = GroupRates(
        name=quantity.name,
        unit=quantity.unit,
        lower_is_better=quantity.lower_is_better,
        names=[", ".join(g.values()) for g in groups],
        measures=measures,
        rates=rates,
        resampled=resampled,
        clusters=np.unique(sampling.cluster[quantity.used]),
    )
    if not permute or quantity.values is None:
        return group_rates
    across = ", ".join(dict.fromkeys(name for g in groups for name in g))
    return replace(
        group_rates,
        null=bootstrap.permuted_means(
            quantity.values[used],
            inside[used],
            sampling.cluster[used],
            groups=size,
            permutations=sampling.resamples,
            seed=sampling.seed,
        ),
        null_method=f"{sampling.resamples} permutations of the {across} of whole clusters",
        known=_known(quantity, used, rates, resampled, n, n_clusters),
        weights=n_clusters[n > 0].astype(np.float64),
    )


def _known(
    quantity: Quantity,
    used: np.ndarray,
    rates: np.ndarray,
    resampled: np.ndarray,
    n: np.ndarray,
    n_clusters: np.ndarray,
) -> Known | None:
    """How much is known of each group that has a mean, from the variance of its resamples."""
    there = n > 0
    if there.sum() < 2:
        return None
    assert quantity.values is not None
    is_rate = quantity.unit == "fraction"
    pooled = float(np.mean(quantity.values[used]))
    if is_rate and not quantity.lower_is_better:
        pooled = 1 - pooled
    drawn = resampled[:, there]
    known = ~np.isnan(drawn).all(axis=0)  # a small group may be in no resample
    variance = np.full(known.shape, np.nan)
    variance[known] = np.nanvar(drawn[:, known], axis=0)
    alone = rates[there] * (1 - rates[there]) if is_rate else rates[there] ** 2
    trials = divide(alone, variance)
    trials = np.where(np.isfinite(trials) & (trials > 0), trials, n_clusters[there])
    return Known(pooled, trials, is_rate=is_rate)


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
    lost, note = float(np.isnan(resampled).mean()), ""
    if interval is None or interval[0] == interval[1]:
        interval, note = None, "no interval: every resample gives the same value"
    else:
        interval = max(interval[0], 0.0), interval[1]
        note = f"{lost:.1%} of resamples left out: undefined there" if lost else ""
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


def complement(part: GroupRates) -> GroupRates:
    """1 - rate: errors from accuracies, true positive rates from false negative rates."""
    null = None if part.null is None else 1 - part.null
    return replace(part, rates=1 - part.rates, resampled=1 - part.resampled, null=null)


def summarise(
    name: str,
    summary: Summary,
    *parts: GroupRates,
    across: str,
    sampling: Sampling,
) -> list[Measure]:
    """A summary over groups, with its noise floor and p-value where it has them.

    Args:
      name: Name of the measure.
      summary: What to compute.
      *parts: The quantities by group that it summarises, of one attribute.
      across: Attribute whose groups they are.
      sampling: Where intervals come from.
    """
    blank = _across(name, parts, across)
    return [n.measure for n in gaps.summarise(blank, summary, parts, sampling.setting)]


def summaries(part: GroupRates, *, across: str, sampling: Sampling) -> list[Measure]:
    """Mean, spread, extremes, gaps and primary test of one quantity over an attribute's groups."""
    blank = _across(part.name, [part], across)
    wanted = dict(gaps.mean_summaries(part))
    if part.name.endswith("accuracy"):
        wanted["ser"] = gaps.SKEWED_ERROR_RATIO
    numbers = []
    for suffix, summary in wanted.items():
        named = replace(blank, name=f"{part.name}_{suffix}")
        numbers += gaps.summarise(named, summary, [part], sampling.setting)
    worst = replace(blank, name=f"{part.name}_worst")
    numbers += gaps.worst_group(worst, part, sampling.setting)
    if is_primary(f"{part.name}_{PRIMARY[0]}_p_value"):
        numbers += gaps.equality_test(blank, part, sampling.setting)
    return [number.measure for number in numbers]


def _across(name: str, parts: Sequence[GroupRates], across: str) -> Measure:
    """A measure across the groups, without its value."""
    clusters = [part.clusters for part in parts if part.clusters is not None]
    return Measure(
        name=name,
        value=None,
        unit=parts[0].unit,
        across=across,
        n=sum(m.n for part in parts for m in part.measures),
        n_clusters=len(np.unique(np.concatenate(clusters))) if clusters else None,
    )
