"""Which intersection of attributes is worst, and whether that is more than bad luck."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from fairjax.audit.findings import Findings
from fairjax.audit.kinds import check_threshold
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError
from fairjax.core.results import Measure, Results, Table, finite_or_none
from fairjax.core.verdict import ALPHA, LARGEST_RATIO, holm
from fairjax.metrics.clustered import ClusteredRate, common_design_effects
from fairjax.metrics.equality import Known
from fairjax.metrics.shrinkage import shrink
from fairjax.metrics.thresholds import GroupPairs
from fairjax.metrics.verification import InsufficientDataError, threshold_at_fmr
from fairjax.protocols.verification.rates import at_fmr

_DRAWS, _MORE_DRAWS = 20_000, 400_000
_RARE = 10  # of the draws
_MOST = 2_000  # intersections
TOO_FEW = "too few to say"


@dataclass(frozen=True)
class Cell:
    """One intersection at one rate.

    Attributes:
      group: Value of each attribute: {"race": "jade", "gender": "female"}.
      rate: Error rate, its interval and its counts.
      people: People on its pairs.
      others: Rate of everybody else in intersections of the same attributes; NaN without pairs.
      p: P-value of the test that everybody else has the same rate; NaN where nothing is tested.
      detectable: Smallest ratio to the others' rate that is shown; None where it is too large.
      p_adjusted: P-value after Holm over all intersections and both rates.
      shrunk: Rate drawn towards that of all intersections of the same attributes; NaN where the
        intersection is not compared.
      shrunk_interval: Interval of the shrunk rate.
      worst: Chance to be the worst of the same attributes; NaN where it is not compared.
    """

    group: Mapping[str, str]
    rate: ClusteredRate
    people: int
    others: float
    p: float
    detectable: float | None
    p_adjusted: float = np.nan
    shrunk: float = np.nan
    shrunk_interval: tuple[float, float] | None = None
    worst: float = np.nan

    @property
    def name(self) -> str:
        """The values: "jade, female"."""
        return ", ".join(self.group.values())


@dataclass(frozen=True)
class _Setting:
    """One threshold for everybody, and how intersections are compared at it.

    Attributes:
      at: Name of the operating point.
      threshold: Threshold as scores are stored: larger is more alike.
      source: Where the threshold comes from.
      smallest: People below whom an intersection is not compared.
      level: Coverage of the intervals.
      seed: Seed of all draws.
    """

    at: str
    threshold: float
    source: str
    smallest: int
    level: float
    seed: int


def measure(
    loaded: Mapping[str, Loaded],
    system: str,
    *,
    fmr: float | None,
    threshold: float | None,
    smallest: int,
    level: float,
    seed: int,
) -> Findings:
    """All intersections of the attributes, at one threshold for everybody.

    Args:
      loaded: Pairs by attribute; all have the same pairs.
      system: Whose scores.
      fmr: Target false match rate over all non-mated pairs; None where a threshold is given.
      threshold: Given threshold, in the scores' own unit; None to find it.
      smallest: People below whom an intersection is not compared, 2 or more.
      level: Coverage of the intervals, a fraction.
      seed: Non-negative.

    Raises:
      InputError: If the threshold cannot be found or lies outside the scores, or there are too many
        intersections.
    """
    first = next(iter(loaded.values()))
    score = np.asarray(first.scores[system], np.float64)
    sign = -1 if system in first.distances else 1
    if threshold is None:
        assert fmr is not None
        try:
            stored = threshold_at_fmr(score[~first.mated], fmr=fmr)
        except (InsufficientDataError, ValueError) as error:
            raise InputError(f"--fmr {fmr:g}: {error}") from error
        setting = _Setting(at_fmr(fmr), stored, "all non-mated pairs", smallest, level, seed)
    else:
        check_threshold(threshold, system, score, distance=system in first.distances)
        at = f"threshold {threshold:g}"
        setting = _Setting(at, sign * threshold, "given", smallest, level, seed)
    cells = _adjusted(
        {
            rate: [
                cell
                for names, code, labels in _partitions(loaded)
                for cell in _shrunk(
                    _cells(score, first, code, names, labels, setting, mated=mated), setting
                )
            ]
            for rate, mated in (("fmr", False), ("fnmr", True))
        }
    )
    compared = sum(not np.isnan(cell.p_adjusted) for own in cells.values() for cell in own)
    measures, tables, sentences, answers = [], [], [], []
    for rate, own in cells.items():
        ordered = sorted(own, key=lambda c: -1.0 if np.isnan(c.shrunk) else c.shrunk, reverse=True)
        for cell in ordered:
            measures += _measures(rate, cell, setting, sign * setting.threshold, compared)
        tables.append(_table(rate, ordered, setting, compared))
        answer, sentence = _words(rate, ordered, smallest)
        answers.append(answer)
        sentences.append(sentence)
    protocol = {
        "name": "intersections",
        "attributes": list(loaded),
        "at": setting.at,
        "threshold": sign * setting.threshold,
        "threshold_source": setting.source,
        "smallest": smallest,
        "compared": compared,
        "level": level,
        "seed": seed,
        "test": "rate of an intersection against that of everybody else in intersections of the "
        "same attributes, on effective trials; Holm over all",
    }
    limits = [note for pairs in loaded.values() for note in pairs.notes]
    limits = [*dict.fromkeys(limits)]
    if not first.has_subjects:
        limits.append("The pairs name no people: intervals are too narrow, p-values too small.")
    return Findings(
        " ".join(answers),
        sentences,
        tables,
        Results("intersections", protocol, measures, {}, limits, {}),
    )


def _adjusted(cells: Mapping[str, Sequence[Cell]]) -> dict[str, list[Cell]]:
    """The intersections by rate, their tests adjusted for each other."""
    p = np.array([cell.p for own in cells.values() for cell in own], np.float64)
    adjusted = iter(holm(p).tolist())
    return {
        rate: [replace(cell, p_adjusted=next(adjusted)) for cell in own]
        for rate, own in cells.items()
    }


def _table(rate: str, cells: Sequence[Cell], setting: _Setting, compared: int) -> Table:
    """The intersections at one rate, in their order."""
    rows = []
    for cell in cells:
        ends = cell.shrunk_interval
        rows.append(
            [
                cell.name,
                f"{cell.people:,}",
                f"{cell.rate.errors:,} of {cell.rate.trials:,}",
                _percent(cell.rate.rate),
                _percent(cell.shrunk),
                "–" if ends is None else f"{100 * ends[0]:.3g} to {100 * ends[1]:.3g}",
                "–" if np.isnan(cell.worst) else f"{cell.worst:.0%}",
                "–" if np.isnan(cell.p_adjusted) else f"{cell.p_adjusted:.2g}",
                _answer(cell, setting.smallest),
            ]
        )
    title = {"fmr": "False matches", "fnmr": "False non-matches"}[rate]
    return Table(
        f"{title} by intersection, highest first",
        [
            "intersection",
            "people",
            "errors",
            f"{rate.upper()}, %",
            "shrunk, %",
            f"{setting.level:.0%} interval",
            "worst",
            "p adjusted",
            "than everybody else",
        ],
        rows,
        "Shrunk: drawn towards the rate of all intersections of the same attributes, the "
        "more the fewer trials there are; the interval is of that. Worst: chance to be the "
        "worst of the same attributes. p adjusted: for all "
        f"{compared} comparisons of both tables (Holm). {TOO_FEW}: fewer than {setting.smallest} "
        f"people, or even a ratio of {LARGEST_RATIO:g} would be missed.",
    )


def _partitions(
    loaded: Mapping[str, Loaded],
) -> Iterator[tuple[tuple[str, ...], np.ndarray, list[tuple[str, ...]]]]:
    """Attributes, an intersection's number for both sides of each pair (-1 unknown), and values."""
    total = 0
    for count in range(1, len(loaded) + 1):
        for names in combinations(loaded, count):
            code = np.zeros_like(next(iter(loaded.values())).group, np.int64)
            values: list[tuple[str, ...]] = [()]
            unknown = np.zeros(code.shape, bool)
            for name in names:
                pairs = loaded[name]
                unknown |= pairs.group < 0
                code = code * len(pairs.groups) + pairs.group
                values = [(*before, group) for before in values for group in pairs.groups]
            code[unknown] = -1
            there = np.unique(code[code >= 0])
            total += len(there)
            if total > _MOST:
                raise InputError(
                    f"more than {_MOST:,} intersections; give fewer attributes, or put numbers "
                    "into bins (--by age:18,30,45)."
                )
            number = np.full(len(values) + 1, -1)
            number[there] = np.arange(len(there))
            yield names, number[code], [values[k] for k in there.tolist()]


