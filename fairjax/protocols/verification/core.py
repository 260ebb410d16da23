"""The audit core: scored pairs of one or several systems in, `Results` out.

One path for our own runs and for scores that somebody brings: what it sees are scores, who is on
each pair, and their groups. The benchmark protocols (`rfw`, `bfw`, `lfw`) call it with the settings
that their papers fix.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.names import counted
from fairjax.core.results import Results
from fairjax.metrics import bootstrap, clustered
from fairjax.metrics.verification import ThresholdRule
from fairjax.protocols.gaps import Number
from fairjax.protocols.verification import change_tests
from fairjax.protocols.verification import gaps as verification_gaps
from fairjax.protocols.verification import rates as verification_rates
from fairjax.protocols.verification.arrays import arrays
from fairjax.protocols.verification.gaps import Adjust, BiasDegree
from fairjax.protocols.verification.scene import Point, Scene, make_scene

_LARGEST = 1e100  # size of a score: sums of squares overflow not far above
_RULES: dict[ThresholdRule, str] = {
    "at_most": "smallest score whose FMR does not exceed the target",
    "ceil_ge": "k-th largest non-mated score, k = ceil(target x pairs), ties accepted",
    "cifp_strict": "strictly above the k-th largest non-mated score, k = ceil(target x pairs)",
}


def measure_comparisons(
    systems: Mapping[str, Comparisons],
    *,
    attribute: str,
    fmrs: Sequence[float],
    thresholds: Sequence[float] = (),
    given: Mapping[str, Sequence[Point]] | None = None,
    calibration: Mapping[str, Comparisons] | None = None,
    calibration_source: str = "",
    more_points: Mapping[str, Sequence[Point]] | None = None,
    rule: ThresholdRule = "at_most",
    accuracies: Sequence[str] = (),
    centred: Mapping[str, np.ndarray] | None = None,
    cosines: Mapping[str, np.ndarray] | None = None,
    bias_degree: BiasDegree | None = None,
    tolerances: Mapping[str, float] | None = None,
    adjust: Adjust = "holm",
    more_tests: int = 0,
    paired: bool = False,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
    name: str = "verification",
) -> Results:
    """Measures systems on the same pairs: error rates by group, gaps, curves, and their certainty.

    Args:
      systems: Scored pairs by system, of the same pairs in the same order. The name of a single
        system may be "".
      attribute: What the groups are of: "race".
      fmrs: False match rates over all non-mated pairs to find thresholds for, fractions in (0, 1).
        Each system has its own threshold, one for all groups.
      thresholds: Given thresholds, in the scores' unit.
      given: Given operating points by system, where they have names or units of their own.
      calibration: Scored pairs by system to find the thresholds of `fmrs` on, instead of the pairs
        audited; intervals then take the thresholds for fixed.
      calibration_source: What these pairs are, for the reader: "calibration.csv".
      more_points: Operating points by system whose thresholds were found elsewhere.
      rule: How a target FMR makes a threshold; see `metrics.verification.threshold_at_fmr`.
      accuracies: Variants in `accuracy.VARIANTS`. The first is reported as "accuracy", with
        intervals; the others as "accuracy_<variant>".
      centred: `accuracy.centred_scores` by system, for variants that centre; None without
        embeddings.
      cosines: The scores turned into cosines, by system, for accuracies on a fixed grid; None
        takes the scores as they are.
      bias_degree: What `fmr_bias_degree` means; None leaves it out. It is taken at `more_points`
        where there are any, else at `fmrs`.
      tolerances: By summary's name ("fmr_max_over_min", "fnmr_difference") the gap that is
        accepted, in the summary's unit: each has a verdict at every operating point.
      adjust: How p-values are adjusted for the number of tests: "holm" for claims,
        "benjamini_hochberg" for screening.
      more_tests: Number of primary tests that the caller adds to the report and adjusts together
        with these, such as of failures to acquire.
      paired: Whether changes from the first system to each other one are tested, too.
      resamples: Bootstrap resamples of people, and permutations; 2,000 or more to publish.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Seed of everything drawn, non-negative.
      limits: Sentences for the reader: who assigned the groups, what the pairs cannot show.
      name: The protocol's name.

    Returns:
      Results of kind "verification"; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If a score is not finite, the systems' pairs differ, a tolerance names no summary,
        or `mated` contradicts the people.
    """
    tolerances = tolerances or {}
    _check(systems, calibration, fmrs, thresholds, tolerances, level)
    first = next(iter(systems.values()))
    scene = make_scene(first, attribute=attribute, resamples=resamples, level=level, seed=seed)
    numbers: dict[str, list[Number]] = {}
    drawn: dict[str, dict[str, Any]] = {}
    source = f"all non-mated pairs of {calibration_source}" if calibration else ""
    for system, comparisons in systems.items():
        points = verification_rates.operating_points(
            calibration[system] if calibration else comparisons,
            fmrs=fmrs,
            thresholds=thresholds,
            rule=rule,
            source=source,
        )
        points += (given or {}).get(system, ())
        more = (more_points or {}).get(system, ())
        biased = {point.at for point in more or points}
        own, drawn[system] = _one_system(
            comparisons, [*points, *more], scene, rule, bias_degree, biased, more_tests
        )
        turned = (cosines or {}).get(system, comparisons.score)
        own += _accuracies(
            replace(comparisons, score=turned), accuracies, (centred or {}).get(system), scene
        )
        own = verification_gaps.adjusted(own, adjust)
        numbers[system] = [replace(n, measure=replace(n.measure, system=system)) for n in own]
        drawn[system]["verdicts"] = verification_gaps.verdicts(own, tolerances, scene)
    measures = [n.measure for own in numbers.values() for n in own]
    changes = _changes(numbers, scene)
    if paired:
        changes = change_tests.tested(numbers, changes)
    measures += [n.measure for n in changes]
    plots = dict(next(iter(drawn.values())))
    if len(systems) > 1:
        plots["systems"] = drawn
    protocol = {
        "name": name,
        "attribute": attribute,
        "groups": list(scene.groups),
        "systems": list(systems),
        "n": len(first),
        "n_clusters": scene.everyone.people,
        "fmrs": list(fmrs),
        "thresholds": list(thresholds),
        "threshold_rule": _RULES[rule] if fmrs else "given",
        "threshold_source": (source or "all non-mated pairs") if fmrs else "given",
        "accuracies": list(accuracies),
        "tolerances": dict(tolerances),
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"{resamples} resamples of people; clustered where errors are few; "
        f"{clustered.COVERAGE_FOUND}",
        "noise_floor": f"{resamples} permutations of people (FNMR), draws at the pooled rate on "
        "effective trials (FMR)",
        "adjusted": adjust,
    }
    return Results("verification", protocol, measures, plots, [*limits, *_limits(first)], {})


def _one_system(
    comparisons: Comparisons,
    points: Sequence[Point],
    scene: Scene,
    rule: ThresholdRule,
    bias_degree: BiasDegree | None,
    biased: Collection[str],
    more_tests: int,
) -> tuple[list[Number], dict[str, Any]]:
    """Everything but accuracies and verdicts: numbers and plot data."""
    resampled = verification_rates.resampled_rates(comparisons, points, scene, rule)
    numbers, rates = [], []
    tests = 2 * sum(point.threshold is not None for point in points) + more_tests
    for point, drawn in zip(points, resampled, strict=True):
        at_point = verification_rates.rates_at_point(comparisons, point, drawn, scene)
        rates.append(at_point)
        for name in ("fmr", "fnmr"):
            numbers += [Number(r.measure, r.resampled) for r in at_point[name]]
        numbers += [verification_rates.true_match(r, point) for r in at_point["fnmr"]]
        of_people = (
            verification_rates.person_mean(comparisons, point, part, scene)
            for part in [scene.everyone, *scene.own]
        )
        numbers += [Number(m) for m in of_people if m is not None]
        numbers += verification_gaps.gaps_at_point(
            at_point,
            comparisons,
            point,
            scene,
            bias_degree=bias_degree if point.at in biased else None,
            tests=tests,
        )
    numbers += verification_rates.threshold_free(comparisons, scene)
    return numbers, arrays(comparisons, points, rates, scene)


def _accuracies(
    comparisons: Comparisons, variants: Sequence[str], centred: np.ndarray | None, scene: Scene
) -> list[Number]:
    """Accuracies by group and what they are across groups."""
    numbers = []
    for name, everyone, own in verification_rates.accuracies(comparisons, variants, centred, scene):
        numbers += [*everyone, *own, *verification_gaps.accuracy_spread(name, own, scene)]
    return numbers


def _changes(numbers: Mapping[str, Sequence[Number]], scene: Scene) -> list[Number]:
    """How far each system lies from the first one, on the same resamples."""
    (first, before), *others = numbers.items()

    def place(n: Number) -> tuple[Any, ...]:
        m = n.measure
        # whichever group is the worst, the worst groups' rates are compared
        group = () if m.name.endswith("_worst") else tuple(m.group.items())
        return m.name, m.at, m.across, group

    old = {place(n): n for n in before if n.resampled is not None and n.measure.value is not None}
    changes = []
    for system, after in others:
        for n in after:
            one = old.get(place(n))
            if one is None or n.resampled is None or n.measure.value is None:
                continue
            assert one.measure.value is not None
            moved = n.resampled - one.resampled
            value = n.measure.value - one.measure.value
            interval = bootstrap.recentred_interval(value, moved, level=scene.level)
            changes.append(
                Number(
                    replace(
                        n.measure,
                        name=f"{n.measure.name}_change",
                        value=value,
                        interval=interval,
                        level=scene.level if interval else None,
                        n_errors=None,
                        threshold=None,
                        method=f"subject bootstrap of the difference, recentred, {scene.resamples} "
                        "resamples"
                        if interval
                        else "",
                        rule=f"{system} minus {first}",
                        system=f"{system} minus {first}",
                    )
                )
            )
    return changes


def _limits(comparisons: Comparisons) -> list[str]:
    """What the pairs themselves cannot show."""
    sentences = []
    unknown = int((comparisons.group < 0).any(axis=1).sum())
    if unknown:
        sentences.append(
            f"{unknown:,} of {len(comparisons):,} pairs show somebody of unknown group: they count "
            "for everyone and for no group."
        )
    one, other = comparisons.group.T
    if len(comparisons.groups) > 1 and not (~comparisons.mated & (one != other)).any():
        sentences.append(
            "There are no non-mated pairs across groups: cross-group FMR is not measured."
        )
    return sentences


def _check(
    systems: Mapping[str, Comparisons],
    calibration: Mapping[str, Comparisons] | None,
    fmrs: Sequence[float],
    thresholds: Sequence[float],
    tolerances: Mapping[str, float],
    level: float,
) -> None:
    """Refuses what would give a wrong number."""
    if not systems:
        raise ValueError("no system was given: nothing to evaluate.")
    if not 0 < level < 1:
        raise ValueError(f"level={level:g} must be a fraction in (0, 1), such as 0.95.")
    for what, values in (("fmrs", fmrs), ("thresholds", thresholds)):
        if len(set(values)) < len(values):
            raise ValueError(f"{what} holds a value twice: {list(values)}.")
    known = {f"{rate}_{name}" for rate in ("fmr", "fnmr") for name in verification_gaps.OF_ONE_RATE}
    known |= set(verification_gaps.OF_BOTH_RATES)
    for wrong in sorted(set(tolerances) - known):
        raise ValueError(
            f"a tolerance for {wrong!r} was given; known are {', '.join(sorted(known))}."
        )
    first_name, first = next(iter(systems.items()))
    for name, one in systems.items():
        label = f"system {name!r}: " if name else ""
        if bad := (~np.isfinite(one.score)).sum():
            row = int(np.argmin(np.isfinite(one.score)))
            raise ValueError(
                f"{label}score {row} is {one.score[row]} ({counted(int(bad), 'such score')}); "
                "scores must be finite numbers."
            )
        if (size := float(np.abs(one.score).max(initial=0.0))) > _LARGEST:
            raise ValueError(
                f"{label}a score is {size:.3g} in size, beyond {_LARGEST:g}: its square is no "
                "number any more; divide all scores by one number."
            )
        same = (
            len(one) == len(first)
            and one.groups == first.groups
            and all(
                np.array_equal(getattr(one, field), getattr(first, field))
                for field in ("mated", "subject", "group", "fold")
            )
        )
        if not same:
            raise ValueError(
                f"{label}its pairs differ from those of {first_name!r}; systems are compared on "
                "the same pairs in the same order."
            )
        if calibration is not None and name not in calibration:
            raise ValueError(f"{label}no calibration scores were given for it.")
