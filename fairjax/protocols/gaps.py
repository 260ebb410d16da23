"""Gaps across groups, the same for rates over pairs and over images.

A protocol hands over each rate by group (`GroupRates`): values, resamples, and what equal groups
would show. From these come the summaries over groups, each with its interval, noise floor and
p-value, and the primary test that the groups share one rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.results import FEW, Measure, finite_or_none
from fairjax.core.verdict import PRIMARY, SETTLED_RATIO
from fairjax.metrics import bootstrap, by_group, differential, gap_tests
from fairjax.metrics.classification import divide
from fairjax.metrics.equality import POWER, Known, equality
from fairjax.metrics.gap_tests import Gap

_EMPTY = 5  # the purpose of draws for groups without errors; see `metrics.equality` for others


@dataclass(frozen=True)
class Number:
    """A measure and its values in the resamples, for differences between systems."""

    measure: Measure
    resampled: np.ndarray | None = None


@dataclass(frozen=True)
class GroupRates:
    """One rate, or another mean, of every group of one attribute.

    Attributes:
      name: Name of the measure: "fmr", "gender_fpr".
      unit: Unit of the values.
      lower_is_better: Whether the largest value is the worst.
      names: Names of the groups.
      measures: The measure of each group.
      rates: Value of each group, [groups]; NaN where it is undefined.
      resampled: Values in each resample, [resamples, groups].
      null: Values that equal groups would show, [draws, groups]; None where none can be drawn.
      null_method: How the null was made.
      known: How much is known of each group with a value; None leaves out the primary test.
      weights: Weights of these groups in the primary test, where the null is one of permutations;
        None where it is drawn from `known`.
      label: What notes call its errors: "FMR "; "" where the measure is named anyway.
      missing: Why a group has no value: "no pairs for FMR".
      clusters: Numbers of the independent units behind all groups; None where they are counted
        elsewhere.
    """

    name: str
    unit: str
    lower_is_better: bool
    names: Sequence[str]
    measures: list[Measure]
    rates: np.ndarray
    resampled: np.ndarray
    null: np.ndarray | None = None
    null_method: str = ""
    known: Known | None = None
    weights: np.ndarray | None = None
    label: str = ""
    missing: str = "undefined there"
    clusters: np.ndarray | None = None

    @property
    def trials(self) -> np.ndarray:
        """Number of examples or pairs of each group."""
        return np.array([m.n for m in self.measures], np.float64)

    @property
    def has_rate(self) -> np.ndarray:
        """Whether each group has a value."""
        return ~np.isnan(self.rates)

    def smoothed(self) -> "GroupRates":
        """The same with half an error and one trial more in every group."""

        def more(rates: np.ndarray) -> np.ndarray:
            return differential.smoothed(rates * self.trials, self.trials)

        null = None if self.null is None else more(self.null)
        return replace(self, rates=more(self.rates), resampled=more(self.resampled), null=null)


@dataclass(frozen=True)
class Summary:
    """A number made of the rates of all groups.

    Attributes:
      value: Function of one array [..., groups] for each rate that it takes, to [...].
      rule: Definition for the reader.
      gap: Form that its interval stands on; None where it moves smoothly with the rates.
      unit: Unit of the number; "" for that of the rates.
      ddof: Delta degrees of freedom of a standard deviation.
      needs_errors: Whether a group without errors leaves it undefined: it then has a smoothed twin.
      larger_is_fairer: Whether it falls as groups move apart.
      noise: Whether to add what equal groups would show; only where it grows, or falls, with the
        gap.
      recentred: Whether the interval without `gap` is recentred, else it is percentile.
      interval: Whether it has an interval at all.
    """

    value: Callable[..., np.ndarray]
    rule: str
    gap: Gap | None
    unit: str = ""
    ddof: int | None = None
    needs_errors: bool = False
    larger_is_fairer: bool = False
    noise: bool = False
    recentred: bool = False
    interval: bool = True


@dataclass(frozen=True)
class Setting:
    """How the uncertainty of gaps is computed, the same for all of a report.

    Attributes:
      level: Coverage of intervals, a fraction in (0, 1).
      seed: Seed of everything drawn.
      unit: What is resampled: "subject", "cluster".
      alpha: Size of a primary test after adjustment for the others.
    """

    level: float
    seed: int
    unit: str
    alpha: float


def _largest(rates: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmax.reduce(rates, axis=-1))


def _smallest(rates: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmin.reduce(rates, axis=-1))


def _complement(rates: np.ndarray) -> np.ndarray:
    return 1 - rates


MEAN = Summary(by_group.group_mean, "unweighted mean over groups", None)
STD = Summary(gap_tests.std, "across groups, ddof 1", gap_tests.GAPS["std"], ddof=1, noise=True)
DIFFERENCE = Summary(
    by_group.difference, "largest - smallest group", gap_tests.GAPS["difference"], noise=True
)
RATIO_FORM = Gap(by_group.difference, gap_tests.log, lambda logs: np.exp(-logs), of_logs=True)
RATIO = Summary(by_group.ratio, "smallest / largest group", RATIO_FORM, unit="ratio")
SKEWED_ERROR_RATIO = Summary(
    by_group.skewed_error_ratio,
    "largest error / smallest error",
    Gap(by_group.difference, lambda right: gap_tests.log(1 - right), np.exp),
    unit="ratio",
)


def worst(part: GroupRates) -> Summary:
    """The value of the worst group: the largest where lower is better, else the smallest."""
    if part.lower_is_better:
        return Summary(_largest, "the largest group", Gap(_largest, high=1.0))
    turned = Gap(_largest, _complement, _complement, high=1.0)
    return Summary(_smallest, "the smallest group", turned)


def summarise(
    blank: Measure, summary: Summary, parts: Sequence[GroupRates], setting: Setting
) -> list[Number]:
    """A summary over groups, with its noise floor and p-value where it has them.

    Where a group without errors leaves it undefined, its twin of smoothed rates follows. In a
    resample that lacks a group which the data have, the summary is undefined, and the resample is
    left out.

    Args:
      blank: The measure without its value: name, n, what it is about.
      summary: What to compute.
      parts: The rates that it summarises, one or two, of the same groups.
      setting: How uncertainty is computed.
    """
    has_rate = np.all([part.has_rate for part in parts], axis=0)
    blank = replace(
        blank,
        unit=summary.unit or parts[0].unit,
        ddof=summary.ddof,
        rule=blank.rule or summary.rule,
        note="; ".join(_notes(parts)),
    )
    if has_rate.sum() < 2:
        return [Number(_noted(blank, "undefined: fewer than two groups have a value"))]
    empty = [
        f"0 {part.label}errors in group {part.names[g]}"
        for part in parts
        for g in np.flatnonzero(part.rates == 0).tolist()
    ]
    if not (summary.needs_errors and empty):
        return _defined(summary, parts, has_rate, blank, setting)
    raw = Number(_noted(blank, f"undefined ({', '.join(empty)})"))
    twin = _noted(
        replace(
            blank,
            name=f"{blank.name}_smoothed",
            rule=f"{blank.rule}, of rates (errors + 0.5) / (pairs + 1)",
        ),
        f"no interval: {', '.join(empty)}",
    )
    smooth = [part.smoothed() for part in parts]
    return [raw, *_defined(replace(summary, interval=False), smooth, has_rate, twin, setting)]


def equality_test(blank: Measure, part: GroupRates, setting: Setting) -> list[Number]:
    """The primary test of a rate, and what it would find; nothing where it cannot be made.

    Args:
      blank: A measure across the groups without name and value.
      part: The rate by group, with its null and what is known of each group.
      setting: How uncertainty is computed.

    Returns:
      The p-value of equal groups, the smallest ratio that is shown with 80 % power, and the number
      of people in each of as many groups of one size with which a ratio of 2 would be shown.
    """
    if part.null is None or part.known is None or part.has_rate.sum() < 2:
        return []
    rates, null = part.rates[part.has_rate], part.null[:, part.has_rate]
    known = part.known
    if part.weights is None:
        p = known.p_value(rates, null, seed=setting.seed)
    else:
        x, under = (equality(r, part.weights, is_rate=known.is_rate) for r in (rates, null))
        p = gap_tests.p_value(float(x), under)
    blank = replace(blank, note="; ".join(_notes([part])), ddof=None, n_errors=None)
    nothing = not 0 < known.pooled < (1 if known.is_rate else np.inf)
    tested = replace(
        blank,
        name=f"{part.name}_{PRIMARY[0]}_p_value",
        value=None if nothing else p,
        unit="fraction",
        method=part.null_method,
        rule="chance that groups with one rate lie as far from it, the squares of their distances "
        "weighed by how much is known of each group; not adjusted",
    )
    if nothing:
        return [Number(_noted(tested, "no test: no group has an error"))]
    ratio = known.detectable_ratio(alpha=setting.alpha, seed=setting.seed)
    people = np.mean([m.n_clusters or 0 for m in part.measures if m.value is not None])
    even = replace(known, trials=np.full(len(known.trials), known.trials.mean()))
    factor = even.people_factor(SETTLED_RATIO, alpha=setting.alpha, seed=setting.seed)
    what = "mean" if not known.is_rate else "rate" if part.lower_is_better else "error"
    detectable = replace(
        blank,
        name=f"{part.name}_detectable_ratio",
        value=ratio,
        unit="ratio",
        rule=f"smallest ratio of one group's {what} to the others' that these data show with "
        f"{POWER:.0%} power at level {setting.alpha:.2g}",
    )
    if ratio is None:
        detectable = _noted(detectable, "undefined: these data would miss every ratio tried")
    needed = replace(
        blank,
        name=f"{part.name}_people_needed",
        value=None if factor is None else float(np.ceil(factor * people)),
        unit="count",
        rule=f"people in each group, all of one size, with which a ratio of {SETTLED_RATIO:g} is "
        f"shown with {POWER:.0%} power at level {setting.alpha:.2g}",
    )
    if factor is None:
        needed = _noted(needed, "undefined: beyond all numbers tried")
    return [Number(tested), Number(detectable), Number(needed)]


def worst_group(blank: Measure, part: GroupRates, setting: Setting) -> list[Number]:
    """The worst group's value; with a note where other groups share it."""
    if not part.has_rate.any():
        return []
    place = by_group.worst_group(part.rates, lower_is_better=part.lower_is_better)
    blank = replace(blank, group=dict(part.measures[place].group))
    summary = worst(part)
    if part.has_rate.sum() == 1:
        measure = replace(blank, unit=part.unit, rule=summary.rule, value=float(part.rates[place]))
        return [Number(_noted(measure, "fewer than two groups have a value"))]
    number, *_ = summarise(blank, summary, [part], setting)
    others = [
        part.names[g]
        for g in np.flatnonzero(part.rates == part.rates[place]).tolist()
        if g != place
    ]
    if not others:
        return [number]
    return [replace(number, measure=_noted(number.measure, f"shared by {', '.join(others)}"))]


