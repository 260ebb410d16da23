"""Error rates at operating points, and what needs no threshold, each with its interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.core.results import FEW, Measure, finite_or_none
from fairjax.metrics import bootstrap, clustered, subject_bootstrap, verification
from fairjax.metrics.classification import divide
from fairjax.metrics.clustered import ClusteredRate
from fairjax.metrics.subject_bootstrap import ResampledRates
from fairjax.metrics.verification import InsufficientDataError, ThresholdRule
from fairjax.protocols.gaps import Number
from fairjax.protocols.verification.accuracy import VARIANTS, Folds
from fairjax.protocols.verification.scene import Part, Point, Scene, Trials

BINS = 4096  # of scores, in the resamples of what needs no threshold
_RULES = {
    "fmr": "non-mated pairs with a score of at least the threshold / non-mated pairs",
    "fnmr": "mated pairs with a score below the threshold / mated pairs",
    "tmr": "mated pairs with a score of at least the threshold / mated pairs",
    "eer": "mean of FMR and FNMR at the score where they are closest",
    "auc": "chance that a mated pair scores above a non-mated one, equal scores counting half",
    "d_prime": "difference of the mean scores / sqrt(mean of the two variances, ddof 0)",
}

_NONMATED_THRESHOLD = (
    "; the threshold is a non-mated score, so mated pairs between it and the next lower non-mated "
    "score are rejected that a lower threshold of the same FMR would accept"
)


@dataclass(frozen=True)
class PartRates:
    """One rate of one part at one operating point.

    Attributes:
      part: Pairs that it is the rate of.
      rate: Counts and their certainty.
      resampled: The rate in each resample.
      measure: The rate with its interval.
    """

    part: Part
    rate: ClusteredRate
    resampled: np.ndarray
    measure: Measure


def operating_points(
    comparisons: Comparisons,
    *,
    fmrs: Sequence[float],
    thresholds: Sequence[float],
    rule: ThresholdRule,
    source: str,
) -> list[Point]:
    """The thresholds that FMRs over all non-mated pairs give, then the given ones.

    Args:
      comparisons: The pairs that thresholds are found on.
      fmrs: Target false match rates, fractions in (0, 1).
      thresholds: Given thresholds.
      rule: Rule of `verification.threshold_at_fmr`.
      source: What the pairs are, for the reader; "" where they are the ones audited.
    """
    nonmated = comparisons.score[~comparisons.mated]
    points = []
    for target in fmrs:
        point = Point(at_fmr(target), None, source or "all non-mated pairs", target, not source)
        try:
            threshold = verification.threshold_at_fmr(nonmated, fmr=target, rule=rule)
            points.append(replace(point, threshold=threshold))
        except InsufficientDataError as error:
            points.append(replace(point, note=str(error)))
    return points + [Point(f"threshold {t:g}", float(t), "given") for t in thresholds]


def at_fmr(target: float) -> str:
    """The name of an operating point: 0.001 is "FMR 1e-3"."""
    digits, exponent = f"{target:.6e}".split("e")
    return f"FMR {float(digits):g}e{int(exponent)}"


def resampled_rates(
    comparisons: Comparisons, points: Sequence[Point], scene: Scene, rule: ThresholdRule
) -> list[ResampledRates | None]:
    """The rates at each point in every resample; None where it has no threshold."""
    rates: list[ResampledRates | None] = [None] * len(points)
    own = [p for p, point in enumerate(points) if point.resampled and point.threshold is not None]
    fixed = [
        p for p, point in enumerate(points) if not point.resampled and point.threshold is not None
    ]
    if own:
        targets = np.array([points[p].target for p in own], np.float64)
        drawn = subject_bootstrap.rates_at_fmr(
            comparisons, scene.draws, targets=targets, cell=scene.cell, cells=scene.cells, rule=rule
        )
        for index, p in enumerate(own):
            rates[p] = _one_point(drawn, index)
    if fixed:
        thresholds = np.array([points[p].threshold for p in fixed], np.float64)
        drawn = subject_bootstrap.rates_at(
            comparisons, scene.draws, thresholds=thresholds, cell=scene.cell, cells=scene.cells
        )
        for index, p in enumerate(fixed):
            rates[p] = _one_point(drawn, index)
    return rates


def _one_point(drawn: ResampledRates, place: int) -> ResampledRates:
    chosen = slice(place, place + 1)
    return ResampledRates(
        drawn.threshold[:, chosen],
        drawn.fmr[:, chosen],
        drawn.fnmr[:, chosen],
        drawn.cell_fmr[:, chosen],
        drawn.cell_fnmr[:, chosen],
    )


def rates_at_point(
    comparisons: Comparisons, point: Point, drawn: ResampledRates | None, scene: Scene
) -> dict[str, list[PartRates]]:
    """FMR and FNMR of every part at one operating point, FMR across groups, too."""
    given = (comparisons, point, drawn, scene)
    within = [scene.everyone, *scene.own]
    return {
        "fmr": [_part_rate("fmr", p, p.nonmated, *given) for p in [*within, *scene.across]],
        "fnmr": [_part_rate("fnmr", p, p.mated, *given) for p in within],
    }


def _part_rate(
    name: str,
    part: Part,
    trials: Trials,
    comparisons: Comparisons,
    point: Point,
    drawn: ResampledRates | None,
    scene: Scene,
) -> PartRates:
    blank = Measure(
        name,
        None,
        "fraction",
        len(trials),
        part.group,
        n_clusters=len(trials.people),
        at=point.at,
        threshold=point.threshold,
        threshold_source=point.source,
        rule=_RULES[name],
    )
    nothing = np.full(scene.resamples, np.nan)
    if point.threshold is None or drawn is None:
        none = ClusteredRate(0, 0, 0, 0, np.nan)
        return PartRates(part, none, nothing, replace(blank, note=point.note))
    score = comparisons.score[trials.rows].astype(np.float64)
    wrong = score >= point.threshold if name == "fmr" else score < point.threshold
    rate = clustered.clustered_rate(wrong, trials.couples)
    if rate.trials and rate.is_thin:
        effect = clustered.likeliest_design_effect(score, trials.couples, mated=name == "fnmr")
        rate = replace(rate, likeliest_effect=effect)
    if not rate.trials:
        kind = "non-mated" if name == "fmr" else "mated"
        return PartRates(part, rate, nothing, replace(blank, note=f"no {kind} pairs"))
    if part.cell is None:
        resampled = (drawn.fmr if name == "fmr" else drawn.fnmr)[:, 0]
    else:
        resampled = (drawn.cell_fmr if name == "fmr" else drawn.cell_fnmr)[:, 0, part.cell]
    interval, method = _rate_interval(rate, resampled, point, scene)
    measure = replace(
        blank,
        value=rate.rate,
        n_errors=rate.errors,
        interval=interval,
        level=scene.level,
        method=method,
        note=f"fewer than {FEW} errors ({rate.errors})" if rate.errors < FEW else "",
    )
    return PartRates(part, rate, resampled, measure)


def _rate_interval(
    rate: ClusteredRate, resampled: np.ndarray, point: Point, scene: Scene
) -> tuple[tuple[float, float] | None, str]:
    """Wilson's interval on effective trials: from the resamples where thresholds move with them.

    With few errors the resampled rates are too coarse and too skewed to reach their level; then,
    and at a fixed threshold, it is the clustered variance that counts.
    """
    held = "threshold held fixed"
    if point.resampled and min(rate.errors, rate.trials - rate.errors) >= FEW:
        rate = rate.with_variance_of(resampled)
        held = f"variance by subject bootstrap, threshold resampled, {scene.resamples} resamples"
    ends = rate.interval(level=scene.level)
    if ends is None:
        return None, ""
    if rate.errors in (0, rate.trials):
        return ends, f"Clopper-Pearson on {rate.effective_trials:.0f} effective trials, {held}"
    return ends, f"Wilson on {rate.effective_trials:.0f} effective trials (people shared), {held}"


def person_mean(comparisons: Comparisons, point: Point, part: Part, scene: Scene) -> Measure | None:
    """FNMR with people weighing equally, at an operating point.

    None without a threshold, or where everybody has equally many mated pairs: it is FNMR then.
    """
    trials, couples = part.mated, part.mated.couples
    each = couples.trials
    if point.threshold is None or not len(trials) or (each == each[0]).all():
        return None
    wrong = comparisons.score[trials.rows].astype(np.float64) < point.threshold
    errors = np.bincount(couples.position[wrong], minlength=len(each))
    value, interval = clustered.person_mean(errors, each, level=scene.level)
    return Measure(
        "person_fnmr",
        value,
        "fraction",
        len(trials),
        part.group,
        interval=interval,
        level=scene.level if interval else None,
        method="Wilson on effective trials from the variance between people, threshold held fixed"
        if interval
        else "",
        n_clusters=len(each),
        n_errors=int(errors.sum()),
        at=point.at,
        threshold=point.threshold,
        threshold_source=point.source,
        rule="mean over people of each person's own FNMR: people weigh equally, not pairs",
        note=f"fewer than {FEW} errors ({errors.sum()})" if errors.sum() < FEW else "",
    )


def true_match(rate: PartRates, point: Point) -> Number:
    """The true match rate, 1 - FNMR, at an operating point."""
    m = rate.measure
    value = None if m.value is None else 1 - m.value
    interval = None if m.interval is None else (1 - m.interval[1], 1 - m.interval[0])
    rule = _RULES["tmr"] + (_NONMATED_THRESHOLD if point.target is not None else "")
    measure = replace(m, name="tmr", value=value, interval=interval, rule=rule)
    return Number(measure, 1 - rate.resampled)


def threshold_free(comparisons: Comparisons, scene: Scene) -> list[Number]:
    """Equal error rate, area under the ROC and d', over everyone and within each group.

    Intervals come from resampled histograms of the scores; values from the scores themselves.
    """
    numbers = []
    for part in [scene.everyone, *scene.own]:
        rows = part.rows
        blank = Measure("", None, "fraction", len(rows), part.group, n_clusters=part.people)
        mated, nonmated = (comparisons.score[t.rows] for t in (part.mated, part.nonmated))
        units = {"eer": "fraction", "auc": "fraction", "d_prime": "ratio"}
        if not len(mated) or not len(nonmated):
            kind = "mated" if not len(mated) else "non-mated"
            numbers += [
                Number(
                    replace(blank, name=name, unit=unit, rule=_RULES[name], note=f"no {kind} pairs")
                )
                for name, unit in units.items()
            ]
            continue
        rate, threshold = verification.equal_error_rate(mated, nonmated)
        values = {
            "eer": rate,
            "auc": verification.auc(mated, nonmated),
            "d_prime": verification.d_prime(mated, nonmated),
        }
        resampled = _resampled_free(comparisons.score, rows, len(mated), scene)
        for name, value in values.items():
            high = np.inf if name == "d_prime" else 1.0
            measure = replace(
                blank,
                name=name,
                unit=units[name],
                rule=_RULES[name],
                threshold=threshold if name == "eer" else None,
            )
            number = _recentred(measure, value, resampled[name], scene, high=high)
            binned = f"{number.measure.method}, {BINS} score bins" if number.measure.method else ""
            numbers.append(replace(number, measure=replace(number.measure, method=binned)))
    return numbers


def _recentred(
    blank: Measure, value: float, resampled: np.ndarray, scene: Scene, *, high: float = 1.0
) -> Number:
    """A number with the recentred interval of its resampled values."""
    if not np.isfinite(value):
        return Number(replace(blank, note="undefined: nothing to divide by"))
    ends = bootstrap.recentred_interval(value, resampled, level=scene.level)
    if ends is None or ends[0] == ends[1]:
        note = "; ".join(filter(None, [blank.note, "no interval: all resamples are alike"]))
        return Number(replace(blank, value=value, note=note), resampled)
    interval = max(ends[0], 0.0), min(ends[1], high)
    method = f"subject bootstrap, recentred, {scene.resamples} resamples"
    return Number(
        replace(blank, value=value, interval=interval, level=scene.level, method=method), resampled
    )


def _resampled_free(
    score: np.ndarray, rows: np.ndarray, mated: int, scene: Scene
) -> dict[str, np.ndarray]:
    """EER, AUC and d' of each resample, from histograms with equally many scores a bin."""
    values = score[rows].astype(np.float64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    index = np.searchsorted(edges, values, side="right")
    bins = len(edges) + 1
    centre = divide(np.bincount(index, values, bins), np.bincount(index, minlength=bins))
    centre = np.nan_to_num(centre)  # an empty bin never has weight
    key = index + bins * (np.arange(len(rows)) >= mated)
    made: dict[str, list[np.ndarray]] = {"eer": [], "auc": [], "d_prime": []}
    for block in scene.resampled_counts(rows, key, keys=2 * bins):
        mated_counts, counts = block[:, :bins], block[:, bins:]
        below = np.cumsum(mated_counts, axis=1), np.cumsum(counts, axis=1)
        made["eer"].append(_equal_error(mated_counts, counts, below))
        # Counts are whole numbers, so that these sums are exact.
        beaten = np.einsum("rb,rb->r", mated_counts, below[1])
        beaten -= np.einsum("rb,rb->r", mated_counts, counts) / 2
        made["auc"].append(divide(beaten, below[0][:, -1] * below[1][:, -1]))
        (ours, ours_spread), (others, others_spread) = (
            _moments(c, centre) for c in (mated_counts, counts)
        )
        made["d_prime"].append(divide(ours - others, np.sqrt((ours_spread + others_spread) / 2)))
    return {name: np.concatenate(parts) for name, parts in made.items()}


def _equal_error(
    mated_counts: np.ndarray, counts: np.ndarray, below: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """EER of each row, where FMR and FNMR are nearest as the threshold passes from bin to bin.

    FMR falls and FNMR grows from bin to bin, so the crossing is found by halving.

    Args:
      mated_counts: Counts of mated scores by bin [resamples, bins].
      counts: Counts of non-mated scores by bin [resamples, bins].
      below: Both, summed up to and with each bin.
    """
    row = np.arange(len(counts))

    def rates(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        missed = below[0][row, place] - mated_counts[row, place]
        kept_out = below[1][row, place] - counts[row, place]
        return 1 - divide(kept_out, below[1][:, -1]), divide(missed, below[0][:, -1])

    before, after = np.zeros(len(row), int), np.full(len(row), counts.shape[1])
    while np.any(after - before > 1):  # FMR is above FNMR at `before`, not at `after`
        middle = (before + after) // 2
        fmr, fnmr = rates(middle)
        before, after = np.where(fmr > fnmr, middle, before), np.where(fmr > fnmr, after, middle)
    left, right = rates(before), rates(np.minimum(after, counts.shape[1] - 1))
    nearer = np.abs(left[0] - left[1]) <= np.abs(right[0] - right[1])
    return np.where(nearer, left[0] + left[1], right[0] + right[1]) / 2


def _moments(counts: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the scores in each row of counts by bin."""
    total = counts.sum(axis=1)
    mean = divide(counts @ centre, total)
    return mean, np.maximum(divide(counts @ centre**2, total) - mean**2, 0.0)


def accuracies(
    comparisons: Comparisons,
    variants: Sequence[str],
    centred: np.ndarray | None,
    scene: Scene,
) -> Iterator[tuple[str, list[Number], list[Number]]]:
    """Accuracy within each group, and over everyone where the variant doesn't centre.

    Only the first variant has intervals.

    Args:
      comparisons: The scored pairs.
      variants: Names in `accuracy.VARIANTS`; the first is the protocol's own.
      centred: `accuracy.centred_scores`; None without embeddings.
      scene: The pairs.

    Yields:
      For each variant the measure's name, the numbers over everyone (none or one) and by group.
    """
    for index, variant in enumerate(variants):
        name = f"accuracy_{variant}" if index else "accuracy"
        score = centred if VARIANTS[variant].centred else comparisons.score
        everyone = [] if VARIANTS[variant].centred and scene.own else [scene.everyone]
        numbers = [
            _accuracy(name, variant, score, part, scene, bootstrapped=not index)
            for part in [*everyone, *scene.own]
        ]
        yield name, numbers[: len(everyone)], numbers[len(everyone) :]


def _accuracy(
    name: str,
    variant: str,
    score: np.ndarray | None,
    part: Part,
    scene: Scene,
    *,
    bootstrapped: bool,
) -> Number:
    rows = part.rows
    chosen = VARIANTS[variant]
    blank = Measure(
        name,
        None,
        "fraction",
        len(rows),
        part.group,
        n_clusters=part.people,
        rule=f"{variant}: {chosen.rule}",
        threshold_source="chosen by accuracy",
    )
    if score is None:
        note = "unavailable: centring subtracts the mean embedding, and only scores were given"
        return Number(replace(blank, note=note))
    try:
        folds = Folds(score[rows], scene.mated[rows], scene.fold[rows], variant=variant)
    except ValueError as error:
        return Number(replace(blank, note=f"unavailable: {error}"))
    accuracy = folds.accuracy()
    blank = replace(
        blank,
        n_errors=accuracy.errors,
        threshold=finite_or_none(float(accuracy.thresholds.mean())),
        note=f"over {len(accuracy.folds)} folds {chosen.spread}: "
        f"{accuracy.spread(chosen.spread):.4f}"
        if chosen.folded
        else "",
    )
    if not bootstrapped:
        return Number(replace(blank, value=accuracy.mean))
    resampled = folds.resampled(scene.resampled_counts(rows, folds.key, keys=folds.keys))
    return _recentred(blank, accuracy.mean, resampled, scene)