def _cells(
    score: np.ndarray,
    first: Loaded,
    code: np.ndarray,
    names: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    setting: _Setting,
    *,
    mated: bool,
) -> list[Cell]:
    """Each intersection of some attributes, tested against all others of the same attributes."""
    inside = (code[:, 0] == code[:, 1]) & (code[:, 0] >= 0) & (first.mated == mated)
    seed = setting.seed
    cells = []
    for k, label in enumerate(labels):
        rows, rest = inside & (code[:, 0] == k), inside & (code[:, 0] != k)
        group = dict(zip(names, label, strict=True))
        own, others = (
            GroupPairs.of("", score[r], first.subject[r], mated=mated).rate(setting.threshold)
            for r in (rows, rest)
        )
        p, detectable = np.nan, None
        if own.people >= setting.smallest and others.trials:
            known = _known(own, others)
            if known is not None:
                rates = np.array([own.rate, others.rate])
                exact = known.large_sample_p_value(rates)
                if exact is None:
                    exact = known.p_value(rates, known.null(_DRAWS, seed=seed), seed=seed)
                    if exact < _RARE / _DRAWS:  # or many comparisons could show nothing
                        more = known.null(_MORE_DRAWS, seed=seed)
                        exact = known.p_value(rates, more, seed=seed)
                p = exact
                detectable = known.detectable_ratio(alpha=ALPHA, seed=seed)
        cells.append(Cell(group, own, own.people, others.rate, p, detectable))
    return cells


