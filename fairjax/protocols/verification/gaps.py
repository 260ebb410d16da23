"""How far apart the groups' error rates lie at an operating point, and whether that is chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.results import Measure, finite_or_none
from fairjax.core.verdict import ALPHA, is_primary
from fairjax.metrics import bootstrap, by_group, clustered, differential, gap_tests
from fairjax.metrics.clustered import ClusteredRate
from fairjax.metrics.equality import Known
from fairjax.metrics.gap_tests import GAPS
from fairjax.protocols import gaps
from fairjax.protocols.gaps import GroupRates, Number, Setting, Summary
from fairjax.protocols.verification.rates import PartRates
from fairjax.protocols.verification.scene import Point, Scene

Adjust = Literal["holm", "benjamini_hochberg"]
_ADJUSTED = {
    "holm": ("holm", gap_tests.holm, "Holm, any false claim"),
    "benjamini_hochberg": ("bh", gap_tests.benjamini_hochberg, "Benjamini-Hochberg, screening"),
}


_GEO = "geometric mean over groups"
OF_ONE_RATE: Mapping[str, Summary] = {
    "difference": gaps.DIFFERENCE,
    "std": gaps.STD,
    "max_over_min": Summary(
        differential.max_over_min,
        "largest / smallest group",
        GAPS["max_over_min"],
        "ratio",
        needs_errors=True,
        noise=True,
    ),
    "max_over_geomean": Summary(
        differential.max_over_geomean,
        f"largest group / {_GEO} (NIST)",
        GAPS["max_over_geomean"],
        "ratio",
        needs_errors=True,
        noise=True,
    ),
    "gini": Summary(
        differential.gini,
        "Gini coefficient, small-sample form",
        GAPS["gini"],
        "ratio",
        noise=True,
    ),
    "sum_abs_log10": Summary(
        differential.sum_abs_log10,
        f"sum of |log10(group / {_GEO})| (NIST)",
        GAPS["sum_abs_log10"],
        "ratio",
        needs_errors=True,
        noise=True,
    ),
}
_ALPHA = "false matches and false non-matches weighing the same (alpha 0.5)"
OF_BOTH_RATES: Mapping[str, Summary] = {
    "fairness_discrepancy_rate": Summary(
        differential.fairness_discrepancy_rate,
        f"1 - mean of the two differences, {_ALPHA}",
        GAPS["fairness_discrepancy_rate"],
        "ratio",
        larger_is_fairer=True,
        noise=True,
    ),
    "inequity_rate": Summary(
        differential.inequity_rate,
        f"geometric mean of the two largest / smallest, {_ALPHA}",
        GAPS["inequity_rate"],
        "ratio",
        needs_errors=True,
        noise=True,
    ),
    "garbe": Summary(
        differential.garbe,
        f"mean of the two Gini coefficients, {_ALPHA}",
        GAPS["garbe"],
        "ratio",
        noise=True,
    ),
    "worst_error_rate_multiplier": Summary(
        differential.worst_error_rate_multiplier,
        f"geometric mean of the two largest / {_GEO}, {_ALPHA}, 1e-5 added below the line",
        None,
        "ratio",
        noise=True,
        interval=False,
    ),
}
LARGER_IS_FAIRER = {name for name, s in OF_BOTH_RATES.items() if s.larger_is_fairer}


@dataclass(frozen=True)
class BiasDegree:
    """What "degree of bias" means: std of the groups' FMR over a reference FMR.

    Attributes:
      denominator: "target": the FMR asked for; "realised": that reached over everyone;
        "mean_group": the mean over groups.
      ddof: Delta degrees of freedom of the standard deviation.
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


