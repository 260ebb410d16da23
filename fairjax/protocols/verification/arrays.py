"""What the plots of a verification audit are drawn from, JSON-ready."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.results import FEW, finite_or_none
from fairjax.metrics import adequacy, clustered, verification
from fairjax.protocols.verification.rates import PartRates
from fairjax.protocols.verification.scene import Part, Point, Scene

CURVE_POINTS = 400  # kept of a DET curve
RATIOS = (1.25, 1.5, 2.0, 3.0)  # between two groups' rates, that a larger audit could tell apart
GRID = 241  # thresholds of the rates by threshold
HISTOGRAM_BINS = 60

Rates = Mapping[str, Sequence[PartRates]]


def arrays(
    comparisons: Comparisons, points: Sequence[Point], rates: Sequence[Rates], scene: Scene
) -> dict[str, Any]:
    """DET curves, rates by threshold, histograms, the matrix of false matches, and adequacy.

    Args:
      comparisons: The scored pairs of one system.
      points: Operating points of the system.
      rates: From `verification_rates.rates_at_point`, one a point.
      scene: The pairs.
    """
    named = {"everyone": scene.everyone, **dict(zip(scene.groups, scene.own, strict=True))}
    resolved = [p for p, point in enumerate(points) if point.threshold is not None]
    used = np.array([points[p].threshold for p in resolved], np.float64)
    stored: dict[str, Any] = {
        "det": {"groups": {name: _curve(comparisons, part, used) for name, part in named.items()}},
        "rates": _rates(comparisons, points, scene),
        "histograms": _histograms(comparisons, scene),
        "adequacy": _adequacy(points, rates, scene),
        "planner": _planner(points, rates, scene),
    }
    if resolved:
        stored["matrix"] = _matrix(points[resolved[0]], rates[resolved[0]]["fmr"], scene)
    return stored


def _scores(comparisons: Comparisons, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Mated and non-mated scores of a part."""
    return comparisons.score[part.mated.rows], comparisons.score[part.nonmated.rows]


def _curve(comparisons: Comparisons, part: Part, used: np.ndarray) -> dict[str, Any]:
    """Both error rates at non-mated scores and at the thresholds in use.

    Thresholds at a target FMR are non-mated scores. Between two of these FMR stands still while
    FNMR falls, so that a curve through all scores would show rates that no such threshold reaches.
    """
    mated, nonmated = _scores(comparisons, part)
    marks = {
        "thirty_fmr": adequacy.lowest_rate(len(nonmated), errors=FEW),
        "thirty_fnmr": adequacy.lowest_rate(len(mated), errors=FEW),
    }
    if not len(mated) or not len(nonmated):
        return {"threshold": [], "fmr": [], "fnmr": [], **marks}
    curve = verification.curve_at(mated, nonmated, np.concatenate([nonmated, used]))
    curve = verification.thin(curve, points=CURVE_POINTS, keep=used)
    return {
        "threshold": curve.threshold.tolist(),
        "fmr": curve.fmr.tolist(),
        "fnmr": curve.fnmr.tolist(),
        **marks,
    }


def _rates(comparisons: Comparisons, points: Sequence[Point], scene: Scene) -> dict[str, Any]:
    low, high = float(comparisons.score.min()), float(comparisons.score.max())
    threshold = np.linspace(low, high, GRID)
    fmr, fnmr = {}, {}
    for name, part in zip(scene.groups, scene.own, strict=True):
        mated, nonmated = _scores(comparisons, part)
        fmr[name] = [finite_or_none(x) for x in verification.fmr(nonmated, threshold)]
        fnmr[name] = [finite_or_none(x) for x in verification.fnmr(mated, threshold)]
    sizes = list(zip(scene.groups, scene.own, strict=True))
    return {
        "threshold": threshold.tolist(),
        "fmr": fmr,
        "fnmr": fnmr,
        "n_mated": {name: len(part.mated) for name, part in sizes},
        "n_nonmated": {name: len(part.nonmated) for name, part in sizes},
        "operating": {p.at: p.threshold for p in points if p.threshold is not None},
    }


def _histograms(comparisons: Comparisons, scene: Scene) -> dict[str, Any]:
    low, high = float(comparisons.score.min()), float(comparisons.score.max())
    edges = np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1)
    counts: dict[str, dict[str, list[int]]] = {"mated": {}, "nonmated": {}}
    for name, part in zip(scene.groups, scene.own, strict=True):
        for kind, scores in zip(counts, _scores(comparisons, part), strict=True):
            counts[kind][name] = np.histogram(scores, edges)[0].tolist()
    return {"edges": edges.tolist(), **counts}


