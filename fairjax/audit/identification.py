"""1:N identification by group, from embeddings or from candidate lists."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit.compared import GroupedRate, measures_of, tests_of
from fairjax.audit.embeddings import load_images
from fairjax.audit.findings import Findings
from fairjax.audit.grouping import known_groups, numbered, ordered_groups
from fairjax.audit.layout import Asked, People, known_as
from fairjax.audit.tables import InputError, column_names, listed, read_batches
from fairjax.core.errors import UsageError
from fairjax.core.names import counted
from fairjax.core.results import FEW, Measure, Results, Table, finite_or_none
from fairjax.core.verdict import ALPHA, LARGEST_RATIO
from fairjax.metrics import bootstrap
from fairjax.metrics.clustered import ClusteredRate, clustered_rate
from fairjax.metrics.identification import NOWHERE, Searches, search
from fairjax.metrics.verification import InsufficientDataError

FPIRS = (1e-1, 1e-2)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Gallery:
    """Searches of one gallery, and what else is known of them.

    Attributes:
      name: Name of the gallery: "N 500".
      size: Enrolled people; None where nobody says.
      searches: The searches.
      failed: Whether each search failed (no face found, no answer); None where nobody says.
      seconds: How long each search took; None where nobody says.
    """

    name: str
    size: int | None
    searches: Searches
    failed: np.ndarray | None = None
    seconds: np.ndarray | None = None


@dataclass(frozen=True)
class Loaded:
    """All galleries of one system, and the groups.

    Attributes:
      by: The attribute.
      groups: Names of its groups.
      galleries: The galleries, the smallest first.
      notes: Sentences for the reader.
    """

    by: str
    groups: tuple[str, ...]
    galleries: Sequence[Gallery]
    notes: tuple[str, ...] = ()


def from_embeddings(
    path: Path,
    by: str,
    *,
    people: People | None,
    sizes: Sequence[int],
    unenrolled: float,
    seed: int,
) -> Loaded:
    """Enrols one image a person, searches with all others, and leaves some people unenrolled.

    Args:
      path: Embeddings with names, people and groups of the images.
      by: Attribute whose groups are compared.
      people: A table of images or people, where the file does not say; None for none.
      sizes: Gallery sizes; () takes all that can be enrolled, and a tenth of them.
      unenrolled: Share of each group's people who are not enrolled, a fraction in (0, 1).
      seed: Non-negative.

    Raises:
      InputError: If people or groups are unknown, or a gallery is larger than can be enrolled.
    """
    if not 0 < unenrolled < 1:
        raise UsageError(f"--unenrolled {unenrolled:g} must be between 0 and 1, as 0.3.")
    images = load_images(path)
    known = people or images.people
    if known is None:
        raise InputError(f"{path} says nothing of people and groups; give --groups TABLE.")
    ids = list(images.ids)
    who = known.subject or (images.people.subject if images.people else {})
    if not who or not ids:
        raise InputError(f"{path} does not say who is on its images; add 'subject' and 'id'.")
    names = [who.get(image, "") for image in ids]
    if lost := names.count(""):
        raise InputError(f"{path}: {lost:,} images have no person in {known.source}.")
    column = known_as(by, known.groups)
    if column not in known.groups:
        raise InputError(f"{known.source} has no {by!r}; it has {listed(list(known.groups))}.")
    keys = ids if known.key == "image" else names
    labels = [known.groups[column].get(key, "") for key in keys]
    groups, group = _groups(labels, by, str(path))
    subjects, person = np.unique(names, return_inverse=True)
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(ids))
    _, first = np.unique(person[order], return_index=True)
    template = order[first]  # a random image of each person
    home = np.full(len(subjects), -1)
    home[person] = group
    out = np.zeros(len(subjects), bool)
    for g in range(-1, len(groups)):
        members = rng.permutation(np.flatnonzero(home == g))
        out[members[: round(unenrolled * len(members))]] = True
    enrolled = _mixed(np.flatnonzero(~out), home, rng)
    wanted = sorted({*sizes}) or sorted({max(len(enrolled) // 10, 2), len(enrolled)})
    if wanted[-1] > len(enrolled):
        raise InputError(
            f"--gallery {wanted[-1]}: {len(enrolled):,} people can be enrolled, of "
            f"{len(subjects):,} with {unenrolled:.0%} left out for non-mated searches."
        )
    probes = np.setdiff1d(np.arange(len(ids)), template[enrolled])
    searches_by_size = search(
        images.embedding[probes],
        images.embedding[template[enrolled]],
        person=person[probes],
        group=group[probes],
        enrolled=enrolled,
        sizes=wanted,
    )
    galleries = [
        Gallery(f"N {size}", size, searches)
        for size, searches in zip(wanted, searches_by_size, strict=True)
    ]
    note = (
        f"One image of each of {len(enrolled):,} people is enrolled; {int(out.sum()):,} people are "
        "left out, and all their images are non-mated searches (seed "
        f"{seed}). Smaller galleries are parts of the largest."
    )
    return Loaded(by, tuple(groups), galleries, (note,))


def from_candidates(
    path: Path,
    by: str,
    *,
    columns: Mapping[str, str],
    gallery: Path | None,
) -> Loaded:
    """Reads candidate lists: one row a candidate, or one without a candidate for a search.

    Args:
      path: A table with the columns probe, probe_subject, candidate_subject, score, the group of
        the probe's person, and perhaps enrolled, gallery, seconds and failed.
      by: Column of the probe's group.
      columns: Names of columns that are called otherwise, by the names above.
      gallery: A table with the people enrolled, whose first column names them (and perhaps the
        gallery in a column "gallery"); None where the column enrolled says so.

    Raises:
      InputError: If a column is missing, or searches contradict themselves.
    """
    have = column_names(path)
    names = {
        key: columns.get(key) or key
        for key in (
            "probe",
            "probe_subject",
            "candidate_subject",
            "score",
            "enrolled",
            "gallery",
            "seconds",
            "failed",
        )
    }
    wanted = ("probe", "probe_subject", "candidate_subject", "score")
    for key in wanted:
        if names[key] not in have:
            raise InputError(
                f"{path} has no column {names[key]!r} (it has {listed(have)}); candidate lists "
                f"need {', '.join(wanted)}. Name it with --column {key}=NAME."
            )
    if by not in have:
        raise InputError(f"{path} has no column {by!r} of the probes' groups; name it with --by.")
    there = {key: name for key, name in names.items() if name in have}
    numbers = [there[key] for key in ("score", "seconds") if key in there]
    text = [name for name in (*there.values(), by) if name not in numbers]
    parts: dict[str, list[Any]] = {name: [] for name in (*text, *numbers)}
    for batch in read_batches(path, text=text, numbers=numbers, blanks=True):
        for name in parts:
            parts[name] += np.asarray(batch.columns[name]).tolist()
    table = {
        key: np.array(parts[name], float if name in numbers else object)
        for key, name in there.items()
    }
    rows = len(table["probe"])
    if rows == 0:
        raise InputError(f"{path} has no rows.")
    groups, group = _groups([str(x) for x in parts[by]], by, str(path))
    gallery_of = np.array([""] * rows, object) if "gallery" not in table else table["gallery"]
    enrolled_in = _enrolled(gallery, str(path)) if gallery else {}
    if not gallery and "enrolled" not in table:
        raise InputError(
            f"{path} does not say whether a probe's person is enrolled; add a column 'enrolled' of "
            "1 and 0, or give the enrolled people with --gallery-table."
        )
    galleries = []
    for name in sorted(set(gallery_of.tolist())):
        chosen = np.flatnonzero(gallery_of == name)
        part = {key: column[chosen] for key, column in table.items()}
        members = enrolled_in.get(name, enrolled_in.get("", set())) if gallery else None
        galleries.append(_searches(part, group[chosen], members, name, str(path)))
    galleries.sort(key=lambda g: (g.size or 0, g.name))
    return Loaded(by, tuple(groups), galleries, ())


def measure(
    loaded: Loaded, *, fpirs: Sequence[float], rank: int, level: float, seed: int
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


def _groups(labels: Sequence[str], by: str, where: str) -> tuple[list[str], np.ndarray]:
    asked = Asked(by=(by,), unknown_groups=True)
    known = known_groups(list(labels), asked)
    groups = ordered_groups(known, asked, f"{where} ({by})")
    if len(groups) < 2:
        raise InputError(f"{where}: by {by} there is {listed(groups)}; two groups are needed.")
    return groups, numbered(known, groups).astype(np.int64)


def _mixed(people: np.ndarray, home: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """People in an order in which every beginning has the groups in equal parts."""
    key = np.zeros(len(people))
    for g in np.unique(home[people]):
        own = np.flatnonzero(home[people] == g)
        key[rng.permutation(own)] = (np.arange(len(own)) + rng.random()) / len(own)
    return people[np.argsort(key, kind="stable")]


def _enrolled(path: Path, where: str) -> dict[str, set[str]]:
    """The people enrolled in each gallery; "" where there is one."""
    names = column_names(path)
    text = [names[0], *(["gallery"] if "gallery" in names[1:] else [])]
    people_by_gallery: dict[str, set[str]] = {}
    for batch in read_batches(path, text=text, numbers=()):
        people = batch.columns[text[0]].to_pylist()
        which = batch.columns["gallery"].to_pylist() if len(text) > 1 else [""] * len(people)
        for person, gallery in zip(people, which, strict=True):
            people_by_gallery.setdefault(gallery, set()).add(person)
    return people_by_gallery


def _searches(
    table: Mapping[str, np.ndarray],
    group: np.ndarray,
    members: set[str] | None,
    name: str,
    where: str,
) -> Gallery:
    """The searches of one gallery from the rows of its candidates."""
    probes, first, probe = np.unique(
        table["probe"].astype(str), return_index=True, return_inverse=True
    )
    everybody = {
        p: k
        for k, p in enumerate(
            sorted({*table["probe_subject"].tolist(), *table["candidate_subject"].tolist()} - {""})
        )
    }
    own = np.array([everybody.get(p, -1) for p in table["probe_subject"].tolist()])
    other = np.array([everybody.get(p, -1) for p in table["candidate_subject"].tolist()])
    if (own < 0).any():
        raise InputError(
            f"{where}, data row {int(np.argmax(own < 0)) + 1}: probe_subject is empty."
        )
    if (apart := own != own[first][probe]).any():
        raise InputError(
            f"{where}: the probe {str(probes[probe[np.argmax(apart)]])!r} shows two people."
        )
    score = np.where(np.isnan(table["score"]) | (other < 0), -np.inf, table["score"])
    count = len(probes)
    top = np.full(count, -np.inf)
    np.maximum.at(top, probe, score)
    order = np.lexsort((np.arange(len(score)), score))
    nearest = np.full(count, -1)
    nearest[probe[order]] = other[order]  # the last one written has the highest score
    nearest[np.isneginf(top)] = -1
    mate = np.full(count, -np.inf)
    is_mate = other == own
    np.maximum.at(mate, probe[is_mate], score[is_mate])
    ahead = ~is_mate & (score >= mate[probe])
    rank = np.bincount(probe[ahead], minlength=count) + 1
    listed_mate = np.bincount(probe[is_mate & np.isfinite(score)], minlength=count) > 0
    rank = np.where(listed_mate, rank, NOWHERE)
    if members is not None:
        mated = np.array([p in members for p in table["probe_subject"][first].tolist()])
        size: int | None = len(members)
    else:
        mated = np.array([_flag(word, "enrolled", where) for word in table["enrolled"][first]])
        size = None
    if (wrong := listed_mate & ~mated).any():
        raise InputError(
            f"{where}: the probe {str(probes[np.argmax(wrong)])!r} has its own person among the "
            "candidates, who is said not to be enrolled "
            f"({counted(int(wrong.sum()), 'such probe')})."
        )
    failed = None
    if "failed" in table:
        failed = np.array([_flag(word, "failed", where) for word in table["failed"][first]])
    seconds = table["seconds"][first] if "seconds" in table else None
    searches = Searches(
        own[first], group[first], mated, top, nearest, np.where(listed_mate, mate, -np.inf), rank
    )
    label = name or ("candidate lists" if size is None else f"N {size}")
    return Gallery(label, size, searches, failed, seconds)


def _flag(word: str, column: str, where: str) -> bool:
    truth = {
        "1": True,
        "true": True,
        "yes": True,
        "1.0": True,
        "0": False,
        "false": False,
        "no": False,
        "0.0": False,
        "": False,
    }
    if str(word).lower() not in truth:
        raise InputError(f"{where}: {column} is {word!r}; expected 1 or 0.")
    return truth[str(word).lower()]


def _of_gallery(
    gallery: Gallery, loaded: Loaded, fpirs: Sequence[float], rank: int
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


def _besides(gallery: Gallery, loaded: Loaded, *, level: float, seed: int) -> list[Measure]:
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


def _words(rates: Sequence[GroupedRate], results: Results, loaded: Loaded) -> tuple[str, list[str]]:
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
    rates: Sequence[GroupedRate], results: Results, loaded: Loaded, level: float
) -> list[Table]:
    rows = []
    for rate in rates:
        for group, one in [("everyone", rate.everyone), *rate.groups.items()]:
            ends = one.interval(level=level) if one.trials else None
            rows.append(
                [
                    rate.at,
                    rate.name.upper(),
                    group,
                    "–" if rate.threshold is None else f"{rate.threshold:.4f}",
                    _percent(one.rate) + ("*" if one.errors < FEW else ""),
                    "–" if ends is None else f"{100 * ends[0]:.3g} to {100 * ends[1]:.3g}",
                    f"{one.errors:,} of {one.trials:,}",
                    f"{one.people:,}",
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


def _besides_tables(measures: Sequence[Measure], loaded: Loaded) -> list[Table]:
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