def gaps_at_point(
    rates: Mapping[str, Sequence[PartRates]],
    comparisons: Comparisons,
    point: Point,
    scene: Scene,
    *,
    bias_degree: BiasDegree | None,
    tests: int = 1,
) -> list[Number]:
    """Every summary over groups at one operating point, and the primary test of each rate.

    Args:
      rates: From `verification_rates.rates_at_point`.
      comparisons: The scored pairs.
      point: The operating point.
      scene: The pairs.
      bias_degree: What `fmr_bias_degree` is; None leaves it out.
      tests: Number of primary tests in the report, which decides what they would find.
    """
    size = len(scene.groups)
    if size < 2 or point.threshold is None:
        return []
    setting = Setting(scene.level, scene.seed, "subject", ALPHA / tests)
    fmr, fnmr = (_of_groups(name, rates[name][1 : 1 + size], scene) for name in ("fmr", "fnmr"))
    fmr = drawn_null(fmr, draws=scene.resamples, seed=scene.seed)
    if fnmr.known is not None:
        method = f"{scene.resamples} permutations of the {scene.attribute} of whole people"
        null = _permuted(comparisons, point, scene)
        people = np.array([m.n_clusters for m in fnmr.measures], np.float64)[fnmr.has_rate]
        fnmr = replace(fnmr, null=null, null_method=method, weights=people)
    numbers: list[Number] = []
    for part in (fmr, fnmr):
        blank = _blank([part], point, scene)
        for name, summary in OF_ONE_RATE.items():
            named = replace(blank, name=f"{part.name}_{name}")
            numbers += gaps.summarise(named, summary, [part], setting)
        numbers += gaps.worst_group(replace(blank, name=f"{part.name}_worst"), part, setting)
        numbers += gaps.equality_test(blank, part, setting)
    for name, summary in OF_BOTH_RATES.items():
        blank = replace(_blank([fmr, fnmr], point, scene), name=name)
        numbers += gaps.summarise(blank, summary, [fmr, fnmr], setting)
    if bias_degree is not None and (point.target or bias_degree.denominator != "target"):
        realised = rates["fmr"][0].rate.rate
        numbers.append(_bias_degree(bias_degree, fmr, realised, point, scene, setting))
    return numbers


def adjusted(numbers: Sequence[Number], adjust: Adjust) -> list[Number]:
    """The numbers, each p-value followed by its adjusted twin.

    The primary tests, which decide, are adjusted for each other. All other tests are adjusted for
    all tests, the primary ones included.
    """
    suffix, adjuster, how = _ADJUSTED[adjust]
    tests = [n.measure for n in numbers if n.measure.name.endswith("_p_value")]
    values = np.array([np.nan if m.value is None else m.value for m in tests], np.float64)
    primary = np.array([is_primary(m.name) for m in tests], bool)
    twins = adjuster(values)
    twins[primary] = adjuster(values[primary])
    rules = [
        f"adjusted for {int(np.sum(~np.isnan(values[family])))} {kind}tests ({how})"
        for family, kind in ((np.ones(len(tests), bool), ""), (primary, "primary "))
    ]
    adjusted_twins = iter(
        replace(
            m, name=f"{m.name}_{suffix}", value=finite_or_none(float(p)), rule=rules[int(first)]
        )
        for m, p, first in zip(tests, twins, primary, strict=True)
    )
    with_twins = []
    for number in numbers:
        with_twins.append(number)
        if number.measure.name.endswith("_p_value"):
            with_twins.append(Number(next(adjusted_twins)))
    return with_twins


def verdicts(
    numbers: Sequence[Number], tolerances: Mapping[str, float], scene: Scene
) -> list[dict[str, Any]]:
    """What each tolerance says at every operating point, JSON-ready.

    Args:
      numbers: The summaries.
      tolerances: By measure's name the gap that is accepted, in the measure's unit.
      scene: The pairs.
    """
    decided = []
    for m in (n.measure for n in numbers if n.measure.name in tolerances):
        if m.across != scene.attribute:
            continue
        tolerance = tolerances[m.name]
        verdict = gap_tests.verdict(
            m.interval, tolerance, larger_is_fairer=m.name in LARGER_IS_FAIRER
        )
        if m.interval is None:
            span = f"no interval ({m.note})" if m.note else "no interval"
        else:
            span = f"{scene.level:.0%} interval {m.interval[0]:.4g} to {m.interval[1]:.4g}"
        lies = {
            "within": "within",
            "exceeds": "beyond",
            "inconclusive": "not clearly within or beyond",
        }[verdict]
        value = "undefined" if m.value is None else f"{m.value:.4g}"
        decided.append(
            {
                "measure": m.name,
                "at": m.at,
                "value": m.value,
                "interval": None if m.interval is None else list(m.interval),
                "tolerance": tolerance,
                "verdict": verdict,
                "words": f"{value} ({span}): {lies} the tolerance of {tolerance:g}.",
            }
        )
    return decided


def _of_groups(name: str, own: Sequence[PartRates], scene: Scene) -> GroupRates:
    """One rate of all groups, and how much is known of each."""
    return GroupRates(
        name=name,
        unit="fraction",
        lower_is_better=True,
        names=scene.groups,
        measures=[r.measure for r in own],
        rates=np.array([r.rate.rate for r in own]),
        resampled=np.stack([r.resampled for r in own], axis=1),
        known=known_of([r.rate for r in own]),
        label=f"{name.upper()} ",
        missing=f"no pairs for {name.upper()}",
    )


