"""Which threshold to ship: chosen on one table, checked on another, with its cost by group."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairjax.audit.findings import Findings
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError, listed
from fairjax.core.errors import UsageError
from fairjax.core.names import counted
from fairjax.core.results import Measure, Results, Table, finite_or_none
from fairjax.metrics import thresholds, verification
from fairjax.metrics.clustered import ClusteredRate
from fairjax.metrics.thresholds import GroupPairs, upper_bound
from fairjax.metrics.verification import InsufficientDataError

_SURE = "the pairs are taken for independent, since the table names no people: bounds are too low"


@dataclass(frozen=True)
class Wish:
    """A threshold that is asked for.

    Attributes:
      fmr: Largest false match rate, a fraction in (0, 1).
      worst_group: Whether every group's upper bound is to stay below it; else the overall rate.
      confidence: Confidence of each bound, a fraction in (0.5, 1).
      level: Coverage of the other intervals, a fraction.
    """

    fmr: float
    worst_group: bool
    confidence: float = 0.95
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.fmr < 1:
            raise UsageError(f"--fmr-max {self.fmr:g} must be between 0 and 1, as 1e-3.")
        if not 0.5 < self.confidence < 1:
            raise UsageError(f"--confidence {self.confidence:g} must be above 0.5 and below 1.")


@dataclass(frozen=True)
class _Pairs:
    """One system's pairs within groups, and all non-mated scores.

    Attributes:
      nonmated: Non-mated pairs within each group.
      mated: Mated pairs of each group.
      everyone: All non-mated pairs.
      everyone_mated: All mated pairs.
      sign: -1 for distances, which are held as minus themselves, else 1.
    """

    nonmated: list[GroupPairs]
    mated: list[GroupPairs]
    everyone: GroupPairs
    everyone_mated: GroupPairs
    sign: int

    @classmethod
    def of(cls, loaded: Loaded, system: str) -> "_Pairs":
        score, inside = loaded.scores[system], loaded.group[:, 0] == loaded.group[:, 1]

        def pairs(name: str, rows: np.ndarray, *, mated: bool) -> GroupPairs:
            return GroupPairs.of(name, score[rows], loaded.subject[rows], mated=mated)

        own = {
            mated: [
                pairs(
                    name, inside & (loaded.group[:, 0] == g) & (loaded.mated == mated), mated=mated
                )
                for g, name in enumerate(loaded.groups)
            ]
            for mated in (False, True)
        }
        return cls(
            own[False],
            own[True],
            pairs("everyone", ~loaded.mated, mated=False),
            pairs("everyone", loaded.mated, mated=True),
            sign=-1 if system in loaded.distances else 1,
        )


def refuse_shared_people(first: Loaded, second: Loaded, names: tuple[str, str], role: str) -> None:
    """Refuses two tables that show the same people.

    Args:
      first: Pairs of one table.
      second: Pairs of the other.
      names: Names of the two files, for messages.
      role: What must not be done on the same people, for messages.

    Raises:
      InputError: If a table names nobody, or somebody is in both.
    """
    for loaded, name in ((first, names[0]), (second, names[1])):
        if not loaded.has_subjects:
            raise InputError(
                f"{name} does not say who is on its pairs, so the same people may be in both "
                f"tables; name the people with --subject: {role}."
            )
    both = sorted(set(people_of(first)) & set(people_of(second)))
    if both:
        raise InputError(
            f"{counted(len(both), 'person is', 'people are')} in {names[0]} and in {names[1]}, "
            f"such as {listed(both[:3])}: {role}; keep each person's pairs in one of the tables."
        )


def people_of(loaded: Loaded) -> list[str]:
    """Names of the people that the pairs show."""
    return [loaded.names[k] for k in np.unique(loaded.subject).tolist()]


def choose(
    loaded: Loaded, system: str, wish: Wish, *, check: Loaded | None = None, source: str = ""
) -> Findings:
    """Chooses a threshold, says what it costs each group, and checks it on other people.

    Args:
      loaded: The calibration pairs.
      system: Whose scores.
      wish: What is asked for.
      check: Pairs of other people, to check the threshold on; None leaves that out.
      source: Name of the calibration table.

    Raises:
      InputError: If the pairs are too few for the target.
    """
    pairs = _Pairs.of(loaded, system)
    sign = pairs.sign
    plain = _written_shortly(_overall(pairs.everyone, wish.fmr, source), loaded.scores[system])
    threshold = plain
    for group in pairs.nonmated:
        if not len(group.score):
            raise InputError(f"{source}: {group.name!r} has no non-mated pairs within it.")
    if wish.worst_group:
        try:
            bounded = thresholds.bounded_threshold(
                pairs.nonmated, fmr=wish.fmr, confidence=wish.confidence
            )
        except InsufficientDataError as error:
            raise InputError(f"{source}: {_too_few(pairs, wish, str(error))}") from error
        threshold = _written_shortly(bounded, loaded.scores[system])
    measures: list[Measure] = []
    tables = [_table(f"On {source}", pairs, threshold, plain, wish, measures, "calibration")]
    sentences = [_first_words(pairs, threshold, plain, wish)]
    answer = (
        f"Accept a pair when its {'distance is at most' if sign < 0 else 'score is at least'} "
        f"{sign * threshold!r}."
    )
    if check is not None:
        other = _Pairs.of(check, system)
        tables.append(
            _table("Checked on other people", other, threshold, plain, wish, measures, "check")
        )
        sentences.append(_checked(other, threshold, wish))
    protocol = {
        "name": "threshold",
        "attribute": loaded.by,
        "groups": list(loaded.groups),
        "fmr_max": wish.fmr,
        "rule": "every group's upper bound" if wish.worst_group else "overall rate",
        "confidence": wish.confidence,
        "level": wish.level,
        "system": system,
        "threshold": sign * threshold,
        "overall_threshold": sign * plain,
        "accept": "at most" if sign < 0 else "at least",
    }
    limits = [*loaded.notes]
    if not loaded.has_subjects:
        limits.append(f"{source}: {_SURE}.")
    limits.append(
        "A threshold holds for people and images like those it was chosen on. Group FMRs are over "
        "non-mated pairs within one group."
    )
    return Findings(
        answer, sentences, tables, Results("threshold", protocol, measures, {}, limits, {})
    )


def _overall(everyone: GroupPairs, fmr: float, source: str) -> float:
    try:
        return verification.threshold_at_fmr(everyone.score, fmr=fmr)
    except InsufficientDataError as error:
        raise InputError(f"{source}: {error}") from error


def _written_shortly(threshold: float, scores: np.ndarray) -> float:
    """The threshold with fewest digits that accepts the same of these scores: it gets typed."""
    accepted = scores >= threshold
    high = float(scores[accepted].min()) if accepted.any() else math.inf
    low = float(scores[~accepted].max()) if not accepted.all() else -math.inf
    for digits in range(18):
        for short in (round(threshold, digits), round(threshold + 10.0**-digits, digits)):
            if low < short <= high:
                return short
    return threshold


def _too_few(pairs: _Pairs, wish: Wish, error: str) -> str:
    nothing = max(group.score.max() for group in pairs.nonmated) + 1
    rates = [group.rate(float(nothing)) for group in pairs.nonmated]
    bounds = [upper_bound(rate, confidence=wish.confidence) for rate in rates]
    worst = int(np.argmax(bounds))
    people = thresholds.people_for_bound(rates[worst], fmr=wish.fmr, confidence=wish.confidence)
    return (
        f"{error} Ask for --fmr-max {_rounded_up(max(bounds)):g}, or collect about {people:,} "
        f"people of {pairs.nonmated[worst].name} (now {rates[worst].people:,})."
    )


def _rounded_up(rate: float) -> float:
    """Up to two significant digits."""
    step = 10.0 ** (np.floor(np.log10(rate)) - 1)
    return float(np.ceil(rate / step) * step)


def _table(
    title: str,
    pairs: _Pairs,
    threshold: float,
    plain: float,
    wish: Wish,
    measures: list[Measure],
    at: str,
) -> Table:
    """Each group's rates at the threshold; the measures behind them are added to `measures`."""
    rows = []
    own, own_plain = pairs.sign * threshold, pairs.sign * plain  # in the unit of the scores
    everyone = (pairs.everyone, pairs.everyone_mated)
    for nonmated, mated in [everyone, *zip(pairs.nonmated, pairs.mated, strict=True)]:
        fmr, fnmr = nonmated.rate(threshold), mated.rate(threshold)
        bound = upper_bound(fmr, confidence=wish.confidence)
        low, high = sorted((plain, threshold))
        moved = mated.between(low, high)
        cost = moved.rate if threshold >= plain else -moved.rate
        ends = moved.interval(level=wish.level)
        if ends is not None and threshold < plain:
            ends = (-ends[1], -ends[0])
        group = {} if nonmated is pairs.everyone else {"group": nonmated.name}
        measures += [
            _measure("fmr", fmr, group, at, own, wish),
            Measure(
                "fmr_upper_bound",
                bound,
                "fraction",
                fmr.trials,
                group,
                at=at,
                threshold=own,
                level=wish.confidence,
                method="one-sided, on effective trials",
                n_clusters=fmr.people,
                n_errors=fmr.errors,
            ),
            _measure("fnmr", fnmr, group, at, own, wish),
            Measure(
                "fnmr_cost",
                finite_or_none(cost),
                "fraction",
                moved.trials,
                group,
                interval=ends,
                level=wish.level if ends else None,
                at=at,
                threshold=own,
                n_clusters=moved.people,
                n_errors=moved.errors,
                method="Wilson on effective trials" if ends else "",
                rule=f"FNMR here minus FNMR at {own_plain:.6g}, where the overall FMR meets the "
                "target",
            ),
        ]
        over = "above" if bound > wish.fmr else "below"
        row = [
            nonmated.name,
            f"{fmr.errors:,} of {fmr.trials:,}",
            _percent(fmr.rate),
            _percent(bound),
            over,
            _percent(fnmr.rate),
        ]
        if wish.worst_group:
            row.append("–" if np.isnan(cost) else f"{100 * cost:+.3g}")
        rows.append(row)
    columns = [
        "group",
        "false matches",
        "FMR, %",
        f"at most, {wish.confidence:.0%} sure, %",
        f"that is, of {100 * wish.fmr:g} %",
        "FNMR, %",
    ]
    if wish.worst_group:
        columns.append("FNMR for it, points")
    note = (
        "FMR: non-mated pairs accepted, within the group (everyone: of all). FNMR: mated pairs "
        "rejected."
    )
    if wish.worst_group:
        note += (
            f" FNMR for it: percentage points more than at {own_plain:.6g}, where the overall FMR "
            "alone meets the target."
        )
    return Table(title, columns, rows, note)


