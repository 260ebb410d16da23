"""Failures to acquire and to enrol: images without a score, by group, and error rates with them.

A pair fails where a system gives it no score, for no face was found or no template made of one of
its images. An image is taken to have failed where none of its pairs has a score; where both images
of a failed pair have failed, the one with more such pairs explains it. False rejection and false
acceptance count every transaction that was tried, those that failed as rejected.

Whether groups fail alike is a primary test beside those of the error rates (`core.verdict`), so all
of them are adjusted for each other. False rejection and acceptance follow from rates that are
tested, and are not tested again.

Source: ISO/IEC 19795-1:2021, failure-to-enrol, failure-to-acquire, false reject and false accept
rates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fairjax.audit.loaded import Failures, Loaded
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.results import FEW, Measure, Results, Table, finite_or_none
from fairjax.core.verdict import ALPHA, holm, is_primary
from fairjax.metrics import bootstrap
from fairjax.metrics.clustered import clustered_rate, dyads, likeliest_design_effect
from fairjax.protocols import gaps
from fairjax.protocols.gaps import GroupRates, Setting
from fairjax.protocols.verification.gaps import OF_ONE_RATE, drawn_null, known_of

NAMES = {
    "fta": "failure-to-acquire rate: images (probes, where sides are told apart) without a score",
    "fte": "failure-to-enrol rate: reference images without a score",
    "pair_failure": "pairs without a score",
    "frr": "false reject rate: mated pairs that are rejected or fail",
    "far": "false accept rate: non-mated pairs that are accepted, of all that were tried",
}
_GAPS = ("difference", "max_over_min")
_DRAWS = 2000  # of failures that equal groups would show, where the results name no number
_HOLM = "_holm"


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
    units = _units(failures)
    a_system = Counter(m.system for m in measures if is_primary(m.name))
    tests = len(units) + max(a_system.values(), default=0)
    for name, wrong, subject, group in units:
        blank = Measure(name, None, "fraction", 0)
        rates = _by_group(blank, wrong, subject, group, loaded, level)
        measures += rates
        measures += _tests(rates, wrong, subject, group, loaded, results.protocol, tests)
    alone = len(loaded.scores) == 1
    for system, score in loaded.scores.items():
        label = "" if alone else system
        points = {
            m.at: m
            for m in results.measures
            if m.name == "fnmr" and m.system == label and not m.group and m.threshold is not None
        }
        for m in points.values():
            whole = np.full(len(failures.failed), -np.inf)  # a failure is rejected
            whole[~failures.failed] = score
            accepted = whole >= m.threshold
            for name, wrong, rows in (
                ("frr", ~accepted, failures.mated),
                ("far", accepted, ~failures.mated),
            ):
                own = failures.group[:, 0] == failures.group[:, 1]
                group = np.where(own, failures.group[:, 0], UNKNOWN)
                blank = replace(m, name=name, value=None, n=0, interval=None, note="", rule="")
                measures += _by_group(
                    blank,
                    wrong[rows],
                    failures.subject[rows],
                    group[rows],
                    loaded,
                    level,
                    score=whole[rows],
                )
    return replace(results, measures=_adjusted(measures))


def failure_tests(loaded: Loaded) -> int:
    """Number of primary tests that `with_failures` adds."""
    return 0 if loaded.failures is None else len(_units(loaded.failures))


def _tests(
    rates: Sequence[Measure],
    wrong: np.ndarray,
    subject: np.ndarray,
    group: np.ndarray,
    loaded: Loaded,
    protocol: Mapping[str, Any],
    tests: int,
) -> list[Measure]:
    """The primary test that groups fail alike, and what it would find.

    Images are tested by permuting the groups of whole people. A pair shows two people, who cannot
    exchange their groups, so the null of pairs is drawn at the pooled rate.

    Args:
      rates: Rates by group.
      wrong: Whether each unit failed.
      subject: The two people of each unit.
      group: The group of each unit, or UNKNOWN.
      loaded: The pairs.
      protocol: Settings of the results: level, seed and resamples.
      tests: Number of primary tests of a system in the report.
    """
    by_group = [m for m in rates if m.group and not m.across]
    counted = [clustered_rate(wrong[group == g], subject[group == g]) for g in range(len(by_group))]
    seed, draws = protocol.get("seed", 0), protocol.get("resamples") or _DRAWS
    group_rates = GroupRates(
        name=rates[0].name,
        unit="fraction",
        lower_is_better=True,
        names=loaded.groups,
        measures=by_group,
        rates=np.array([np.nan if m.value is None else m.value for m in by_group]),
        resampled=np.empty((0, len(by_group))),
        known=known_of(counted),
    )
    if group_rates.known is None:
        return []
    if group_rates.name == "pair_failure":
        group_rates = drawn_null(group_rates, draws=draws, seed=seed)
    else:
        rows = group != UNKNOWN
        null = bootstrap.permuted_means(
            wrong[rows],
            group[rows],
            subject[rows, 0],
            groups=len(by_group),
            permutations=draws,
            seed=seed,
        )
        people = np.array([rate.people for rate in counted], np.float64)
        method = f"{draws} permutations of the {loaded.by} of whole people"
        group_rates = replace(
            group_rates, null=null, null_method=method, weights=people[group_rates.has_rate]
        )
    blank = Measure("", None, "fraction", sum(m.n for m in by_group), across=loaded.by)
    setting = Setting(protocol["level"], seed, "subject", ALPHA / tests)
    return [number.measure for number in gaps.equality_test(blank, group_rates, setting)]


def _adjusted(measures: Sequence[Measure]) -> list[Measure]:
    """The measures, the primary tests of failures and of error rates adjusted for each other.

    Failures are the same for all systems: of their adjusted p-values, one a system, the largest
    counts.
    """
    tests = [m for m in measures if is_primary(m.name)]
    common = [m for m in tests if m.name.partition("_equality")[0] in NAMES]
    if not common:
        return list(measures)
    own = [m for m in tests if m not in common]
    twins: dict[tuple[str, str, str], Measure] = {}
    for system in dict.fromkeys(m.system for m in own) or [""]:
        family = [*common, *(m for m in own if m.system == system)]
        raw = np.array([np.nan if m.value is None else m.value for m in family], np.float64)
        rule = f"adjusted for {int(np.sum(~np.isnan(raw)))} primary tests (Holm, any false claim)"
        for m, p in zip(family, holm(raw).tolist(), strict=True):
            name = (f"{m.name}{_HOLM}", m.system, m.at)
            before = twins.get(name)
            value = max(p, before.value) if before and before.value is not None else p
            twins[name] = replace(m, name=name[0], value=finite_or_none(value), rule=rule)
    adjusted = []
    for m in measures:
        if (m.name, m.system, m.at) not in twins:
            adjusted.append(m)
        if (name := (f"{m.name}{_HOLM}", m.system, m.at)) in twins:
            adjusted.append(twins[name])
    return adjusted


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
    units = []
    for name, side in names:
        images, first = np.unique(failures.image[:, side], return_index=True)
        people = failures.subject[:, side].ravel()[first]
        groups = failures.group[:, side].ravel()[first]
        units.append((name, broken[images], np.stack([people, people], axis=1), groups))
    return units


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
    *,
    score: np.ndarray | None = None,
) -> list[Measure]:
    """A rate of everyone and of each group, and how far groups lie apart.

    Args:
      blank: A measure without its value; its name says what is wrong.
      wrong: Whether each unit failed, or each pair is an error.
      subject: The two people of each unit.
      group: The group of each unit, or UNKNOWN.
      loaded: The pairs.
      level: Coverage of intervals, a fraction in (0, 1).
      score: The score of each pair, -inf where it failed: few errors then cluster as the likeliest
        do, as those of FMR and FNMR. None for units without a score.
    """
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
        if score is not None and rate.is_thin:
            couples = dyads(subject[rows])
            effect = likeliest_design_effect(score[rows], couples, mated=blank.name == "frr")
            rate = replace(rate, likeliest_effect=effect)
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
    for m in results.measures:
        rate = m.name.removesuffix("_equality_p_value_holm")
        if rate in NAMES and m.name != rate and m.value is not None:
            named = [rate.upper().replace("_", " "), m.at or "any", "all groups alike"]
            rows.append([*named, f"p {m.value:.2g}, adjusted", ""])
    note = "FTA: failure to acquire; FTE: failure to enrol; FRR and FAR count every pair tried "
    note += "(ISO/IEC 19795-1). * = few errors."
    return Table("Failures, and error rates with them", _COLUMNS, rows, note)


_COLUMNS: Sequence[str] = ("rate", "at", "of", "%", "n")


def _percent(value: float) -> str:
    return f"{100 * value:.3g}"
