"""The smallest threshold at which every group's false match rate is below a target, for sure.

A group's FMR is known to be below the target where its one-sided upper confidence bound is.
Thresholds are tried from the strictest down, and the walk ends at the first one at which a group's
bound is above the target. That order is fixed before the data are seen, so testing many thresholds
costs nothing (fixed-sequence testing), and neither do many groups: a threshold that is truly too
low for some group passes only where that group's own bound is wrong. The chance that the chosen
threshold is too low for any group is therefore at most 1 - confidence, as far as the bound of one
group holds; `benchmarks/desk.py` measures it.

Source: Angelopoulos et al., Learn then Test (arXiv 2110.01052) for the fixed sequence; the bound is
  that of `clustered`, for pairs that share people.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from fairjax.metrics import clustered
from fairjax.metrics.clustered import ClusteredRate, Dyads
from fairjax.metrics.verification import InsufficientDataError, check_scores, next_above

_GROWTH = 1.25  # between the numbers of accepted pairs at which the walk looks


@dataclass(frozen=True)
class GroupPairs:
    """Pairs of one kind and one group, ready to be counted at many thresholds.

    Attributes:
      name: The group.
      score: Score of each pair; larger means more alike.
      couples: The couples of people on them.
      mated: Whether the pairs show one person each.
      likeliest_effect: Design effect of the likeliest errors.
    """

    name: str
    score: Float[np.ndarray, " pairs"]
    couples: Dyads
    mated: bool
    likeliest_effect: float

    @classmethod
    def of(
        cls,
        name: str,
        score: Float[np.ndarray, " pairs"],
        subject: Int[np.ndarray, "pairs 2"],
        *,
        mated: bool,
    ) -> "GroupPairs":
        """The pairs of a group.

        Args:
          name: The group.
          score: Score of each pair.
          subject: The numbers of each pair's two people.
          mated: Whether the pairs show one person each.
        """
        check_scores(score)
        couples = clustered.dyads(subject)
        effect = clustered.likeliest_design_effect(score, couples, mated=mated)
        return cls(name, score.astype(np.float64), couples, mated, effect)

    def rate(self, threshold: float) -> ClusteredRate:
        """FNMR of mated pairs, FMR of others, at a threshold."""
        error = self.score < threshold if self.mated else self.score >= threshold
        return replace(
            clustered.clustered_rate(error, self.couples), likeliest_effect=self.likeliest_effect
        )

    def between(self, low: float, high: float) -> ClusteredRate:
        """Share of pairs with a score of at least `low` and below `high`."""
        inside = (self.score >= low) & (self.score < high)
        return replace(
            clustered.clustered_rate(inside, self.couples), likeliest_effect=self.likeliest_effect
        )


def upper_bound(rate: ClusteredRate, *, confidence: float) -> float:
    """One-sided upper confidence bound of a rate over pairs that share people, at most 1.

    Args:
      rate: Counts and their certainty; 1 without pairs, or where all share a person.
      confidence: A fraction in (0.5, 1).
    """
    ends = rate.interval(level=2 * confidence - 1) if rate.trials else None
    return 1.0 if ends is None else ends[1]


def bounded_threshold(groups: Sequence[GroupPairs], *, fmr: float, confidence: float) -> float:
    """The smallest threshold, from the strictest down, with every group's bound below the target.

    Args:
      groups: The non-mated pairs within each group.
      fmr: Target false match rate, a fraction in (0, 1).
      confidence: Confidence of each group's bound, a fraction in (0.5, 1).

    Returns:
      The threshold: a non-mated score, or the next number above all of them.

    Raises:
      InsufficientDataError: If a group's bound is above the target without any false match; the
        message names the group and the bound.
      ValueError: If a target or confidence is outside its range.
    """
    if not 0 < fmr < 1:
        raise ValueError(f"a target FMR is a fraction in (0, 1); got {fmr:g}.")
    if not 0.5 < confidence < 1:
        raise ValueError(f"a confidence is a fraction in (0.5, 1); got {confidence:g}.")
    every = np.unique(np.concatenate([group.score for group in groups]))[::-1]
    nothing = next_above(every[0])
    bounds = [upper_bound(group.rate(nothing), confidence=confidence) for group in groups]
    if max(bounds) > fmr:
        group = groups[int(np.argmax(bounds))]
        raise InsufficientDataError(
            f"insufficient data: {group.name} has {len(group.score):,} non-mated pairs, and "
            f"even without a false match its FMR may be {max(bounds):.2g}, above {fmr:g}."
        )

    def holds(place: int) -> bool:
        threshold = every[place]
        return all(
            upper_bound(group.rate(threshold), confidence=confidence) <= fmr for group in groups
        )

    passed, place, step = -1, 0, 1.0
    while holds(place):  # the last place does not: a group that is accepted whole has the bound 1
        passed, step = place, max(step * _GROWTH, step + 1)
        place = min(int(step) - 1, len(every) - 1)
    failed = place
    while failed - passed > 1:
        middle = (passed + failed) // 2
        if holds(middle):
            passed = middle
        else:
            failed = middle
    return nothing if passed < 0 else float(every[passed])


def people_for_bound(rate: ClusteredRate, *, fmr: float, confidence: float) -> int:
    """People with which no false match at all puts the upper bound below the target.

    Args:
      rate: FMR of the people at hand.
      fmr: Target false match rate, a fraction in (0, 1).
      confidence: Confidence of the bound, a fraction in (0.5, 1).
    """
    needed = math.log(1 - confidence) / math.log1p(-fmr)
    now = math.log(1 - confidence) / math.log1p(-upper_bound(rate, confidence=confidence))
    return math.ceil(rate.people * needed / now)