def _measure(
    name: str, rate: ClusteredRate, group: dict[str, str], at: str, threshold: float, wish: Wish
) -> Measure:
    ends = rate.interval(level=wish.level) if rate.trials else None
    return Measure(
        name,
        finite_or_none(rate.rate),
        "fraction",
        rate.trials,
        group,
        interval=ends,
        level=wish.level if ends else None,
        method="Wilson on effective trials" if ends else "",
        n_clusters=rate.people,
        n_errors=rate.errors,
        at=at,
        threshold=threshold,
        threshold_source="chosen on the calibration table",
    )


def _first_words(pairs: _Pairs, threshold: float, plain: float, wish: Wish) -> str:
    target = f"{100 * wish.fmr:g} %"
    if not wish.worst_group:
        above = [
            group.name
            for group in pairs.nonmated
            if upper_bound(group.rate(threshold), confidence=wish.confidence) > wish.fmr
        ]
        sentence = f"There the overall FMR on this table is at most {target}"
        if above:
            sentence += f"; it may be higher for {_names(above)}: --worst-group takes care of that"
        return sentence + "."
    cost = [mated.between(min(plain, threshold), max(plain, threshold)) for mated in pairs.mated]
    shares = np.array([rate.rate if rate.trials else np.nan for rate in cost])
    sentence = (
        f"There the FMR of every group is at most {target}: the chance that it is higher for any "
        f"group is {1 - wish.confidence:.0%} at most."
    )
    if np.isfinite(shares).any() and threshold > plain:
        worst = int(np.nanargmax(shares))
        sentence += (
            f" It costs {pairs.mated[worst].name} most: {100 * shares[worst]:.2g} points more of "
            f"its mated pairs are rejected than at {pairs.sign * plain:.6g}, which holds the "
            "overall FMR alone."
        )
    return sentence


