"""The error rates of 1:N searches that the first screen compares."""

from collections.abc import Sequence
from typing import NamedTuple

from fairjax.core.results import Measure, Results
from fairjax.core.verdict import Claim, verdict
from fairjax.report.quantities import Quantity, too_few, untested
from fairjax.report.wording import describe, listed, lower

EVERYONE = "everyone"
FOUND_HERE = "all non-mated searches of this gallery"  # source of a threshold found on the data


class _Words(NamedTuple):
    """A rate in plain words: its title, and what happens to the people of a group."""

    title: str
    predicate: str


_FALSE_ALARMS = _Words("False alarms", "people who are not enrolled are taken for somebody")
_MISSES = _Words("Misses at the threshold", "people who are enrolled are not found")
_RANK = "people who are enrolled are not among the first {}"


class SearchPoint(NamedTuple):
    """One operating point of one gallery.

    Attributes:
      gallery: Name of the gallery.
      point: Name of the point within it: "FPIR 0.01", "threshold 0.4", "rank 1".
    """

    gallery: str
    point: str

    @property
    def at(self) -> str:
        """The name that measures have."""
        return f"{self.gallery}, {self.point}"

    @property
    def is_rank(self) -> bool:
        """Whether candidates are accepted by rank, without a threshold."""
        return self.point.startswith("rank ")


def points(results: Results) -> list[SearchPoint]:
    """Every operating point of the largest gallery, then of the others, in the results' order."""
    names = [m.at for m in results.measures if m.name in ("fpir", "fnir") and not m.across]
    there = [SearchPoint(*at.rsplit(", ", 1)) for at in dict.fromkeys(names)]
    order = list(reversed(list(dict.fromkeys(point.gallery for point in there))))
    return sorted(there, key=lambda point: order.index(point.gallery))


def by_group(results: Results, rate: str, at: str) -> list[Measure]:
    """One rate of each group at a point; [] where it was not counted."""
    attribute = results.protocol["attribute"]
    measures = [m for m in results.measures if m.name == rate and m.at == at and not m.across]
    return [m for m in measures if list(m.group) == [attribute]]


def everyone(results: Results, rate: str, at: str) -> Measure | None:
    """One rate over everyone at a point; None where it was not counted."""
    return results.find(rate, at=at)


def quantities(results: Results) -> list[Quantity]:
    """False alarms and misses at one threshold, and misses at a rank.

    Each is shown at a point where it differs between groups, if there is one; else at the first
    point of the largest gallery.
    """
    claims = {(claim.measure, claim.at): claim for claim in verdict(results).claims}
    there = points(results)
    at_threshold = [point for point in there if not point.is_rank]
    common = next(
        (p for p in at_threshold if any(_is_shown(claims, r, p.at) for r in ("fpir", "fnir"))),
        at_threshold[0] if at_threshold else None,
    )
    compared = []
    for rate in ("fpir", "fnir"):
        known = [p for p in at_threshold if by_group(results, rate, p.at)]
        first = [common] if common in known else known
        if (point := _chosen(claims, rate, [p for p in first if p], known)) is not None:
            compared.append(quantity(results, rate, point))
    ranks = [point for point in there if point.is_rank and by_group(results, "fnir", point.at)]
    if (point := _chosen(claims, "fnir", ranks, ranks)) is not None:
        compared.append(quantity(results, "fnir", point))
    return compared


def quantity(results: Results, rate: str, point: SearchPoint) -> Quantity:
    """One rate at one operating point, of every group."""
    at = point.at
    measures = by_group(results, rate, at)
    title, predicate = _FALSE_ALARMS if rate == "fpir" else _MISSES
    if point.is_rank:
        rank = point.point.removeprefix("rank ")
        title = f"Misses at rank {rank}"
        predicate = (
            _RANK.format(f"{rank} candidates")
            if rank != "1"
            else ("people who are enrolled are not the first candidate")
        )
    note = (
        f"{lower(describe(rate))}, {gallery_words(results, point.gallery)}, {whence(measures[0])}"
    )
    attribute = results.protocol["attribute"]
    claim = verdict(results).get(rate, at) or untested(rate, at, attribute, "")
    return Quantity(
        title, predicate, "searches", measures, everyone(results, rate, at), note, claim
    )


def gallery_words(results: Results, gallery: str) -> str:
    """A gallery in words: "gallery of 500 people"."""
    size = results.protocol["galleries"].get(gallery)
    if size is None:
        return gallery
    named = "" if gallery == f"N {size}" else f" ({gallery})"
    return f"gallery of {size:,} people{named}"


def whence(m: Measure) -> str:
    """The operating point of a rate in words, with its threshold and where that comes from."""
    point = m.at.rsplit(", ", 1)[-1]
    if m.threshold is None:
        return f"{point}, any score" if point.startswith("rank ") else f"{point}, every candidate"
    source = m.threshold_source
    from_where = source if point.startswith("threshold ") else f"{point}, from {source}"
    return f"threshold {m.threshold:.4g} ({from_where})"


def scope(results: Results) -> str:
    """How many searches of which galleries were counted."""
    there = points(results)
    if not there:
        return ""
    largest = there[0].gallery
    trials = {
        rate: max(
            (m.n for p in there if p.gallery == largest and (m := everyone(results, rate, p.at))),
            default=0,
        )
        for rate in ("fnir", "fpir")
    }
    galleries = list(dict.fromkeys(gallery_words(results, point.gallery) for point in there))
    others = f" Searched, too: {listed(galleries[1:])}." if galleries[1:] else ""
    attribute, groups = results.protocol["attribute"], results.protocol["groups"]
    return (
        f"{sum(trials.values()):,} searches in {len(groups)} groups ({attribute}), "
        f"{galleries[0]}: {trials['fnir']:,} of people who are enrolled (mated), "
        f"{trials['fpir']:,} of people who are not (non-mated).{others}"
    )


def tolerances(results: Results) -> list[str]:
    """Nothing: searches are held to no tolerance."""
    return []


def unresolved(results: Results) -> list[str]:
    """What the searches are too few to answer, one sentence each."""
    lines = []
    for point in points(results):
        for rate in ("fpir", "fnir"):
            groups = by_group(results, rate, point.at)
            lines += [f"{point.at}: {x}" for x in too_few(groups, rate, trial="search")]
    return lines


_Claims = dict[tuple[str, str], Claim]


def _is_shown(claims: _Claims, rate: str, at: str) -> bool:
    claim = claims.get((rate, at))
    return claim is not None and claim.answer == "shown"


def _chosen(
    claims: _Claims, rate: str, first: Sequence[SearchPoint], known: Sequence[SearchPoint]
) -> SearchPoint | None:
    """The first point at which a rate differs between groups, else the first one."""
    differing = [point for point in (*first[:1], *known) if _is_shown(claims, rate, point.at)]
    return next(iter([*differing, *first]), None)
