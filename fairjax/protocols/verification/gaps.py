"""How far apart the groups' error rates lie at an operating point, and whether that is chance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.results import FEW, Measure, finite_or_none
from fairjax.metrics import bootstrap, by_group, differential, gap_tests
from fairjax.protocols.verification.rates import PartRates
from fairjax.protocols.verification.scene import Number, Point, Scene

Adjust = Literal["holm", "benjamini_hochberg"]
_ADJUSTED = {
    "holm": ("holm", gap_tests.holm, "Holm, any false claim"),
    "benjamini_hochberg": ("bh", gap_tests.benjamini_hochberg, "Benjamini-Hochberg, screening"),
}


@dataclass(frozen=True)
class Summary:
    """A number made of the rates of all groups.

    Attributes:
      value: Takes [..., groups] of one rate, or of FMR and FNMR; gives [...].
      rule: Its definition.
      unit: "fraction" or "ratio".
      ddof: Of a standard deviation.
      needs_errors: Whether a group without errors leaves it undefined: it then has a smoothed twin.
      larger_is_fairer: Whether it falls as groups move apart.
    """

    value: Callable[..., np.ndarray]
    rule: str
    unit: str = "fraction"
    ddof: int | None = None
    needs_errors: bool = False
    larger_is_fairer: bool = False


def _std(rates: np.ndarray) -> np.ndarray:
    return by_group.std(rates, ddof=1)


_GEO = "geometric mean over groups"
OF_ONE_RATE: Mapping[str, Summary] = {
    "difference": Summary(by_group.difference, "largest - smallest group"),
    "std": Summary(_std, "across groups, ddof 1", ddof=1),
    "max_over_min": Summary(
        differential.max_over_min, "largest / smallest group", "ratio", needs_errors=True
    ),
    "max_over_geomean": Summary(
        differential.max_over_geomean, f"largest group / {_GEO} (NIST)", "ratio", needs_errors=True
    ),
    "gini": Summary(differential.gini, "Gini coefficient, small-sample form", "ratio"),
    "sum_abs_log10": Summary(
        differential.sum_abs_log10,
        f"sum of |log10(group / {_GEO})| (NIST)",
        "ratio",
        needs_errors=True,
    ),
}
_ALPHA = "false matches and false non-matches weighing the same (alpha 0.5)"
OF_BOTH_RATES: Mapping[str, Summary] = {
    "fairness_discrepancy_rate": Summary(
        differential.fairness_discrepancy_rate,
        f"1 - mean of the two differences, {_ALPHA}",
        "ratio",
        larger_is_fairer=True,
    ),
    "inequity_rate": Summary(
        differential.inequity_rate,
        f"geometric mean of the two largest / smallest, {_ALPHA}",
        "ratio",
        needs_errors=True,
    ),
    "garbe": Summary(differential.garbe, f"mean of the two Gini coefficients, {_ALPHA}", "ratio"),
    "worst_error_rate_multiplier": Summary(
        differential.worst_error_rate_multiplier,
        f"geometric mean of the two largest / {_GEO}, {_ALPHA}, 1e-5 added below the line",
        "ratio",
    ),
}
LARGER_IS_FAIRER = {name for name, s in OF_BOTH_RATES.items() if s.larger_is_fairer}


@dataclass(frozen=True)
class BiasDegree:
    """What "degree of bias" means: std of the groups' FMR over a reference FMR.

    Attributes:
      denominator: "target": the FMR asked for; "realised": that reached over everyone;
        "mean_group": the mean over groups.
      ddof: Of the standard deviation.
      scale: "ratio", or "percent": a hundred times as much.

    Source: Xu et al., CVPR 2021 (arXiv 2106.05519), tables 5 and 6, which leave it undefined. The
      defaults follow the evaluation code of its successor.
    """

    denominator: Literal["target", "realised", "mean_group"] = "target"
    ddof: Literal[0, 1] = 1
    scale: Literal["ratio", "percent"] = "ratio"

    @property
    def rule(self) -> str:
        """For the reader."""
        below = {
            "target": "the target FMR",
            "realised": "the FMR over all non-mated pairs",
            "mean_group": "the mean FMR over groups",
        }[self.denominator]
        times = " x 100" if self.scale == "percent" else ""
        return f"std of FMR across groups (ddof {self.ddof}) / {below}{times}"

    def value(self, rates: np.ndarray, *, target: float, realised: float) -> float:
        """Of the groups' rates; NaN where it is undefined."""
        mean = float(by_group.group_mean(rates))
        below = {"target": target, "realised": realised, "mean_group": mean}[self.denominator]
        degree = differential.bias_degree(rates, denominator=below, ddof=self.ddof)
        return float(degree) * (100 if self.scale == "percent" else 1)