def _notes(parts: Sequence[GroupRates]) -> list[str]:
    """Which groups have no value, and which have few errors."""
    notes = []
    for part in parts:
        missing = [g for g, there in zip(part.names, part.has_rate, strict=True) if not there]
        if missing:
            notes.append(f"without {', '.join(missing)}: {part.missing}")
    few: dict[str, list[str]] = {}
    for part in parts:
        for g, m in zip(part.names, part.measures, strict=True):
            if m.value is not None and m.n_errors is not None and m.n_errors < FEW:
                few.setdefault(part.label, []).append(g)
    for label, names in few.items():
        notes.append(f"fewer than {FEW} {label}errors in {', '.join(dict.fromkeys(names))}")
    return list(dict.fromkeys(notes))


def _noted(measure: Measure, note: str) -> Measure:
    return replace(measure, note="; ".join(filter(None, [note, measure.note])))


def _defined(
    summary: Summary,
    parts: Sequence[GroupRates],
    has_rate: np.ndarray,
    blank: Measure,
    setting: Setting,
) -> list[Number]:
    rates = [np.where(has_rate, part.rates, np.nan) for part in parts]
    value = float(summary.value(*rates))
    if not np.isfinite(value):
        return [Number(replace(blank, note=_undefined(summary, parts)))]
    resampled = _whole([np.where(has_rate, part.resampled, np.nan) for part in parts], has_rate)
    interval, method, note = _interval(summary, value, parts, has_rate, resampled, setting)
    measure = _noted(replace(blank, value=value), note)
    if interval is not None:
        measure = replace(measure, interval=interval, level=setting.level, method=method)
    number = Number(measure, summary.value(*resampled))
    nulls = [part.null[:, has_rate] for part in parts if part.null is not None]
    if not summary.noise or len(nulls) < len(parts):
        return [number]
    return [number, *_against_chance(summary, value, nulls, parts, blank, setting)]


