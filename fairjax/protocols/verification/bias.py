"""The bias degree of the CIFP line of papers, and rates over all pairs of a benchmark's images.

Published bias degrees (`fairjax.protocols.published.BIAS`) are not defined where they are
printed. The readings that fit them differ in where the threshold comes from and in whose false
match rates spread; each is a setting here, and every number says which it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fairjax.core.comparisons import Comparisons, Embeddings
from fairjax.core.results import FEW, Measure, finite_or_none
from fairjax.metrics import by_group
from fairjax.metrics.classification import divide
from fairjax.protocols.verification.all_pairs import AllPairs, count_all_pairs
from fairjax.protocols.verification.gaps import BiasDegree
from fairjax.protocols.verification.rates import at_fmr, operating_points
from fairjax.protocols.verification.scene import Point

ThresholdPool = Literal["all_pairs", "within_group", "protocol", "fixed"]
GroupPairs = Literal["protocol", "within_group_all"]


@dataclass(frozen=True)
class Bias:
    """How the bias degree is computed.

    Attributes:
      fmrs: Overall FMRs to take it at; () leaves it out.
      pool: Which non-mated pairs the thresholds come from: all pairs of the images, those within
        groups, or the benchmark's list; "fixed": from `threshold`, whatever `fmrs` says.
      pairs: Whose FMR spreads: that of the list's pairs, or of all pairs within a group.
      degree: What is made of the spread.
      threshold: A score, for pool "fixed".
    """

    fmrs: Sequence[float]
    pool: ThresholdPool
    pairs: GroupPairs
    degree: BiasDegree
    threshold: float = float("nan")

    def __post_init__(self) -> None:
        if self.pool == "fixed" and not np.isfinite(self.threshold):
            raise ValueError("bias_pool='fixed' needs bias_threshold, a score.")
        if self.pool == "fixed" and self.degree.denominator == "target":
            raise ValueError(
                "bias_pool='fixed' has no target FMR to divide by; set bias_denominator to "
                "'realised' or 'mean_group'."
            )

    @property
    def wanted(self) -> bool:
        """Whether there is anything to compute."""
        return self.pool == "fixed" or len(self.fmrs) > 0

    @property
    def pooled(self) -> bool:
        """Whether thresholds come from cosines of all pairs of images."""
        return self.pool in ("all_pairs", "within_group")


def bias_points(
    embeddings: Embeddings, comparisons: Comparisons, bias: Bias, person: np.ndarray | None
) -> tuple[list[Point], AllPairs | None]:
    """The operating points of the bias degree, and counts over all pairs where they are needed.

    Args:
      embeddings: Embeddings of the images.
      comparisons: The benchmark's scored pairs.
      bias: What to compute.
      person: Person of each image, as for `all_pairs.count_all_pairs`.
    """
    if not bias.pooled:
        points = operating_points(
            comparisons,
            fmrs=() if bias.pool == "fixed" else bias.fmrs,
            thresholds=(bias.threshold,) if bias.pool == "fixed" else (),
            rule="at_most",
            source="",
        )
        points = [replace(p, at=f"{p.at} (bias)", resampled=False) for p in points]
        if bias.pairs == "protocol":
            return points, None
        known = [np.nan if p.threshold is None else p.threshold for p in points]
        return points, count_all_pairs(embeddings, fmrs=(), thresholds=known, person=person)
    within = bias.pool == "within_group"
    counted = count_all_pairs(embeddings, fmrs=bias.fmrs, within_groups=within, person=person)
    return pooled_points(counted, bias), counted


def pooled_points(counted: AllPairs, bias: Bias) -> list[Point]:
    """The operating points at the thresholds of a pool of all pairs.

    Args:
      counted: Counts at the thresholds of `bias.fmrs`, in their order.
      bias: What is computed; its pool is `pooled`.
    """
    within = bias.pool == "within_group"
    pool = counted.within_groups if within else counted.pairs
    points = []
    for target, threshold in zip(bias.fmrs, counted.threshold, strict=True):
        point = Point(
            at=f"{at_fmr(target)} of all pairs" + (" within groups" if within else ""),
            threshold=finite_or_none(float(threshold)),
            source=f"all {pool:,} non-mated pairs of the images"
            + (" within groups" if within else ""),
            target=target,
        )
        if point.threshold is None:
            point = replace(point, note=f"insufficient data: less than one of {pool:,} pairs")
        points.append(point)
    return points


def all_pairs_measures(
    counted: AllPairs, points: Sequence[Point], degree: BiasDegree, *, attribute: str
) -> list[Measure]:
    """FMR, FNMR and TMR by group over all pairs, and how they spread over groups and people.

    Args:
      counted: From `count_all_pairs`, one threshold a point.
      points: The operating points.
      degree: What "bias degree" means.
      attribute: What the groups are of.

    Source: the spread over people is that of the evaluation code of CIFP's successor, which prints
      a hundred times `tmr_person_std`.
    """
    measures: list[Measure] = []
    for p, point in enumerate(points):
        measures += _rates(counted, p, point, attribute)
        if point.threshold is not None:
            measures += _spreads(counted, p, point, degree, attribute)
    return measures


def _rates(counted: AllPairs, p: int, point: Point, attribute: str) -> Iterator[Measure]:
    """Of everyone and each group at the p-th threshold."""
    size = len(counted.groups)
    own = np.diag(counted.nonmated)[:size], np.diag(counted.false_matches[p])[:size]
    groups = [{}, *({attribute: name} for name in counted.groups)]
    pairs = [counted.pairs, *own[0]]
    accepted = [np.triu(counted.false_matches[p]).sum(), *own[1]]
    mated = [counted.mated.sum(), *counted.mated[:size]]
    rejected = [counted.false_nonmatches[p].sum(), *counted.false_nonmatches[p, :size]]
    for g, group in enumerate(groups):
        fmr = _rate("fmr", int(accepted[g]), int(pairs[g]), group, point)
        fnmr = _rate("fnmr", int(rejected[g]), int(mated[g]), group, point)
        tmr = None if fnmr.value is None else 1 - fnmr.value
        yield from (fmr, fnmr, replace(fnmr, name="tmr", value=tmr))


def _rate(name: str, errors: int, n: int, group: dict[str, str], point: Point) -> Measure:
    blank = Measure(
        name,
        None,
        "fraction",
        n,
        group,
        at=point.at,
        threshold=point.threshold,
        threshold_source=point.source,
    )
    if point.threshold is None or not n:
        return replace(blank, note=point.note or "no pairs")
    few = f"fewer than {FEW} errors ({errors}); " if errors < FEW else ""
    note = f"{few}no interval: counted over all pairs"
    return replace(blank, value=errors / n, n_errors=errors, note=note)


def _spreads(
    counted: AllPairs, p: int, point: Point, degree: BiasDegree, attribute: str
) -> Iterator[Measure]:
    """Over groups and over people at the p-th threshold."""
    mated, nonmated = int(counted.mated.sum()), counted.pairs
    target = np.nan if point.target is None else point.target
    realised = float(divide(np.triu(counted.false_matches[p]).sum(), np.int64(nonmated)))
    for across, everyone, fmrs, tmrs in (
        (attribute, "groups", counted.group_fmr()[p], 1 - counted.group_fnmr()[p]),
        ("person", "people", counted.person_fmr()[p], 1 - counted.person_fnmr()[p]),
    ):
        bias = degree.value(fmrs, target=target, realised=realised)
        for name, value, n, unit, ddof, rule in (
            ("tmr_mean", by_group.group_mean(tmrs), mated, "fraction", None, "unweighted mean"),
            ("tmr_std", by_group.std(tmrs, ddof=1), mated, "fraction", 1, "ddof 1"),
            (
                "fmr_bias_degree",
                bias,
                nonmated,
                "ratio",
                degree.ddof,
                degree.rule.replace(" across groups", ""),
            ),
        ):
            known = finite_or_none(float(value))
            yield Measure(
                name,
                known,
                unit,
                n,
                across=across,
                ddof=ddof,
                rule=f"{rule}, across {everyone}",
                n_clusters=len(counted.person),
                at=point.at,
                threshold=point.threshold,
                threshold_source=point.source,
                note="undefined: fewer than two rates" if known is None else "",
            )