@dataclass(frozen=True)
class _Rates:
    """One rate of all groups; NaN where a group has no pairs.

    Attributes:
      name: "fmr" or "fnmr".
      rates: By group.
      resampled: In each resample, [resamples, groups].
      null: What equal groups would show, [resamples, groups].
      measures: The groups' own.
      null_method: How the null was made.
    """

    name: str
    rates: np.ndarray
    resampled: np.ndarray
    null: np.ndarray
    measures: Sequence[Measure]
    null_method: str

    @property
    def trials(self) -> np.ndarray:
        return np.array([m.n for m in self.measures], np.float64)

    def smoothed(self) -> "_Rates":
        """The same with half an error and one trial more in every group."""

        def more(rates: np.ndarray) -> np.ndarray:
            return differential.smoothed(rates * self.trials, self.trials)

        return replace(
            self, rates=more(self.rates), resampled=more(self.resampled), null=more(self.null)
        )


def gaps_at_point(
    rates: Mapping[str, Sequence[PartRates]],
    comparisons: Comparisons,
    point: Point,
    scene: Scene,
    *,
    bias_degree: BiasDegree | None,
) -> list[Number]:
    """Every summary over groups at one operating point.

    Args:
      rates: From `verification_rates.rates_at_point`.
      comparisons: The scored pairs.
      point: The operating point.
      scene: The pairs.
      bias_degree: What `fmr_bias_degree` is; None leaves it out.
    """
    size = len(scene.groups)
    if size < 2 or point.threshold is None:
        return []
    own = {name: rates[name][1 : 1 + size] for name in ("fmr", "fnmr")}
    fmr = _of_groups("fmr", own["fmr"], scene)
    fnmr = _of_groups("fnmr", own["fnmr"], scene)
    known = [~np.isnan(part.rates) for part in (fmr, fnmr)]
    if known[0].sum() > 1:
        null = gap_tests.centred(fmr.resampled, fmr.rates, fmr.trials, seed=scene.seed)
        method = f"{scene.resamples} resamples of people, centred at the pooled rate"
        fmr = replace(fmr, null=null, null_method=method)
    if known[1].sum() > 1:
        method = f"{scene.resamples} permutations of the {scene.attribute} of whole people"
        fnmr = replace(fnmr, null=_permuted(comparisons, point, scene), null_method=method)
    found: list[Number] = []
    for part in (fmr, fnmr):
        for name, summary in OF_ONE_RATE.items():
            found += _summarise(f"{part.name}_{name}", name, summary, [part], point, scene)
        found += _worst(part, point, scene)
    for name, summary in OF_BOTH_RATES.items():
        found += _summarise(name, name, summary, [fmr, fnmr], point, scene)
    if bias_degree is not None and (point.target or bias_degree.denominator != "target"):
        realised = rates["fmr"][0].rate.rate
        found.append(Number(_bias_degree(bias_degree, fmr, realised, point, scene)))
    return found


def adjusted(numbers: Sequence[Number], adjust: Adjust) -> list[Number]:
    """The numbers, each p-value followed by its twin adjusted for all the others among them."""
    suffix, adjuster, rule = _ADJUSTED[adjust]
    tests = [n.measure for n in numbers if n.measure.name.endswith("_p_value")]
    values = adjuster(np.array([np.nan if m.value is None else m.value for m in tests]))
    known = int(np.sum(~np.isnan(values)))
    twins = iter(values)
    found = []
    for number in numbers:
        found.append(number)
        if number.measure.name.endswith("_p_value"):
            found.append(
                Number(
                    replace(
                        number.measure,
                        name=f"{number.measure.name}_{suffix}",
                        value=finite_or_none(float(next(twins))),
                        rule=f"adjusted for {known} tests ({rule})",
                    )
                )
            )
    return found