def known_of(counted: Sequence[ClusteredRate]) -> Known | None:
    """How much is known of each group that has a rate; None where fewer than two have one."""
    there = [rate for rate in counted if rate.trials]
    if len(there) < 2:
        return None
    rates = np.array([rate.rate for rate in there])
    trials = np.array([rate.trials for rate in there], np.float64)
    effective = trials / clustered.common_design_effects(there)
    freedom = sum(max(rate.effective_people - 1, 1.0) for rate in there)
    return Known(float(rates @ effective / effective.sum()), effective, freedom)


def drawn_null(part: GroupRates, *, draws: int, seed: int) -> GroupRates:
    """The same with what equal groups would show, drawn at the pooled rate."""
    if part.known is None:
        return part
    null = np.full((draws, len(part.rates)), np.nan)
    null[:, part.has_rate] = part.known.null(draws, seed=seed)
    return replace(
        part, null=null, null_method=f"{draws} draws at the pooled rate on effective trials"
    )


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


def _blank(parts: Sequence[GroupRates], point: Point, scene: Scene) -> Measure:
    """A measure across the groups at an operating point, without name and value."""
    return Measure(
        "",
        None,
        "fraction",
        n=int(sum(part.trials.sum() for part in parts)),
        across=scene.attribute,
        n_clusters=scene.everyone.people,
        n_errors=sum(m.n_errors or 0 for part in parts for m in part.measures),
        at=point.at,
        threshold=point.threshold,
        threshold_source=point.source,
    )


def _bias_degree(
    degree: BiasDegree,
    part: GroupRates,
    realised: float,
    point: Point,
    scene: Scene,
    setting: Setting,
) -> Number:
    """The bias degree; its interval is that of the standard deviation, the denominator fixed."""
    blank = replace(_blank([part], point, scene), name="fmr_bias_degree")
    number, *_ = gaps.summarise(replace(blank, rule=degree.rule), gaps.STD, [part], setting)
    spread = replace(number.measure, unit="ratio", ddof=degree.ddof)
    value = degree.value(part.rates, target=point.target or np.nan, realised=realised)
    if not np.isfinite(value):
        note = "undefined: fewer than two groups have a rate, or nothing to divide by"
        return Number(replace(spread, value=None, interval=None, level=None, method="", note=note))
    ends = spread.interval
    if ends is None or not spread.value:
        return Number(replace(spread, value=value, interval=None, level=None, method=""))
    scaled = (ends[0] / spread.value * value, ends[1] / spread.value * value)
    method = f"{spread.method}, denominator fixed"
    return Number(replace(spread, value=value, interval=scaled, method=method))


def accuracy_spread(name: str, own: Sequence[Number], scene: Scene) -> list[Number]:
    """Average, deviation, skewed error ratio, range and worst of the groups' accuracies.

    Args:
      name: Name of the accuracy.
      own: The accuracy of each group; without resamples its spread has no interval.
      scene: The pairs.
    """
    measures = [n.measure for n in own]
    known = [m.value is not None for m in measures]
    if sum(known) < 2:
        return []
    resampled = None
    if all(n.resampled is not None for n in own):
        resampled = np.stack([np.asarray(n.resampled) for n in own], axis=1)
    part = GroupRates(
        name=name,
        unit="fraction",
        lower_is_better=False,
        names=scene.groups,
        measures=[replace(m, n_errors=None) for m in measures],
        rates=np.array([np.nan if m.value is None else m.value for m in measures]),
        resampled=np.zeros((0, len(own))) if resampled is None else resampled,
    )
    rule = measures[0].rule
    blank = Measure(
        name,
        None,
        "fraction",
        sum(m.n for m in measures),
        across=scene.attribute,
        n_clusters=scene.everyone.people,
    )
    setting = Setting(scene.level, scene.seed, "subject", ALPHA)
    numbers = []
    for suffix, summary in {
        "mean": replace(gaps.MEAN, recentred=True),
        "std": gaps.STD,
        "difference": gaps.DIFFERENCE,
        "ser": gaps.SKEWED_ERROR_RATIO,
    }.items():
        if resampled is None:
            summary = replace(summary, interval=False)
        named = replace(blank, name=f"{name}_{suffix}", rule=f"{summary.rule}; {rule}")
        numbers += gaps.summarise(named, summary, [part], setting)
    worst = by_group.worst_group(part.rates, lower_is_better=False)
    return [
        *numbers,
        Number(
            replace(
                measures[worst],
                name=f"{name}_worst",
                across=scene.attribute,
                rule=f"the smallest group; {rule}",
            )
        ),
    ]
