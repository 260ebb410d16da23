"""What a score means: its kind, its range, and when it can be turned into a cosine.

A threshold, a calibration table and an accuracy tried on a fixed grid are right for one kind of
score only. Scores are held as numbers that grow with likeness, so a distance is held as minus it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fairjax.audit.tables import InputError
from fairjax.core.names import counted
from fairjax.protocols.verification import accuracy

_SLACK = 1e-4  # of the range: rounding in somebody's float32 or in printed digits
_APART = 2.0  # spreads between two tables' non-mated medians that no two populations explain
_CODES = (-999, -99, -1, 0, 999)  # scores that systems write where there is none
_HALF = 0.5  # of the pairs of one kind on the wrong side of a threshold
_WIDER = 4.0  # ratio of their spreads that none explains


class Kind(NamedTuple):
    """A kind of score.

    Attributes:
      name: In words.
      distance: Whether smaller means more alike.
      low: The smallest value there is.
      high: The largest.
      cosine: From the score as held (a distance negated) to the cosine; None where that is not
        known.
    """

    name: str
    distance: bool
    low: float
    high: float
    cosine: Callable[[np.ndarray], np.ndarray] | None


KINDS: dict[str, Kind] = {
    "cosine": Kind("cosines", False, -1, 1, lambda s: s),
    "l2": Kind("Euclidean distances of unit vectors", True, 0, 2, lambda s: 1 - s**2 / 2),
    "squared_l2": Kind("squared distances of unit vectors", True, 0, 4, lambda s: 1 + s / 2),
    "cosine_distance": Kind("cosine distances, 1 - cosine", True, 0, 2, lambda s: 1 + s),
    "percent": Kind("percentages", False, 0, 100, None),
    "probability": Kind("probabilities", False, 0, 1, None),
    "probability_not_same": Kind("probabilities of two different people", True, 0, 1, None),
    "mls": Kind("mutual likelihood scores", False, -np.inf, np.inf, None),
    "other": Kind("scores of another kind", False, -np.inf, np.inf, None),
}


def failure_hint(column: str, score: np.ndarray, mated: np.ndarray, *, distance: bool) -> str:
    """A sentence on a repeated score far outside the others, which most likely stands for none.

    It occurs three times or more, at an edge, as far from the next score as all others span; a
    tenth of that is enough for -999, -99, -1, 0 and 999, and that no other score is negative for
    -999, -99 and -1.

    Args:
      column: The scores' name.
      score: The scores as held; NaN is passed over.
      mated: Whether each pair shows one person. A score that all mated or all non-mated pairs have
        is no failure.
      distance: Whether the column is one of distances.

    Returns:
      What to type; "" where there is no such score.
    """
    there = np.isfinite(score)
    values, mated = (-score if distance else score)[there], mated[there]
    for edge in (values.min(initial=np.inf), values.max(initial=-np.inf)):
        same = values == edge
        rest, times = values[~same], int(same.sum())
        if times < 3 or times > len(rest) or not 0 < mated[~same].sum() < len(rest):
            continue
        if len(np.unique(rest[:1000])) < 10:  # grades, not scores
            continue
        gap, span = np.abs(rest - edge).min(), np.ptp(rest)
        alone = edge in _CODES and edge < 0 <= rest.min()
        if alone or gap > (span / 10 if edge in _CODES else span):
            return (
                f"{column} is {edge:g} in {times:,} rows, apart from all others "
                f"({rest.min():.4g} to {rest.max():.4g}); if that marks pairs without a score, say "
                f"--failure-score {edge:g}."
            )
    return ""


def unit_hint(column: str, score: np.ndarray, mated: np.ndarray) -> str:
    """A sentence on scores that seem to be in two units, or that are all equal.

    A tenth or more of the mated pairs has scores up to 1 and a tenth or more scores above 2, whose
    hundredth has the same middle within a factor of 2: fractions and percentages in one column. The
    non-mated pairs must be as mixed.

    Args:
      column: The scores' name.
      score: The scores as held; NaN is passed over.
      mated: Whether each pair shows one person.

    Returns:
      The sentence; "" where nothing looks odd.
    """
    there = np.isfinite(score)
    size, mated = np.abs(score[there]), mated[there]
    if len(size) and np.ptp(score[there]) == 0:
        return f"{column} is {score[there][0]:g} in all rows: it cannot tell people apart."
    shares = [(size[kind] <= 1).mean() if kind.any() else 0.0 for kind in (mated, ~mated)]
    fractions, percents = size[mated & (size <= 1)], size[mated & (size > 2)]
    if not 0.1 <= shares[0] <= 0.9 or len(percents) < 0.1 * mated.sum() or size.max() > 100:
        return ""
    ratio = np.median(percents) / 100 / max(float(np.median(fractions)), 1e-9)
    if not 0.5 <= ratio <= 2 or (size[~mated] > 2).mean() < 0.1:
        return ""
    return (
        f"{shares[0]:.0%} of the mated pairs have a {column} of 1 or less (the middle one "
        f"{np.median(fractions):.4g}), others about a hundred times as much "
        f"({np.median(percents):.4g}): are fractions and percentages mixed? Thresholds then mean "
        "nothing; write all scores in one unit."
    )


def check_kind(
    kind: str,
    column: str,
    score: np.ndarray,
    *,
    distance: bool,
    where: str,
    hint: str = "",
    start: int = 1,
) -> None:
    """Refuses scores that cannot be of the stated kind.

    Args:
      kind: A key of `KINDS`.
      column: The scores' name.
      score: The scores as held; NaN is passed over.
      distance: Whether the column was named as one of distances.
      where: The file, for messages.
      hint: A sentence for the end of the message on the range.
      start: Number of the first row.

    Raises:
      InputError: If the direction or the range is another.
    """
    known = KINDS[kind]
    if known.distance and not distance:
        raise InputError(
            f"--kind {kind}: {known.name} grow with difference; name {column} with --distance."
        )
    if distance and not known.distance and kind != "other":
        raise InputError(
            f"--kind {kind}: {known.name} grow with likeness; name {column} with --score."
        )
    values = -score if distance else score
    slack = _SLACK * (known.high - known.low) if np.isfinite(known.high) else 0.0
    bad = (values < known.low - slack) | (values > known.high + slack)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where}, data row {row + start}: {column} is {values[row]:g}, but {known.name} lie "
            f"between {known.low:g} and {known.high:g} "
            f"({counted(int(bad.sum()), 'such row')}); say what the "
            f"scores are with --kind.{hint and ' ' + hint}"
        )


def guess_kind(column: str, score: np.ndarray, *, distance: bool) -> str:
    """The kind where nobody says it: cosines, if the range says so; else "".

    Scores in [-1, 1] with some below 0 are taken for cosines. Between 0 and 1 lie cosines, rescaled
    cosines and probabilities alike.
    """
    known = score[np.isfinite(score)]
    if distance or not len(known):
        return ""
    inside = known.min() >= -1 - _SLACK and known.max() <= 1 + _SLACK
    return "cosine" if inside and (known.min() < 0 or column.lower() == "cosine") else ""


def cosines(score: Float[np.ndarray, " pairs"], kind: str) -> Float[np.ndarray, " pairs"] | None:
    """The scores as cosines, for accuracies on a fixed grid; None where the kind does not allow it.

    Args:
      score: Scores as held: distances negated.
      kind: A key of `KINDS`, or "" for unknown.
    """
    turn = KINDS[kind].cosine if kind else None
    return None if turn is None else np.clip(turn(score.astype(np.float64)), -1, 1)


def usable_variants(variants: Sequence[str], kinds: Sequence[str]) -> tuple[list[str], str]:
    """The accuracy variants that scores of these kinds can have, and why the others are left out.

    Args:
      variants: Keys of `accuracy.VARIANTS`.
      kinds: The kind of each system's scores; "" where nobody says.
    """
    if all(kind and KINDS[kind].cosine for kind in kinds):
        return list(variants), ""
    grids = [v for v in variants if accuracy.VARIANTS[v].grid is not None]
    kept = [v for v in variants if v not in grids]
    if not grids:
        return kept, ""
    of = next(
        KINDS[kind].name if kind else "" for kind in kinds if not kind or not KINDS[kind].cosine
    )
    why = f"the scores are {of}" if of else "nobody says what the scores are"
    how = "" if of else " Say it with --kind cosine (or l2, squared_l2, cosine_distance)."
    return kept, (
        f"Left out: the accuracy variants {', '.join(grids)}, which try cosines or squared "
        f"distances on a fixed grid; {why}, which cannot be turned into cosines.{how}"
    )


def check_threshold(threshold: float, column: str, score: np.ndarray, *, distance: bool) -> None:
    """Refuses a threshold outside the scores: every pair would be on one side of it.

    Args:
      threshold: The user's threshold: a distance for distances.
      column: The scores' name.
      score: The scores as held.
      distance: Whether they are distances.

    Raises:
      InputError: With the scores' range.
    """
    values = -score if distance else score
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if not low <= threshold <= high:
        what = "distances" if distance else "scores"
        raise InputError(
            f"--threshold {threshold:g} lies outside the {what} of {column}, {low:.4g} to "
            f"{high:.4g}; thresholds are given in the {what}' own unit."
        )


def odd_threshold(
    threshold: float, column: str, score: np.ndarray, mated: np.ndarray, *, distance: bool
) -> str:
    """A sentence on a threshold that is most likely meant for another unit.

    It rejects half of the mated pairs or more, or accepts half of the non-mated ones.

    Args:
      threshold: The user's threshold: a distance for distances.
      column: The scores' name.
      score: The scores as held; NaN is passed over.
      mated: Whether each pair shows one person.
      distance: Whether they are distances.

    Returns:
      The sentence; "" where most pairs of each kind are on their own side.
    """
    there = np.isfinite(score)
    accepted, mated = score[there] >= (-threshold if distance else threshold), mated[there]
    missed, taken = 1 - accepted[mated].mean(), accepted[~mated].mean()
    if max(missed, taken) < _HALF:
        return ""
    what = "distances" if distance else "scores"
    happens = (
        f"rejects {missed:.1%} of the mated pairs"
        if missed >= taken
        else f"accepts {taken:.1%} of the non-mated pairs"
    )
    values = -score[there] if distance else score[there]
    typical = [float(np.median(values[mated])), float(np.median(values[~mated]))]
    return (
        f"--threshold {threshold:g} {happens} of {column}. Is it in the unit of these {what}? The "
        f"middle mated pair has {typical[0]:.4g}, the middle non-mated one {typical[1]:.4g}."
    )


def check_calibration(
    column: str, audited: np.ndarray, calibration: np.ndarray, source: str
) -> None:
    """Refuses calibration scores that are of another unit than the audited ones.

    Args:
      column: The scores' name.
      audited: Non-mated scores of the audited pairs.
      calibration: Non-mated scores of the calibration's pairs.
      source: The calibration's file.

    Raises:
      InputError: If their medians lie more than two spreads apart, or one spread is four times
        the other; a spread is the middle half's.
    """
    if min(len(audited), len(calibration)) < 10:
        return
    (low, here, high), (low_2, there, high_2) = (
        np.quantile(s, [0.25, 0.5, 0.75]) for s in (audited, calibration)
    )
    spread, other = high - low, high_2 - low_2
    wide, narrow = max(spread, other), min(spread, other)
    if abs(here - there) > _APART * wide or wide > _WIDER * narrow:
        raise InputError(
            f"{source}: its non-mated {column} have a median of {there:.4g} and a spread of "
            f"{other:.4g}, those audited {here:.4g} and {spread:.4g}: they seem to be in another "
            "unit. Give a calibration table in the unit of the audited scores."
        )