def verdicts(
    numbers: Sequence[Number], tolerances: Mapping[str, float], scene: Scene
) -> list[dict[str, Any]]:
    """What each tolerance says at every operating point, JSON-ready.

    Args:
      numbers: The summaries.
      tolerances: By measure's name the gap that is accepted, in the measure's unit.
      scene: The pairs.
    """
    found = []
    for m in (n.measure for n in numbers if n.measure.name in tolerances):
        if m.across != scene.attribute:
            continue
        tolerance = tolerances[m.name]
        said = gap_tests.verdict(m.interval, tolerance, larger_is_fairer=m.name in LARGER_IS_FAIRER)
        if m.interval is None:
            span = f"no interval ({m.note})" if m.note else "no interval"
        else:
            span = f"{scene.level:.0%} interval {m.interval[0]:.4g} to {m.interval[1]:.4g}"
        lies = {
            "within": "within",
            "exceeds": "beyond",
            "inconclusive": "not clearly within or beyond",
        }[said]
        value = "undefined" if m.value is None else f"{m.value:.4g}"
        found.append(
            {
                "measure": m.name,
                "at": m.at,
                "value": m.value,
                "interval": None if m.interval is None else list(m.interval),
                "tolerance": tolerance,
                "verdict": said,
                "words": f"{value} ({span}): {lies} the tolerance of {tolerance:g}.",
            }
        )
    return found


def _of_groups(name: str, own: Sequence[PartRates], scene: Scene) -> _Rates:
    rates = np.array([r.rate.rate for r in own])
    resampled = np.stack([r.resampled for r in own], axis=1)
    nothing = np.full((scene.resamples, len(own)), np.nan)
    return _Rates(name, rates, resampled, nothing, [r.measure for r in own], "")


def _permuted(comparisons: Comparisons, point: Point, scene: Scene) -> np.ndarray:
    """FNMR by group when people exchange their groups, the threshold held fixed."""
    rows = np.flatnonzero(comparisons.mated & (comparisons.group[:, 0] >= 0))
    assert point.threshold is not None
    wrong = comparisons.score[rows].astype(np.float64) < point.threshold
    return bootstrap.permuted_means(
        wrong,
        comparisons.group[rows, 0],
        comparisons.subject[rows, 0],
        groups=len(scene.groups),
        permutations=scene.resamples,
        seed=scene.seed,
    )


def _blank(name: str, parts: Sequence[_Rates], point: Point, scene: Scene, **more: Any) -> Measure:
    notes = []
    for part in parts:
        missing = [g for g, rate in zip(scene.groups, part.rates, strict=True) if np.isnan(rate)]
        few = [
            g
            for g, m in zip(scene.groups, part.measures, strict=True)
            if m.value is not None and m.is_thin
        ]
        if missing:
            notes.append(f"without {', '.join(missing)}: no pairs for {part.name.upper()}")
        if few:
            notes.append(f"fewer than {FEW} {part.name.upper()} errors in {', '.join(few)}")
    return Measure(
        name,
        None,
        n=int(sum(part.trials.sum() for part in parts)),
        across=scene.attribute,
        n_clusters=scene.everyone.people,
        n_errors=sum(m.n_errors or 0 for part in parts for m in part.measures),
        at=point.at,
        threshold=point.threshold,
        threshold_source=point.source,
        note="; ".join(notes),
        **more,
    )


def _noted(measure: Measure, note: str, **more: Any) -> Measure:
    return replace(measure, note="; ".join(filter(None, [note, measure.note])), **more)