def _checked(pairs: _Pairs, threshold: float, wish: Wish) -> str:
    """Whether the target holds on the other people, in words."""
    if not wish.worst_group:
        everyone = pairs.everyone.rate(threshold)
        ends = everyone.interval(level=2 * wish.confidence - 1)
        if ends is None:
            return "Check: the other table has too few people to tell."
        if ends[0] > wish.fmr:
            return (
                f"Check: on other people the overall FMR is {_percent(everyone.rate)} %, above the "
                "target: the threshold does not hold there."
            )
        return f"Check: on other people the overall FMR is {_percent(everyone.rate)} %, " + (
            "and below the target." if ends[1] <= wish.fmr else "not clearly on either side."
        )
    broken, unsure = [], []
    for group in pairs.nonmated:
        rate = group.rate(threshold)
        ends = rate.interval(level=2 * wish.confidence - 1) if rate.trials else None
        if ends is None or ends[0] <= wish.fmr < ends[1]:
            unsure.append(group.name)
        elif ends[0] > wish.fmr:
            broken.append(group.name)
    if broken:
        return f"Check: on other people the target does NOT hold for {_names(broken)}."
    if unsure:
        return (
            "Check: on other people no group is shown to exceed the target; too few data to "
            f"confirm it for {_names(unsure)}."
        )
    return "Check: on other people the target holds for every group."


def _names(names: Sequence[str]) -> str:
    return listed(list(names)).replace("'", "")


def _percent(value: float) -> Any:
    return "–" if np.isnan(value) else f"{100 * value:.3g}"