def _undefined(summary: Summary, parts: Sequence[GroupRates]) -> str:
    perfect = [part.names[g] for part in parts for g in np.flatnonzero(part.rates == 1).tolist()]
    if summary.value is by_group.skewed_error_ratio and perfect:
        return f"undefined (0 errors in group {', '.join(perfect)})"
    return "undefined: nothing to divide by"


def _whole(parts: Sequence[np.ndarray], has_rate: np.ndarray) -> list[np.ndarray]:
    """Rates by group [resamples, groups], all NaN in a resample that lacks one of the groups."""
    lacking = np.any([np.isnan(rates[:, has_rate]).any(axis=1) for rates in parts], axis=0)
    return [np.where(lacking[:, None], np.nan, rates) for rates in parts]


def _interval(
    summary: Summary,
    value: float,
    parts: Sequence[GroupRates],
    has_rate: np.ndarray,
    resampled: Sequence[np.ndarray],
    setting: Setting,
) -> tuple[tuple[float, float] | None, str, str]:
    """Interval of a summary, its method, and what limits it."""
    gap = summary.gap
    if not summary.interval:
        return None, "", ""
    if unsure := list(dict.fromkeys(name for part in parts for name in _without_interval(part))):
        return None, "", f"no interval: too few people in {', '.join(unsure)}"
    if gap is None:
        values = summary.value(*resampled)
        kind = "recentred" if summary.recentred else "percentile"
        ends = (
            bootstrap.recentred_interval(value, values, level=setting.level)
            if summary.recentred
            else bootstrap.percentile_interval(values, level=setting.level)
        )
    else:
        kind = "deviation of log rates" if gap.of_logs else "deviation of rates"
        if gap.of_logs and any((part.rates == 0).any() for part in parts):
            return None, "", "no interval: a group's rate is 0"
        if parts[0].unit not in ("fraction", "ratio"):
            gap = replace(gap, high=np.inf)
        drawn = [
            _drawn(part, r, seed=setting.seed) for part, r in zip(parts, resampled, strict=True)
        ]
        rates = [np.where(has_rate, part.rates, np.nan) for part in parts]
        ends = gap.interval(rates, drawn, level=setting.level)
        if ends is None:
            return None, "", "no interval: some resamples have a group without errors"
    if ends is None or ends[0] == ends[1]:
        return None, "", "no interval: every resample gives the same value"
    resamples = len(resampled[0])
    method = f"{setting.unit} bootstrap, {kind}, {resamples} resamples"
    lost = float(np.isnan(resampled[0][:, has_rate]).any(axis=1).mean())
    return ends, method, f"{lost:.1%} of resamples left out: undefined there" if lost else ""


