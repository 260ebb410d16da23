"""Failures to acquire and to enrol: images without a score, by group, and error rates with them.

A pair fails where a system gives it no score, for no face was found or no template made of one of
its images. An image is taken to have failed where none of its pairs has a score; where both images
of a failed pair have failed, the one with more such pairs explains it. False rejection and false
acceptance count every transaction that was tried, those that failed as rejected.

Source: ISO/IEC 19795-1:2021, failure-to-enrol, failure-to-acquire, false reject and false accept
rates.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from fairjax.audit.loaded import Failures, Loaded
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.results import FEW, Measure, Results, Table, finite_or_none
from fairjax.metrics.clustered import clustered_rate
from fairjax.protocols.verification.gaps import OF_ONE_RATE

NAMES = {
    "fta": "failure-to-acquire rate: images (probes, where sides are told apart) without a score",
    "fte": "failure-to-enrol rate: reference images without a score",
    "pair_failure": "pairs without a score",
    "frr": "false reject rate: mated pairs that are rejected or fail",
    "far": "false accept rate: non-mated pairs that are accepted, of all that were tried",
}
_GAPS = ("difference", "max_over_min")


def with_failures(results: Results, loaded: Loaded) -> Results:
    """Adds FTA, FTE and, at every threshold, FRR and FAR, by group and for everyone.

    Args:
      results: Measured on the pairs that have a score.
      loaded: The pairs, with their failures.
    """
    failures = loaded.failures
    if failures is None:
        return results
    level = results.protocol["level"]
    measures = list(results.measures)
    for name, wrong, subject, group in _units(failures):
        measures += _by_group(
            Measure(name, None, "fraction", 0), wrong, subject, group, loaded, level
        )
    alone = len(loaded.scores) == 1
    for system, score in loaded.scores.items():
        label = "" if alone else system
        points = {
            m.at: m
            for m in results.measures
            if m.name == "fnmr" and m.system == label and not m.group and m.threshold is not None
        }
        for m in points.values():
            accepted = np.zeros(len(failures.failed), bool)
            accepted[~failures.failed] = score >= m.threshold
            for name, wrong, rows in (
                ("frr", ~accepted, failures.mated),
                ("far", accepted, ~failures.mated),
            ):
                own = failures.group[:, 0] == failures.group[:, 1]
                group = np.where(own, failures.group[:, 0], UNKNOWN)
                blank = replace(m, name=name, value=None, n=0, interval=None, note="", rule="")
                measures += _by_group(
                    blank, wrong[rows], failures.subject[rows], group[rows], loaded, level
                )
    return replace(results, measures=measures)


def _units(
    failures: Failures,
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """What can fail: the rate's name, and failed, people [n, 2] and group of each unit."""
    own = failures.group[:, 0] == failures.group[:, 1]
    group = np.where(own, failures.group[:, 0], UNKNOWN)
    if failures.image is None:
        return [("pair_failure", failures.failed, failures.subject, group)]
    broken = failed_images(failures.image, failures.failed)
    names = [("fta", slice(0, 2))]
    if failures.sides[0] != failures.sides[1]:
        names = [("fta", slice(0, 1)), ("fte", slice(1, 2))]
    found = []
    for name, side in names:
        images, first = np.unique(failures.image[:, side], return_index=True)
        people = failures.subject[:, side].ravel()[first]
        groups = failures.group[:, side].ravel()[first]
        found.append((name, broken[images], np.stack([people, people], axis=1), groups))
    return found


def failed_images(
    image: Int[np.ndarray, "pairs 2"], failed: Bool[np.ndarray, " pairs"]
) -> Bool[np.ndarray, " images"]:
    """Which images explain the pairs that failed.

    Args:
      image: Numbers of the two images of each pair, from 0.
      failed: Whether the pair has no score.

    Returns:
      For each number of an image whether none of its pairs has a score and it explains one that
      no image before it explains; images with more failed pairs come first.
    """
    size = int(image.max(initial=-1)) + 1
    scored = np.zeros(size, bool)
    scored[image[~failed].ravel()] = True
    rows = image[failed]
    count = np.bincount(rows.ravel(), minlength=size)
    of: dict[int, list[int]] = {}
    for row, couple in enumerate(rows.tolist()):
        for number in couple:
            of.setdefault(number, []).append(row)
    explained = np.zeros(len(rows), bool)
    broken = np.zeros(size, bool)
    for number in np.lexsort([np.arange(size), -count]).tolist():
        mine = of.get(number, [])
        if mine and not scored[number] and not explained[mine].all():
            broken[number] = True
            explained[mine] = True
    return broken


def _by_group(
    blank: Measure,
    wrong: np.ndarray,
    subject: np.ndarray,
    group: np.ndarray,
    loaded: Loaded,
    level: float,
) -> list[Measure]:
    """A rate of everyone and of each group, and how far groups lie apart."""
    measures, rates, counts = [], [], []
    blank = replace(blank, rule=NAMES[blank.name], level=None, method="", n_errors=None)
    for index in [None, *range(len(loaded.groups))]:
        rows = np.ones(len(wrong), bool) if index is None else group == index
        name = {} if index is None else {loaded.by: loaded.groups[index]}
        rate = clustered_rate(wrong[rows], subject[rows])
        if not rate.trials:
            measures.append(replace(blank, group=name, note="nothing was tried"))
            rates.append(np.nan)
            counts.append(0)
            continue
        interval = rate.interval(level=level)
        measures.append(
            replace(
                blank,
                group=name,
                value=rate.rate,
                n=rate.trials,
                n_clusters=rate.people if loaded.has_subjects else None,
                n_errors=rate.errors,
                interval=interval,
                level=level if interval else None,
                method="Wilson on effective trials, clustered by people" if interval else "",
                note=f"fewer than {FEW} failures ({rate.errors})" if rate.errors < FEW else "",
            )
        )
        rates.append(rate.rate)
        counts.append(rate.trials)
    own = np.array(rates[1:])
    for gap in _GAPS:
        summary = OF_ONE_RATE[gap]
        value = finite_or_none(float(summary.value(own))) if not np.isnan(own).any() else None
        if gap == "max_over_min" and not own.all():
            value = None
        measures.append(
            replace(
                blank,
                name=f"{blank.name}_{gap}",
                value=value,
                unit=summary.unit,
                n=sum(counts[1:]),
                across=loaded.by,
                rule=summary.rule,
                n_clusters=None,
                note="" if value is not None else "undefined: a group without failures or trials",
            )
        )
    return measures


def table(results: Results) -> Table:
    """The rates by group; empty where no failures were counted."""
    rows = []
    wanted = ("fta", "fte", "pair_failure", "frr", "far")
    for m in results.measures:
        if m.name in wanted and m.value is not None:
            ends = f" [{_percent(m.interval[0])}, {_percent(m.interval[1])}]" if m.interval else ""
            few = "*" if m.is_thin else ""
            rows.append(
                [
                    m.name.upper().replace("_", " "),
                    m.at or "any",
                    ", ".join(m.group.values()) or "everyone",
                    f"{_percent(m.value)}{few}{ends}",
                    f"{m.n_errors:,} of {m.n:,}",
                ]
            )
    note = "FTA: failure to acquire; FTE: failure to enrol; FRR and FAR count every pair tried "
    note += "(ISO/IEC 19795-1). * = few errors."
    return Table("Failures, and error rates with them", _COLUMNS, rows, note)


_COLUMNS: Sequence[str] = ("rate", "at", "of", "%", "n")


def _percent(value: float) -> str:
    return f"{100 * value:.3g}"
