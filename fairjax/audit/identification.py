"""1:N identification by group: rates with intervals and tests, in numbers and in words."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fairjax.audit.compared import GroupedRate, measures_of, tests_of
from fairjax.audit.findings import Findings
from fairjax.audit.galleries import Galleries, Gallery
from fairjax.audit.tables import listed
from fairjax.core.errors import UsageError
from fairjax.core.results import FEW, Measure, Results, Table, finite_or_none
from fairjax.core.verdict import ALPHA, LARGEST_RATIO
from fairjax.metrics import bootstrap
from fairjax.metrics.clustered import ClusteredRate, clustered_rate
from fairjax.metrics.identification import ANY, Searches
from fairjax.metrics.verification import InsufficientDataError

FPIRS = (1e-1, 1e-2)
_RESAMPLES = 1000


def measure(
    loaded: Galleries, *, fpirs: Sequence[float], rank: int, level: float, seed: int
) -> Findings:
    """Identification rates by group, with intervals and tests.

    Args:
      loaded: The galleries.
      fpirs: Target false positive identification rates, fractions in (0, 1).
      rank: Candidates looked at besides the first, in searches without a threshold.
      level: Coverage of the intervals, a fraction.
      seed: Non-negative.

    Raises:
      InputError: If a target is no fraction, or there is no search to count.
    """
    for fpir in fpirs:
        if not 0 < fpir < 1:
            raise UsageError(f"--fpir {fpir:g} must be between 0 and 1, as 0.01.")
    rates: list[GroupedRate] = []
    measures: list[Measure] = []
    limits = list(loaded.notes)
    for gallery in loaded.galleries:
        gallery_rates, too_few = _of_gallery(gallery, loaded, fpirs, rank)
        rates += gallery_rates
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
        "rank": rank,
        "level": level,
        "seed": seed,
        "threshold_rule": "smallest score whose FPIR over all non-mated searches does not exceed "
        "the target",
    }
    results = Results("identification", protocol, measures, {}, limits, {})
    answer, sentences = _words(rates, results, loaded)
    tables = [*_tables(rates, results, loaded, level), *_besides_tables(measures, loaded)]
    return Findings(answer, sentences, tables, results)


def _of_gallery(
    gallery: Gallery, loaded: Galleries, fpirs: Sequence[float], rank: int
) -> tuple[list[GroupedRate], list[str]]:
    """All rates of one gallery, and what its searches are too few for."""
    searches, limits = gallery.searches, []
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
    if (~searches.mated).any():
        for fpir in fpirs:
            at = f"{gallery.name}, FPIR {fpir:g}"
            try:
                threshold = searches.threshold(fpir)
            except InsufficientDataError:
                need = math.ceil(1 / fpir)
                limits.append(
                    f"{at}: {int((~searches.mated).sum()):,} non-mated searches are too few; "
                    f"{need:,} are needed."
                )
                continue
            facts: dict[str, Any] = {
                "threshold": threshold,
                "threshold_source": "all non-mated searches of this gallery",
            }
            if threshold == ANY:
                facts = {"threshold_source": "none: with every candidate accepted it is below"}
                limits.append(
                    f"{at}: no non-mated search found anybody, so every candidate is accepted."
                )
            rates.append(
                grouped(
                    "fpir",
                    at,
                    partial(Searches.fpir, threshold=threshold),
                    rule="non-mated searches with a candidate at or above the threshold / "
                    "non-mated searches",
                    **facts,
                )
            )
            rates.append(
                grouped(
                    "fnir",
                    at,
                    partial(Searches.fnir, threshold=threshold),
                    rule="mated searches without the mate at or above the threshold / mated "
                    "searches",
                    **facts,
                )
            )
    else:
        limits.append(f"{gallery.name}: no non-mated search, so no FPIR and no open set.")
    return rates, limits


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


def _words(
    rates: Sequence[GroupedRate], results: Results, loaded: Galleries
) -> tuple[str, list[str]]:
    """The verdict and each rate in words."""
    shown, sentences = [], []
    for rate in rates:
        adjusted = results.find(f"{rate.name}_equality_p_value_holm", across=loaded.by, at=rate.at)
        ratio = results.find(f"{rate.name}_detectable_ratio", across=loaded.by, at=rate.at)
        known = {g: r for g, r in rate.groups.items() if r.trials}
        if not known:
            continue
        worst = max(known, key=lambda g: known[g].rate)
        best = min(known, key=lambda g: known[g].rate)
        errors = "false positives" if rate.name == "fpir" else "misses"
        if not rate.everyone.errors:
            sentences.append(f"{rate.at}: no {errors} in {rate.everyone.trials:,} searches.")
            continue
        sentence = (
            f"{rate.at}: {errors} {_percent(rate.everyone.rate)} % overall, from "
            f"{_percent(known[best].rate)} % ({best}) to {_percent(known[worst].rate)} % ({worst})."
        )
        if adjusted is None or adjusted.value is None:
            sentence += " Not tested: too few errors."
        elif adjusted.value <= ALPHA:
            shown.append(f"{errors} at {rate.at}")
            sentence += f" This is more than chance explains (p {adjusted.value:.2g})."
        elif ratio is None or ratio.value is None or ratio.value > LARGEST_RATIO:
            sentence += " Too few errors to tell whether this is chance."
        else:
            sentence += f" Such a gap could be chance; a ratio of {ratio.value:.2g} would be shown."
        sentences.append(sentence)
    if shown:
        return f"Shown to differ between groups: {listed(shown).replace(chr(39), '')}.", sentences
    return "No difference between groups is shown.", sentences


def _tables(
    rates: Sequence[GroupedRate], results: Results, loaded: Galleries, level: float
) -> list[Table]:
    rows = []
    for rate in rates:
        for group, estimate in [("everyone", rate.everyone), *rate.groups.items()]:
            ends = estimate.interval(level=level) if estimate.trials else None
            rows.append(
                [
                    rate.at,
                    rate.name.upper(),
                    group,
                    "–" if rate.threshold is None else f"{rate.threshold:.4f}",
                    _percent(estimate.rate) + ("*" if estimate.errors < FEW else ""),
                    "–" if ends is None else f"{100 * ends[0]:.3g} to {100 * ends[1]:.3g}",
                    f"{estimate.errors:,} of {estimate.trials:,}",
                    f"{estimate.people:,}",
                ]
            )
    tests = []
    for rate in rates:
        p, adjusted, ratio = (
            results.find(f"{rate.name}_{name}", across=loaded.by, at=rate.at)
            for name in ("equality_p_value", "equality_p_value_holm", "detectable_ratio")
        )
        tests.append(
            [
                rate.at,
                rate.name.upper(),
                *(
                    "–" if m is None or m.value is None else f"{m.value:.2g}"
                    for m in (p, adjusted, ratio)
                ),
            ]
        )
    note = (
        f"FNIR: mated searches that miss the mate. FPIR: non-mated searches with any candidate at "
        f"or above the threshold. {100 * level:g} % intervals for other people; people on a search "
        f"are those of the probe and of the candidate found. * = fewer than {FEW} errors."
    )
    return [
        Table(
            "Identification by group",
            ["at", "rate", loaded.by, "threshold", "%", "interval, %", "errors", "people"],
            rows,
            note,
        ),
        Table(
            "Are the groups alike?",
            ["at", "rate", "p", "p adjusted", "ratio that is shown"],
            tests,
            "p adjusted: for all of these tests (Holm). Ratio that is shown: the smallest "
            "ratio of one group's rate to the others' that these data show with 80 % power.",
        ),
    ]


def _besides_tables(measures: Sequence[Measure], loaded: Galleries) -> list[Table]:
    rows = [
        [
            m.at,
            {
                "fta": "failed searches, %",
                "seconds_median": "seconds, median",
                "seconds_p95": "seconds, 95 % of searches",
            }[m.name],
            m.group.get(loaded.by, "everyone"),
            "–" if m.value is None else f"{(100 if m.name == 'fta' else 1) * m.value:.3g}",
            "–"
            if m.interval is None
            else " to ".join(f"{(100 if m.name == 'fta' else 1) * end:.3g}" for end in m.interval),
            f"{m.n:,}",
        ]
        for m in measures
        if m.name in ("fta", "seconds_median", "seconds_p95")
    ]
    if not rows:
        return []
    columns = ["at", "of", loaded.by, "value", "interval", "searches"]
    return [Table("Failures and times", columns, rows)]


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.3g}"