def _summarise(
    full: str, name: str, summary: Summary, parts: Sequence[_Rates], point: Point, scene: Scene
) -> list[Number]:
    """A summary with its noise floor and p-value, and where it is undefined its smoothed twin."""
    known = np.all([~np.isnan(part.rates) for part in parts], axis=0)
    blank = _blank(
        full, parts, point, scene, unit=summary.unit, ddof=summary.ddof, rule=summary.rule
    )
    if known.sum() < 2:
        return [Number(_noted(blank, "undefined: fewer than two groups have a rate"))]
    empty = [
        f"0 {part.name.upper()} errors in group {scene.groups[g]}"
        for part in parts
        for g in np.flatnonzero(part.rates == 0)
    ]
    if not (summary.needs_errors and empty):
        return _defined(name, summary, parts, known, blank, scene)
    raw = Number(_noted(blank, f"undefined ({', '.join(empty)})"))
    smooth = [part.smoothed() for part in parts]
    twin = _noted(
        replace(
            blank,
            name=f"{full}_smoothed",
            rule=f"{summary.rule}, of rates (errors + 0.5) / (pairs + 1)",
        ),
        f"no interval: {', '.join(empty)}",
    )
    return [raw, *_defined("", summary, smooth, known, twin, scene)]


def _defined(
    name: str,
    summary: Summary,
    parts: Sequence[_Rates],
    known: np.ndarray,
    blank: Measure,
    scene: Scene,
) -> list[Number]:
    rates = [np.where(known, part.rates, np.nan) for part in parts]
    value = float(summary.value(*rates))
    if not np.isfinite(value):
        return [Number(_noted(blank, "undefined: nothing to divide by"))]
    gap = gap_tests.GAPS.get(name)
    resampled = [np.where(known, part.resampled, np.nan) for part in parts]
    interval = None if gap is None else gap.interval(rates, resampled, level=scene.level)
    found = replace(blank, value=value)
    if interval is not None:
        method = f"subject bootstrap, deviation of rates, {scene.resamples} resamples"
        found = replace(found, interval=interval, level=scene.level, method=method)
    elif gap is not None:
        found = _noted(found, "no interval: some resamples have a group without errors")
    null = summary.value(*(part.null[:, known] for part in parts))
    far, far_null = (1 - value, 1 - null) if summary.larger_is_fairer else (value, null)
    floor = gap_tests.noise_floor(far_null, level=scene.level)
    floor = 1 - floor if summary.larger_is_fairer else floor
    method = " and ".join(dict.fromkeys(part.null_method for part in parts))
    tested = replace(blank, method=method, ddof=None, n_errors=None)
    side = "below" if summary.larger_is_fairer else "above"
    unbounded = (
        "" if np.isfinite(floor) else "unbounded: equal groups often have one without errors"
    )
    return [
        Number(found, summary.value(*resampled)),
        Number(
            _noted(
                tested,
                unbounded,
                name=f"{blank.name}_noise_floor",
                value=finite_or_none(floor),
                rule=f"equal groups lie {side} it with chance {1 - scene.level:.2g}",
            )
        ),
        Number(
            replace(
                tested,
                name=f"{blank.name}_p_value",
                value=gap_tests.p_value(far, far_null),
                unit="fraction",
                rule="chance that equal groups lie as far apart; not adjusted",
            )
        ),
    ]


def _worst(part: _Rates, point: Point, scene: Scene) -> list[Number]:
    """The largest rate, with the group that has it."""
    known = ~np.isnan(part.rates)
    if not known.any():
        return []
    worst = by_group.worst_group(part.rates, lower_is_better=True)
    group = {scene.attribute: scene.groups[worst]}
    blank = _blank(
        f"{part.name}_worst",
        [part],
        point,
        scene,
        unit="fraction",
        group=group,
        rule="the largest group",
    )
    value = float(part.rates[worst])
    off = np.abs(part.resampled - part.rates)[:, known].max(axis=1)
    ends = bootstrap.gap_interval(value, off, level=scene.level)
    if ends is None or ends[0] == ends[1]:
        return [Number(replace(blank, value=value))]
    interval = max(ends[0], 0.0), min(ends[1], 1.0)
    method = f"subject bootstrap, deviation of rates, {scene.resamples} resamples"
    measure = replace(blank, value=value, interval=interval, level=scene.level, method=method)
    return [Number(measure, part.resampled[:, known].max(axis=1))]


