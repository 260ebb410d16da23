"""1:N identification by group: rates with intervals and tests, in numbers and in words."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fairjax.audit.compared import GroupedRate, measures_of, tests_of
from fairjax.audit.findings import Findings
from fairjax.audit.galleries import Galleries, Gallery
from fairjax.audit.kinds import check_threshold
from fairjax.audit.tables import InputError
from fairjax.core.errors import UsageError
from fairjax.core.results import FEW, Measure, Results, Table, finite_or_none
from fairjax.metrics import bootstrap
from fairjax.metrics.clustered import ClusteredRate, clustered_rate
from fairjax.metrics.identification import ANY, Searches
from fairjax.metrics.verification import InsufficientDataError
from fairjax.report.identification.quantities import EVERYONE, FOUND_HERE
from fairjax.report.summary import summarise
from fairjax.report.wording import group_name

FPIRS = (1e-1, 1e-2)
_RESAMPLES = 1000
_CURVE_POINTS = 200
_RULES = {
    False: "smallest score whose FPIR over all non-mated searches does not exceed the target",
    True: "largest distance whose FPIR over all non-mated searches does not exceed the target",
}
_BESIDES = {
    "fta": "failed searches, %",
    "seconds_median": "seconds, median",
    "seconds_p95": "seconds, 95 % of searches",
}


class _Point(NamedTuple):
    """An operating point of one gallery.

    Attributes:
      at: Name of the point: "N 500, FPIR 0.01".
      threshold: Threshold as scores are held: minus the distance for distances.
      source: Where the threshold comes from.
    """

    at: str
    threshold: float
    source: str


def measure(
    loaded: Galleries,
    *,
    fpirs: Sequence[float],
    rank: int,
    level: float,
    seed: int,
    thresholds: Sequence[float] = (),
) -> Findings:
    """Identification rates by group, with intervals and tests.

    Args:
      loaded: The galleries.
      fpirs: Target false positive identification rates, fractions in (0, 1).
      rank: Candidates looked at besides the first, in searches without a threshold.
      level: Coverage of the intervals, a fraction.
      seed: Non-negative.
      thresholds: Given thresholds, in the scores' own unit: distances for distances.

    Raises:
      InputError: If a target is no fraction, a threshold lies outside the scores, or there is no
        search to count.
    """
    for fpir in fpirs:
        if not 0 < fpir < 1:
            raise UsageError(f"--fpir {fpir:g} must be between 0 and 1, as 0.01.")
    _check_thresholds(loaded, thresholds)
    rates: list[GroupedRate] = []
    measures: list[Measure] = []
    limits = list(loaded.notes)
    for gallery in loaded.galleries:
        points, too_few = _points(gallery, fpirs, thresholds, distance=loaded.distance)
        rates += _of_gallery(gallery, loaded, points, rank)
        limits += too_few
        measures += _besides(gallery, loaded, level=level, seed=seed)
    for rate in rates:
        measures += measures_of(rate, loaded.by, level=level)
    measures += tests_of(rates, loaded.by, seed=seed)
    protocol = {
        "name": "identification",
        "attribute": loaded.by,
        "groups": list(loaded.groups),
        "galleries": {g.name: g.size for g in loaded.galleries},
        "fpirs": list(fpirs),
        "thresholds": list(thresholds),
        "rank": rank,
        "level": level,
        "seed": seed,
        "threshold_rule": _RULES[loaded.distance] if fpirs else "given",
    }
    if loaded.distance:
        protocol["distances"] = [""]
    arrays = {"trade_off": {g.name: _trade_off(g.searches, loaded) for g in loaded.galleries}}
    results = Results("identification", protocol, measures, arrays, limits, {})
    summary = summarise(results)
    return Findings(summary.headline, summary.sentences, tables(results), results)


def _check_thresholds(loaded: Galleries, thresholds: Sequence[float]) -> None:
    """Refuses a threshold outside the scores of some gallery.

    Raises:
      InputError: With the scores' range.
    """
    for gallery in loaded.galleries if thresholds else ():
        scores = np.concatenate([gallery.searches.top, gallery.searches.mate])
        scores = scores[np.isfinite(scores)]
        if not len(scores):
            raise InputError(f"{gallery.name}: no candidate has a score; leave out --threshold.")
        for threshold in thresholds:
            check_threshold(threshold, gallery.name, scores, distance=loaded.distance)


def _points(
    gallery: Gallery, fpirs: Sequence[float], thresholds: Sequence[float], *, distance: bool
) -> tuple[list[_Point], list[str]]:
    """The operating points of one gallery, and what its searches are too few for."""
    searches, points, limits = gallery.searches, [], []
    nonmated = int((~searches.mated).sum())
    if not nonmated:
        why = "FPIR" if thresholds and not fpirs else "FPIR and no open set"
        limits.append(f"{gallery.name}: no non-mated search, so no {why}.")
    for fpir in fpirs if nonmated else ():
        at = f"{gallery.name}, FPIR {fpir:g}"
        try:
            threshold = searches.threshold(fpir)
        except InsufficientDataError:
            need = math.ceil(1 / fpir)
            limits.append(
                f"{at}: {nonmated:,} non-mated searches are too few; {need:,} are needed."
            )
            continue
        source = FOUND_HERE
        if threshold == ANY:
            source = "none: with every candidate accepted it is below"
            limits.append(
                f"{at}: no non-mated search found anybody, so every candidate is accepted."
            )
        points.append(_Point(at, threshold, source))
    for threshold in thresholds:
        held = -threshold if distance else threshold
        points.append(_Point(f"{gallery.name}, threshold {threshold:g}", held, "given"))
    return points, limits


def _of_gallery(
    gallery: Gallery, loaded: Galleries, points: Sequence[_Point], rank: int
) -> list[GroupedRate]:
    """All rates of one gallery that have searches to count."""
    searches = gallery.searches
    own = [searches.take(searches.group == g) for g in range(len(loaded.groups))]

    def grouped(
        name: str, at: str, count: Callable[[Searches], ClusteredRate], **facts: Any
    ) -> GroupedRate:
        by_group = {
            group: count(members) for group, members in zip(loaded.groups, own, strict=True)
        }
        return GroupedRate(name, at, count(searches), by_group, **facts)

    rates = []
    if searches.mated.any():
        for r in sorted({1, rank}):
            rates.append(
                grouped(
                    "fnir",
                    f"{gallery.name}, rank {r}",
                    partial(Searches.fnir, threshold=-np.inf, rank=r),
                    rule=f"mated searches whose mate is not among the first {r} candidates / mated "
                    "searches",
                )
            )
    reached = "at or below the distance" if loaded.distance else "at or above the threshold"
    for point in points:
        facts: dict[str, Any] = {"threshold_source": point.source}
        if point.threshold != ANY:
            facts["threshold"] = 0.0 - point.threshold if loaded.distance else point.threshold
        if not searches.mated.all():
            rates.append(
                grouped(
                    "fpir",
                    point.at,
                    partial(Searches.fpir, threshold=point.threshold),
                    rule=f"non-mated searches with a candidate {reached} / non-mated searches",
                    **facts,
                )
            )
        if searches.mated.any():
            rates.append(
                grouped(
                    "fnir",
                    point.at,
                    partial(Searches.fnir, threshold=point.threshold),
                    rule=f"mated searches without the mate {reached} / mated searches",
                    **facts,
                )
            )
    return rates


def _trade_off(searches: Searches, loaded: Galleries) -> dict[str, Any]:
    """FPIR and FNIR of each group and of everyone over the threshold, for a plot.

    Returns:
      "threshold", at most `_CURVE_POINTS` in the scores' own unit from lenient to strict; and
      "groups", by name {"fpir", "fnir", "n_nonmated", "n_mated"}; a rate without searches is None.
    """
    scores = np.concatenate([searches.top[~searches.mated], searches.mate[searches.mated]])
    scores = np.unique(scores[np.isfinite(scores)])
    if len(scores) > _CURVE_POINTS:
        scores = scores[np.linspace(0, len(scores) - 1, _CURVE_POINTS).astype(int)]
    groups = {}
    for g, name in [*enumerate(loaded.groups), (None, EVERYONE)]:
        own = searches if g is None else searches.take(searches.group == g)
        top, mate = np.sort(own.top[~own.mated]), np.sort(own.mate[own.mated])
        taken = len(top) - np.searchsorted(top, scores, side="left")
        missed = np.searchsorted(mate, scores, side="left")
        groups[name] = {
            "fpir": (taken / len(top)).tolist() if len(top) else None,
            "fnir": (missed / len(mate)).tolist() if len(mate) else None,
            "n_nonmated": len(top),
            "n_mated": len(mate),
        }
    return {"threshold": (0.0 - scores if loaded.distance else scores).tolist(), "groups": groups}


def _besides(gallery: Gallery, loaded: Galleries, *, level: float, seed: int) -> list[Measure]:
    """Failures and times by group, where the table has them."""
    searches, measures = gallery.searches, []
    for g, name in [(None, ""), *enumerate(loaded.groups)]:
        rows = np.arange(len(searches)) if g is None else np.flatnonzero(searches.group == g)
        group = {loaded.by: name} if name else {}
        person = searches.person[rows]
        if gallery.failed is not None and len(rows):
            rate = clustered_rate(gallery.failed[rows], np.stack([person, person], axis=1))
            ends = rate.interval(level=level)
            measures.append(
                Measure(
                    "fta",
                    finite_or_none(rate.rate),
                    "fraction",
                    rate.trials,
                    group,
                    interval=ends,
                    level=level if ends else None,
                    n_clusters=rate.people,
                    n_errors=rate.errors,
                    at=gallery.name,
                    method="Wilson on effective trials" if ends else "",
                    rule="searches marked as failed / searches (failure to acquire)",
                )
            )
        if gallery.seconds is not None:
            known = rows[np.isfinite(gallery.seconds[rows])]
            if not len(known):
                continue
            seconds, owner = gallery.seconds[known], searches.person[known]
            draws = bootstrap.draw(owner, resamples=_RESAMPLES, seed=seed)
            order = np.argsort(seconds, kind="stable")
            weights = draws.weights[draws.position[order]].astype(np.float64)
            cumulated = np.cumsum(weights, axis=0)
            total = np.maximum(cumulated[-1], 1)
            for label, share in (("median", 0.5), ("p95", 0.95)):
                row = (cumulated < share * total).sum(axis=0)
                drawn = seconds[order][np.minimum(row, len(known) - 1)]
                ends = bootstrap.percentile_interval(drawn, level=level)
                value = float(np.quantile(seconds, share, method="inverted_cdf"))
                measures.append(
                    Measure(
                        f"seconds_{label}",
                        value,
                        "seconds",
                        len(known),
                        group,
                        interval=ends,
                        level=level,
                        n_clusters=len(np.unique(owner)),
                        at=gallery.name,
                        method=f"bootstrap of people, percentile, {_RESAMPLES} resamples",
                        rule=f"{share:.0%} of the searches take at most so long",
                    )
                )
    return measures


def tables(results: Results) -> list[Table]:
    """The rates, the tests, and what is known of failures and times, from the numbers alone."""
    by = results.protocol["attribute"]
    rates = [m for m in results.measures if m.name in ("fpir", "fnir") and not m.across]
    rows = [
        [
            m.at,
            m.name.upper(),
            group_name(m.group),
            "–" if m.threshold is None else f"{m.threshold:.4f}",
            _percent(m.value) + ("*" if (m.n_errors or 0) < FEW else ""),
            "–" if m.interval is None else " to ".join(_percent(end) for end in m.interval),
            f"{m.n_errors or 0:,} of {m.n:,}",
            f"{m.n_clusters or 0:,}",
        ]
        for m in rates
    ]
    tests = []
    for m in (m for m in rates if not m.group):
        known = (
            results.find(f"{m.name}_{name}", across=by, at=m.at)
            for name in ("equality_p_value", "equality_p_value_holm", "detectable_ratio")
        )
        words = ("–" if k is None or k.value is None else f"{k.value:.2g}" for k in known)
        tests.append([m.at, m.name.upper(), *words])
    reached = (
        "at or below the distance"
        if results.protocol.get("distances")
        else ("at or above the threshold")
    )
    note = (
        f"FNIR: mated searches that miss the mate. FPIR: non-mated searches with any candidate "
        f"{reached}. {100 * results.protocol['level']:g} % intervals for other people; people on a "
        f"search are those of the probe and of the candidate found. * = fewer than {FEW} errors."
    )
    shown = [
        Table(
            "Identification by group",
            ["at", "rate", by, "threshold", "%", "interval, %", "errors", "people"],
            rows,
            note,
            drawn=True,
        ),
        Table(
            "Are the groups alike?",
            ["at", "rate", "p", "p adjusted", "ratio that is shown"],
            tests,
            "p adjusted: for all of these tests (Holm). Ratio that is shown: the smallest "
            "ratio of one group's rate to the others' that these data show with 80 % power.",
            drawn=True,
        ),
        _besides_table(results.measures, by),
    ]
    return [table for table in shown if table.rows]


def _besides_table(measures: Sequence[Measure], by: str) -> Table:
    rows = [
        [
            m.at,
            _BESIDES[m.name],
            m.group.get(by, EVERYONE),
            "–" if m.value is None else f"{(100 if m.name == 'fta' else 1) * m.value:.3g}",
            "–"
            if m.interval is None
            else " to ".join(f"{(100 if m.name == 'fta' else 1) * end:.3g}" for end in m.interval),
            f"{m.n:,}",
        ]
        for m in measures
        if m.name in _BESIDES
    ]
    return Table("Failures and times", ["at", "of", by, "value", "interval", "searches"], rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g}"