def _matrix(point: Point, fmr: Sequence[PartRates], scene: Scene) -> dict[str, Any]:
    size = len(scene.groups)
    blank: list[list[Any]] = [[None] * size for _ in range(size)]
    stored: dict[str, Any] = {
        name: [list(row) for row in blank] for name in ("fmr", "errors", "n", "low", "high")
    }
    for row in range(size):
        for column in range(size):
            stored["errors"][row][column] = stored["n"][row][column] = 0
    for one in fmr:
        if one.part.cell is None:
            continue
        m, cell = one.measure, divmod(one.part.cell, size)
        low, high = m.interval or (None, None)
        for row, column in {cell, cell[::-1]}:
            stored["fmr"][row][column] = m.value
            stored["errors"][row][column] = m.n_errors or 0
            stored["n"][row][column] = m.n
            stored["low"][row][column] = low
            stored["high"][row][column] = high
    return {"at": point.at, "threshold": point.threshold, "groups": list(scene.groups), **stored}


def _planner(points: Sequence[Point], rates: Sequence[Rates], scene: Scene) -> list[dict[str, Any]]:
    """How many people a group needs to tell its rate from another's, by their ratio.

    From the rate over everyone, the groups' mean design effect and their pairs a person. A group
    without errors counts like any other: it has people, pairs and the common design effect.
    """
    entries = []
    for point, at_point in zip(points, rates, strict=True):
        for name in ("fmr", "fnmr"):
            everyone, *own = (part.rate for part in at_point[name])
            known = [one for one in own if one.people]
            if not known or not 0 < everyone.rate < 1:
                continue
            effect = float(np.mean(clustered.common_design_effects(known)))
            correlation = clustered.common_correlation(known)
            each = sum(one.trials for one in known) / sum(one.people for one in known)
            entries.append(
                {
                    "at": point.at,
                    "rate": name,
                    "value": everyone.rate,
                    "people_now": min(one.people for one in known),
                    "design_effect": effect,
                    "correlation": correlation,
                    "errors": sum(one.errors for one in known),
                    "people": {
                        f"{ratio:g}": adequacy.people_to_resolve(
                            ratio,
                            rate=everyone.rate,
                            trials_per_person=each,
                            design_effect=effect,
                            level=scene.level,
                        )
                        for ratio in RATIOS
                        if ratio * everyone.rate < 1
                    },
                }
            )
    return entries


def _adequacy(
    points: Sequence[Point], rates: Sequence[Rates], scene: Scene
) -> list[dict[str, Any]]:
    """How low a rate each group's pairs can speak of.

    Design effects are measured where the group has most errors; None where it has none anywhere.
    What a group can speak of follows from them only where errors are not few: a single error has a
    design effect of 1, however much pairs share people. Else it follows from that of the likeliest
    errors, as an interval does.
    """
    entries = []
    for g, (name, part) in enumerate(zip(scene.groups, scene.own, strict=True)):
        effects = {}
        for rate in ("fmr", "fnmr"):
            tried = [r[rate][1 + g].rate for r in rates]
            best = max(tried, key=lambda one: one.errors, default=None)
            effects[rate] = finite_or_none(best.design_effect) if best is not None else None
        nonmated = [r["fmr"][1 + g].rate for r in rates]
        backed = [
            np.fmax(rate.trials / rate.likeliest_effect, rate.independent) for rate in nonmated
        ]  # as in the interval of a group without an error
        backed += [rate.effective_trials for rate in nonmated if not rate.is_thin]
        independent = int(np.nan_to_num(max(backed, default=0)))
        most = max(nonmated, key=lambda rate: rate.errors, default=None)
        effect = most.design_effect if most is not None else np.nan
        if most is not None and most.is_thin:
            effect = np.fmax(effect, most.likeliest_effect)
        entries.append(
            {
                "group": name,
                "subjects": part.people,
                "mated": len(part.mated),
                "nonmated": len(part.nonmated),
                "lowest_fmr": adequacy.lowest_rate(
                    len(part.nonmated), design_effect=finite_or_none(effect) or 1.0, errors=FEW
                ),
                "design_effect_fmr": effects["fmr"],
                "design_effect_fnmr": effects["fnmr"],
                "upper_if_zero": adequacy.upper_if_zero(independent, level=scene.level)
                if independent
                else None,
                "at": {
                    f"{point.at}, {rate}": r[rate][1 + g].rate.errors
                    for point, r in zip(points, rates, strict=True)
                    if point.threshold is not None
                    for rate in ("fmr", "fnmr")
                },
            }
        )
    return entries
