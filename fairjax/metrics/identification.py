"""1:N identification: how often searches of a gallery fail, by the words of ISO/IEC 19795-1.

A search compares one probe with a gallery of N enrolled people and returns candidates. It is mated
if the probe's person is enrolled. At a threshold T and a rank R

    FNIR(N, R, T) = mated searches whose mate is not among the first R candidates at or above T
                    / mated searches                     (false negative identification rate)
    FPIR(N, T)    = non-mated searches with any candidate at or above T / non-mated searches
                                                         (false positive identification rate)

and 1 - FNIR(N, 1, -inf) is the rank-1 identification rate. Scores grow with likeness; a mate that
ties with another person ranks behind that person.

Intervals are those of `clustered`: a mated search depends on its person, a non-mated one on its
person and on the person whom it found most alike, since some enrolled people resemble everybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from fairjax.core.blocks import blocks
from fairjax.core.comparisons import unit_length
from fairjax.metrics import clustered
from fairjax.metrics.clustered import ClusteredRate
from fairjax.metrics.verification import threshold_at_fmr

_BLOCK = 1024  # probes compared at a time: bounds the memory
NOWHERE = np.iinfo(np.int32).max  # rank of a mate who is not among the candidates
ANY = float(np.finfo(np.float64).min)  # threshold at which every candidate is accepted


@dataclass(frozen=True)
class Searches:
    """Searches of one gallery.

    Attributes:
      person: Number of each probe's person.
      group: Group of the probe's person, or -1.
      mated: Whether the person is enrolled.
      top: Highest score among the candidates; -inf where there is none.
      found: Number of the candidate person with that score; -1 where there is none.
      mate: Score of the person's own template; -inf where it is no candidate, or not enrolled.
      rank: Rank of that template, from 1; `NOWHERE` likewise.
    """

    person: Int[np.ndarray, " searches"]
    group: Int[np.ndarray, " searches"]
    mated: Bool[np.ndarray, " searches"]
    top: Float[np.ndarray, " searches"]
    found: Int[np.ndarray, " searches"]
    mate: Float[np.ndarray, " searches"]
    rank: Int[np.ndarray, " searches"]

    def __len__(self) -> int:
        return len(self.person)

    def take(self, rows: np.ndarray) -> "Searches":
        """The given searches (indices or a boolean mask)."""
        return Searches(**{name: array[rows] for name, array in vars(self).items()})

    def threshold(self, fpir: float) -> float:
        """The smallest threshold at which the FPIR of all searches does not exceed the target.

        Args:
          fpir: Target false positive identification rate, a fraction in (0, 1).

        Returns:
          The threshold; `ANY` where no non-mated search found anybody.

        Raises:
          InsufficientDataError: If it asks for less than one non-mated search.
        """
        top = self.top[~self.mated]
        threshold = threshold_at_fmr(np.maximum(top, ANY), fmr=fpir)
        return ANY if np.isneginf(top).all() else threshold

    def fpir(self, threshold: float) -> ClusteredRate:
        """False positive identification rate at a threshold."""
        one = self.take(~self.mated)
        # a search that found nobody depends on its own person alone
        other = np.where(one.found < 0, one.person, one.found)
        return _rate(one.top >= threshold, one.top, np.stack([one.person, other], axis=1))

    def fnir(self, threshold: float, *, rank: int | None = None) -> ClusteredRate:
        """False negative identification rate at a threshold and a rank.

        Args:
          threshold: Accept candidates with at least this score; -inf accepts all.
          rank: How many candidates are looked at; None looks at all.
        """
        one = self.take(self.mated)
        missed = one.mate < threshold
        if rank is not None:
            missed |= one.rank > rank
        missed |= one.rank == NOWHERE
        return _rate(missed, -one.mate, np.stack([one.person, one.person], axis=1))


def search(
    probes: Float[np.ndarray, "searches dim"],
    gallery: Float[np.ndarray, "enrolled dim"],
    *,
    person: Int[np.ndarray, " searches"],
    group: Int[np.ndarray, " searches"],
    enrolled: Int[np.ndarray, " enrolled"],
    sizes: Sequence[int],
) -> Iterator[Searches]:
    """Searches galleries of several sizes by cosine, each the first so many templates.

    A mated probe whose person is not within the first N templates is left out of that gallery's
    searches, so that non-mated searches are the same for all sizes.

    Args:
      probes: Embeddings of the probes.
      gallery: One template a person.
      person: Number of each probe's person.
      group: Group of each probe's person, or -1.
      enrolled: Number of each template's person, none twice.
      sizes: Ascending, none larger than the gallery.

    Yields:
      The searches of each gallery, in the order of `sizes`.
    """
    place = np.full(int(max(person.max(initial=0), enrolled.max())) + 1, NOWHERE, np.int64)
    place[enrolled] = np.arange(len(enrolled))
    own = place[person]
    known = own < NOWHERE
    probe, template = unit_length(probes), unit_length(gallery)
    rows = len(probe)
    top = np.full((len(sizes), rows), -np.inf)
    hits = np.zeros((len(sizes), rows), np.int64)
    mate = np.full(rows, -np.inf)
    better = np.zeros((len(sizes), rows), np.int64)
    for block in blocks(rows, _BLOCK):
        cosine = (probe[block] @ template.T).astype(np.float64)
        at = np.arange(len(cosine))
        column = np.where(known[block], own[block], 0)
        mine = np.where(known[block], cosine[at, column], -np.inf)
        mate[block] = mine
        reached, before = np.full(len(cosine), -np.inf), 0
        best, worse = np.zeros(len(cosine), np.int64), np.zeros(len(cosine), np.int64)
        for k, size in enumerate(sizes):
            part = cosine[:, before:size]
            if part.shape[1]:
                place_of = part.argmax(axis=1)
                highest = part[at, place_of]
                new = highest > reached
                reached = np.where(new, highest, reached)
                best = np.where(new, place_of + before, best)
                worse = worse + (part >= mine[:, None]).sum(axis=1)
            top[k, block], hits[k, block], better[k, block] = reached, enrolled[best], worse
            before = size
    for k, size in enumerate(sizes):
        mated = known & (own < size)
        kept = np.flatnonzero(mated | ~known)
        # the mate itself is among those that reach its score
        rank = np.where(mated, np.maximum(better[k], 1), NOWHERE)
        yield Searches(
            person, group, mated, top[k], hits[k], np.where(mated, mate, -np.inf), rank
        ).take(kept)


def _rate(error: np.ndarray, score: np.ndarray, subject: np.ndarray) -> ClusteredRate:
    """The rate of errors; few of them borrow the design effect of the likeliest ones."""
    couples = clustered.dyads(subject)
    effect = clustered.likeliest_design_effect(score, couples, mated=False)
    return replace(clustered.clustered_rate(error, couples), likeliest_effect=effect)