def _known(own: ClusteredRate, others: ClusteredRate) -> Known | None:
    """What is known of two rates over pairs; None without an error, or with errors alone."""
    effects = common_design_effects([own, others])
    trials = np.array([own.trials, others.trials]) / effects
    pooled = float(np.array([own.rate, others.rate]) @ trials / trials.sum())
    if not 0 < pooled < 1:
        return None
    freedom = max(own.effective_people + others.effective_people - 2, 1.0)
    return Known(pooled, trials, freedom)


def _shrunk(cells: Sequence[Cell], setting: _Setting) -> list[Cell]:
    """Intersections of the same attributes; those that are compared with their shrunk rates."""
    compared = [k for k, c in enumerate(cells) if c.rate.trials and c.people >= setting.smallest]
    if len(compared) < 2:
        return list(cells)
    rates = [cells[k].rate for k in compared]
    trials = np.array([rate.trials for rate in rates])
    fit = shrink(
        np.array([rate.rate for rate in rates]),
        trials / np.maximum(common_design_effects(rates), 1),
        draws=_DRAWS,
        level=setting.level,
        seed=setting.seed,
    )
    shrunk = list(cells)
    for k, mean, low, high, worst in zip(
        compared, fit.rates, fit.low, fit.high, fit.worst, strict=True
    ):
        interval = float(low), float(high)
        shrunk[k] = replace(
            cells[k], shrunk=float(mean), shrunk_interval=interval, worst=float(worst)
        )
    return shrunk


def _answer(cell: Cell, smallest: int) -> str:
    p = cell.p_adjusted
    if cell.people < smallest or np.isnan(p):
        return TOO_FEW
    if p <= ALPHA:
        return "higher" if cell.rate.rate > cell.others else "lower"
    if cell.detectable is None or cell.detectable > LARGEST_RATIO:
        return TOO_FEW
    return "not shown"


def _words(rate: str, order: Sequence[Cell], smallest: int) -> tuple[str, str]:
    """The answer for one rate, and its reasons."""
    what = {"fmr": "false matches", "fnmr": "false non-matches"}[rate]
    higher = [c for c in order if _answer(c, smallest) == "higher"]
    unsure = [c for c in order if _answer(c, smallest) == TOO_FEW]
    few = (
        f" Too few to say for {len(unsure)} of {len(order)} intersections, such as "
        f"{unsure[-1].name}."
        if unsure
        else ""
    )
    start = what[0].upper() + what[1:]
    if higher:
        top = higher[0]
        return (
            f"Most {what}: {top.name}.",
            f"{start}: {len(higher)} of {len(order)} intersections are shown to have more than "
            f"everybody else; first {top.name} with {_percent(top.rate.rate)} % "
            f"(p {top.p_adjusted:.2g}).{few}",
        )
    if len(unsure) == len(order):
        return f"Most {what}: {TOO_FEW}.", f"{start}:{few}"
    top = next((c for c in order if not np.isnan(c.shrunk)), order[0])
    return (
        f"Most {what}: no intersection is shown to be worse than everybody else.",
        f"{start}: the highest is {top.name} with {_percent(top.rate.rate)} %, which may be bad "
        f"luck.{few}",
    )


def _measures(
    rate: str, cell: Cell, setting: _Setting, threshold: float, compared: int
) -> list[Measure]:
    """The numbers of one intersection for results.json, with the threshold in the scores' unit."""
    level, ends, p = setting.level, cell.shrunk_interval, cell.p_adjusted
    own = cell.rate.interval(level=level) if cell.rate.trials else None
    blank = Measure(
        rate,
        None,
        "fraction",
        cell.rate.trials,
        dict(cell.group),
        n_clusters=cell.people,
        n_errors=cell.rate.errors,
        at=setting.at,
        threshold=threshold,
        threshold_source=setting.source,
    )
    return [
        replace(
            blank,
            value=finite_or_none(cell.rate.rate),
            interval=own,
            level=level if own else None,
            method="Wilson on effective trials" if own else "",
        ),
        replace(
            blank,
            name=f"{rate}_shrunk",
            value=finite_or_none(cell.shrunk),
            interval=ends,
            level=level if ends else None,
            method="beta-binomial, empirical Bayes",
        ),
        replace(
            blank,
            name=f"{rate}_chance_worst",
            value=finite_or_none(cell.worst),
            method=f"{_DRAWS} draws from the posteriors",
        ),
        replace(
            blank,
            name=f"{rate}_against_others_p_value_holm",
            value=finite_or_none(p),
            method="test of equal rates on effective trials: F distribution, or "
            f"{_DRAWS} draws or more where errors are few",
            rule=f"adjusted for {compared} comparisons (Holm, any false claim)",
            note="" if np.isfinite(p) else TOO_FEW,
        ),
    ]


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.3g}"