def _without_interval(part: GroupRates) -> list[str]:
    """Groups whose rate alone has no interval, such as that of one person.

    Resamples repeat the rate of such a group as if it were known. Groups without errors, or with
    nothing else, are drawn instead.
    """
    others = any(measure.interval for measure in part.measures)
    return [
        name
        for name, rate, m in zip(part.names, part.rates, part.measures, strict=True)
        if m.value is not None
        and m.interval is None
        and rate not in (0, 1)
        and (others or m.n_clusters == 1)
    ]


def _drawn(part: GroupRates, resampled: np.ndarray, *, seed: int) -> np.ndarray:
    """Resampled rates, with groups without errors (or nothing else) drawn, not fixed.

    Every resample of such a group says the same, as if its rate were known. What its true rate may
    be is drawn from Jeffreys' posterior of as many effective trials.
    """
    if part.known is None or not part.known.is_rate:
        return resampled
    trials = np.full(len(part.rates), np.nan)
    trials[part.has_rate] = part.known.trials
    resampled = resampled.copy()
    rng = np.random.default_rng([seed, _EMPTY])
    for g in np.flatnonzero((part.rates == 0) | (part.rates == 1)):
        off = rng.beta(0.5, trials[g] + 0.5, len(resampled))
        drawn = off if part.rates[g] == 0 else 1 - off
        resampled[:, g] = np.where(np.isnan(resampled[:, g]), np.nan, drawn)
    return resampled


def _against_chance(
    summary: Summary,
    value: float,
    nulls: Sequence[np.ndarray],
    parts: Sequence[GroupRates],
    blank: Measure,
    setting: Setting,
) -> list[Number]:
    """What equal groups would show: the noise floor, and a p-value where it says something."""
    null = summary.value(*nulls)
    sign = -1.0 if summary.larger_is_fairer else 1.0
    floor = sign * gap_tests.noise_floor(sign * null, level=setting.level)
    bounded = bool(np.isfinite(floor))
    method = " and ".join(dict.fromkeys(part.null_method for part in parts))
    tested = replace(blank, method=method, ddof=None, n_errors=None)
    side = "below" if summary.larger_is_fairer else "above"
    p = gap_tests.p_value(sign * value, sign * null)
    often = "equal groups often have one without errors"
    floor_measure = replace(
        tested,
        name=f"{blank.name}_noise_floor",
        value=finite_or_none(floor),
        rule=f"equal groups lie {side} it with chance {1 - setting.level:.2g}",
    )
    p_measure = replace(
        tested,
        name=f"{blank.name}_p_value",
        value=p if bounded else None,
        unit="fraction",
        rule="chance that equal groups lie as far apart; not adjusted",
    )
    if not bounded:
        floor_measure = _noted(floor_measure, f"unbounded: {often}")
        p_measure = _noted(p_measure, f"no test: {often}")
    return [Number(floor_measure), Number(p_measure)]


def mean_summaries(part: GroupRates) -> Mapping[str, Summary]:
    """Summaries of a mean over images: mean, spread and extremes over the groups."""
    centre = float(by_group.group_mean(part.rates))
    return {
        "mean": MEAN,
        "std": STD,
        "std_over_mean": Summary(
            lambda rates: divide(gap_tests.std(rates), by_group.group_mean(rates)),
            "std across groups (ddof 1) / unweighted mean; the interval holds the mean fixed",
            Gap(gap_tests.std, lambda rates: divide(rates, np.float64(centre))),
            unit="ratio",
            ddof=1,
        ),
        "difference": DIFFERENCE,
        "ratio": RATIO,
    }