def _bias_degree(
    degree: BiasDegree, part: _Rates, realised: float, point: Point, scene: Scene
) -> Measure:
    blank = _blank(
        "fmr_bias_degree", [part], point, scene, unit="ratio", ddof=degree.ddof, rule=degree.rule
    )
    value = degree.value(part.rates, target=point.target or np.nan, realised=realised)
    if not np.isfinite(value):
        return _noted(
            blank, "undefined: fewer than two groups have a rate, or nothing to divide by"
        )
    measure = replace(blank, value=value)
    ends = gap_tests.GAPS["std"].interval([part.rates], [part.resampled], level=scene.level)
    spread = float(by_group.std(part.rates, ddof=1))
    if ends is None or not spread:
        return measure
    method = (
        f"subject bootstrap, deviation of rates, {scene.resamples} resamples, denominator fixed"
    )
    scaled = (ends[0] / spread * value, ends[1] / spread * value)
    return replace(measure, interval=scaled, level=scene.level, method=method)


def accuracy_spread(name: str, own: Sequence[Number], scene: Scene) -> list[Number]:
    """Average, deviation, skewed error ratio, range and worst of the groups' accuracies."""
    measures = [n.measure for n in own]
    rates = np.array([np.nan if m.value is None else m.value for m in measures])
    known = ~np.isnan(rates)
    if known.sum() < 2:
        return []
    blank = Measure(
        name,
        None,
        "fraction",
        sum(m.n for m in measures),
        across=scene.attribute,
        n_clusters=scene.everyone.people,
        rule=measures[0].rule,
    )
    left_out = [g for g, there in zip(scene.groups, known, strict=True) if not there]
    blank = replace(blank, note=f"without {', '.join(left_out)}" if left_out else "")
    resampled = None
    if all(n.resampled is not None for n in own):
        resampled = np.stack([np.asarray(n.resampled) for n in own], axis=1)
    summaries = {
        "mean": Summary(by_group.group_mean, "unweighted mean over groups"),
        "std": Summary(_std, "across groups, ddof 1", ddof=1),
        "difference": Summary(by_group.difference, "largest - smallest group"),
        "ser": Summary(
            by_group.skewed_error_ratio,
            "largest error / smallest error",
            "ratio",
            needs_errors=True,
        ),
    }
    found = []
    for suffix, summary in summaries.items():
        measure = replace(
            blank,
            name=f"{name}_{suffix}",
            unit=summary.unit,
            ddof=summary.ddof,
            rule=f"{summary.rule}; {blank.rule}",
        )
        value = float(summary.value(rates))
        if not np.isfinite(value):
            perfect = ", ".join(g for g, r in zip(scene.groups, rates, strict=True) if r == 1)
            found.append(Number(_noted(measure, f"undefined (0 errors in group {perfect})")))
            continue
        measure = replace(measure, value=value)
        if resampled is None:
            found.append(Number(measure))
            continue
        interval, method = _spread_interval(suffix, value, rates, resampled, scene)
        if interval is not None:
            measure = replace(measure, interval=interval, level=scene.level, method=method)
        found.append(Number(measure, summary.value(resampled)))
    worst = by_group.worst_group(rates, lower_is_better=False)
    found.append(
        Number(
            replace(
                measures[worst],
                name=f"{name}_worst",
                across=scene.attribute,
                rule=f"the smallest group; {blank.rule}",
            )
        )
    )
    return found


def _spread_interval(
    suffix: str, value: float, rates: np.ndarray, resampled: np.ndarray, scene: Scene
) -> tuple[tuple[float, float] | None, str]:
    if suffix == "mean":
        ends = bootstrap.recentred_interval(
            value, by_group.group_mean(resampled), level=scene.level
        )
        return ends, f"subject bootstrap, recentred, {scene.resamples} resamples"
    gap, seen, drawn = gap_tests.GAPS.get(suffix), rates, resampled
    if gap is None:  # the skewed error ratio is largest over smallest error
        gap, seen, drawn = gap_tests.GAPS["max_over_min"], 1 - rates, 1 - resampled
    ends = gap.interval([seen], [drawn], level=scene.level)
    return ends, f"subject bootstrap, deviation of rates, {scene.resamples} resamples"
