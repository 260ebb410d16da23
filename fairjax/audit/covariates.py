"""Is it the group or the picture? Gaps between groups with covariates of the images held."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from fairjax.audit.layout import IMAGES, Asked, People, both_sides
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import spelled_nearly
from fairjax.audit.people import load_people
from fairjax.audit.tables import InputError, Source, column_names, listed, read_batches
from fairjax.core.names import clean_path, counted, is_unknown
from fairjax.core.results import Measure, Results, finite_or_none
from fairjax.core.verdict import ALPHA, holm
from fairjax.metrics.clustered import dyads
from fairjax.metrics.covariates import Contrast, Quartiles, Standardised, are_apart, standardise
from fairjax.report.verification.covariates import Answer

_LEAST = 5  # errors (and pairs without one) of a group that is compared
_PER_VARIABLE = 5  # errors that each variable of the regression needs
LEAST_OVERLAP = 0.8  # share of all pairs that must be like those of each group
_MOST_WORDS = 8  # values of a covariate in words
_MOST_MISSING = 0.5  # share of images without a covariate
_METHOD = "logistic regression, standardised over all pairs; dyadic variance, logit scale"


@dataclass(frozen=True)
class Covariates:
    """Covariates of images or of people.

    Attributes:
      source: Where they come from, for messages.
      key: "image" or "subject": what has a value.
      values: For each covariate the word of each key.
    """

    source: str
    key: str
    values: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class _OfPairs:
    """Covariates of some pairs.

    Attributes:
      names: Names of the covariates; a covariate in words has one for each value but the commonest.
      mean: Mean over the two images of each pair.
      apart: Distance of the two images; all 0 for words.
      is_word: Whether the covariate is a value in words.
      rows: Pairs whose covariates are all known, as numbers of the audited pairs.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, "pairs covariates"]
    apart: Float[np.ndarray, "pairs covariates"]
    is_word: tuple[bool, ...]
    rows: np.ndarray


def load_covariates(
    table: Source | None,
    names: Sequence[str],
    *,
    pairs: Source,
    asked: Asked,
    people: People | None,
) -> Covariates:
    """The covariates that are held.

    Args:
      table: One row an image (or a person), one column a covariate; None looks into `people` and
        into the columns of both sides of `pairs`.
      names: Covariates to hold; empty takes every column of numbers of `table`.
      pairs: The audited table of pairs.
      asked: Columns of the audit.
      people: The audit's table of people or images.

    Raises:
      InputError: If a covariate is nowhere, or says two things of one image.
    """
    if table is not None:
        own = load_people(table)
        if lost := [name for name in names if name not in own.groups]:
            raise InputError(
                f"{own.source} has no covariate {lost[0]!r}; it has {listed(list(own.groups))}."
            )
        chosen = list(names) or [n for n, column in own.groups.items() if _is_numeric(column)]
        if not chosen:
            raise InputError(
                f"{own.source} has no column of numbers; name a column of words with --covariate."
            )
        return Covariates(own.source, own.key, {name: own.groups[name] for name in chosen})
    if people is not None and all(name in people.groups for name in names):
        return Covariates(people.source, people.key, {name: people.groups[name] for name in names})
    return _of_both_sides(pairs, names, asked)


def _of_both_sides(path: Source, names: Sequence[str], asked: Asked) -> Covariates:
    """Covariates out of columns of both sides of the table of pairs: brightness1, brightness2."""
    columns = column_names(path)
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        sides = both_sides(columns, name)
        if len(sides) != 1:
            raise InputError(
                f"{path} has no columns {name}1 and {name}2 for --covariate {name}; it has "
                f"{listed(columns)}. Give a table with one row an image with --covariates."
            )
        found[name] = sides[0]
    images = [
        side
        for base in ([asked.image] if asked.image else IMAGES)
        for side in both_sides(columns, base)
    ]
    if len(images) != 1:
        raise InputError(
            f"{path} does not name its images, so covariates cannot be told apart; name their "
            "columns with --image, or give a table of covariates with --covariates."
        )
    values: dict[str, dict[str, str]] = {name: {} for name in names}
    text = [*images[0], *(column for both in found.values() for column in both)]
    for batch in read_batches(path, text=text, numbers=[]):
        for side in (0, 1):
            image = [clean_path(name) for name in batch.columns[images[0][side]].to_pylist()]
            for name, both in found.items():
                words = batch.columns[both[side]].to_pylist()
                for row, (key, word) in enumerate(zip(image, words, strict=True)):
                    if values[name].setdefault(key, word) != word:
                        raise InputError(
                            f"{path}, data row {batch.start + row}: {both[side]} of {key!r} is "
                            f"{word!r} here and {values[name][key]!r} elsewhere."
                        )
    return Covariates(str(path), "image", values)


def with_covariates(
    results: Results, loaded: Loaded, covariates: Covariates, *, level: float
) -> Results:
    """The results with error rates by group while covariates are held.

    Args:
      results: Results of the audit of these pairs.
      loaded: The pairs.
      covariates: What is held.
      level: Coverage of the intervals.

    Raises:
      InputError: If the pairs do not name what the covariates are of, or too few have values.
    """
    of_pairs, note = _of_pairs(loaded, covariates)
    answers = []
    for system, at, threshold in _points(results, loaded):
        score = loaded.scores[system or next(iter(loaded.scores))][of_pairs.rows]
        for rate, mated in (("fmr", False), ("fnmr", True)):
            kind = loaded.mated[of_pairs.rows] == mated
            group = loaded.group[of_pairs.rows]
            inside = kind & (group[:, 0] == group[:, 1]) & (group[:, 0] >= 0)
            error = score < threshold if mated else score >= threshold
            answers.append(_answer(rate, system, at, error, inside, loaded, of_pairs, level))
    _decide(answers)
    measures = [measure for answer in answers for measure in _measures(answer, loaded.by, level)]
    names = list(dict.fromkeys(name for answer in answers for name in answer.covariates))
    held = {
        "names": names,
        "source": covariates.source,
        "least_overlap": LEAST_OVERLAP,
        "method": "logistic regression of errors on group and covariates (mean and distance of "
        "the two images, and the square of the mean where errors allow it), standardised over all "
        "pairs; dyadic variance; Holm over all points and both rates",
    }
    limits = [
        f"Covariates held: {', '.join(names) or 'none'}. What was not measured is not held, and "
        "no cause is shown.",
        *([note] if note else []),
    ]
    return replace(
        results,
        measures=[*results.measures, *measures],
        protocol={**results.protocol, "covariates": held},
        arrays={**results.arrays, "covariates": [answer.as_json() for answer in answers]},
        limits=[*results.limits, *limits],
    )


def _points(results: Results, loaded: Loaded) -> Iterator[tuple[str, str, float]]:
    """Each system's operating points with the threshold as scores have it here."""
    seen = set()
    distances = results.protocol.get("distances", [])
    for m in results.measures:
        if m.name not in ("fmr", "fnmr") or m.threshold is None or (m.system, m.at) in seen:
            continue
        seen.add((m.system, m.at))
        sign = -1 if m.system in distances else 1
        yield m.system, m.at, 0.5 if loaded.decided else sign * m.threshold


def _is_numeric(column: Mapping[str, str]) -> bool:
    known = [word for word in column.values() if not is_unknown(word)]
    return bool(known) and all(_number(word) is not None for word in known)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _of_pairs(loaded: Loaded, covariates: Covariates) -> tuple[_OfPairs, str]:
    """Covariates of the audited pairs, and a note on pairs without any."""
    if covariates.key == "image":
        names, code = loaded.images, loaded.image
    else:
        names, code = loaded.names, loaded.subject if loaded.has_subjects else None
    if code is None or not names:
        raise InputError(
            f"{covariates.source} has covariates of each {covariates.key}, but the pairs name no "
            f"{covariates.key}s; name their columns with --{covariates.key}."
        )
    first = next(iter(covariates.values.values()))
    lost = [name for name in names if name not in first]
    if len(lost) > _MOST_MISSING * len(names):
        raise InputError(
            f"{covariates.source} lacks {len(lost):,} of the {len(names):,} {covariates.key}s: "
            f"{listed(lost, most=3)}.{spelled_nearly(lost, first)}"
        )
    columns: list[np.ndarray] = []
    titles: list[str] = []
    is_word: list[bool] = []
    for name, words in covariates.values.items():
        own = [words.get(key, "") for key in names]
        if _is_numeric(words):
            numbers = [_number(word) for word in own]
            columns.append(np.array([np.nan if x is None else x for x in numbers]))
            titles.append(name)
            is_word.append(False)
            continue
        values, count = np.unique([w for w in own if not is_unknown(w)], return_counts=True)
        if len(values) > _MOST_WORDS:
            raise InputError(
                f"{covariates.source}: {name!r} has {len(values):,} values in words; a covariate "
                f"has numbers, or at most {_MOST_WORDS} values."
            )
        unknown = np.array([is_unknown(word) for word in own])
        for value in values[np.argsort(-count, kind="stable")][1:].tolist():
            columns.append(np.where(unknown, np.nan, np.array(own) == value))
            titles.append(f"{name} {value}")
            is_word.append(True)
    if not columns:
        raise InputError(f"{covariates.source}: no covariate takes two values.")
    of_key = np.stack(columns, axis=1)
    known = np.isfinite(of_key).all(axis=1)
    rows = np.flatnonzero(known[code].all(axis=1))
    sides = of_key[code[rows]]
    apart = np.abs(sides[:, 0] - sides[:, 1]) * ~np.array(is_word)
    note = ""
    if len(rows) < len(code):
        note = (
            f"{len(code) - len(rows):,} of {len(code):,} pairs have no value of a covariate and "
            "are left out where covariates are held."
        )
    return _OfPairs(tuple(titles), sides.mean(axis=1), apart, tuple(is_word), rows), note


def _answer(
    rate: str,
    system: str,
    at: str,
    error: np.ndarray,
    inside: np.ndarray,
    loaded: Loaded,
    of_pairs: _OfPairs,
    level: float,
) -> Answer:
    """One rate at one point, before all tests are adjusted."""
    group, subject = loaded.group[of_pairs.rows][:, 0], loaded.subject[of_pairs.rows]
    groups = len(loaded.groups)
    wrong = np.bincount(group[inside & error], minlength=groups)
    right = np.bincount(group[inside & ~error], minlength=groups)
    many = np.flatnonzero(np.minimum(wrong, right) >= _LEAST).tolist()
    kept = np.array([g for g in many if are_apart(dyads(subject[inside & (group == g)]))], int)
    blank = Answer(
        rate=rate,
        system=system,
        at=at,
        groups=[loaded.groups[g] for g in kept],
        left_out=[g for k, g in enumerate(loaded.groups) if k not in kept],
        errors=wrong[kept].tolist(),
        trials=(wrong + right)[kept].tolist(),
        covariates=list(of_pairs.names),
    )
    if len(kept) < 2:
        return replace(
            blank,
            why=f"fewer than two groups have {_LEAST} errors and {_LEAST} pairs without one, of "
            "several people",
        )
    rows = np.flatnonzero(inside & np.isin(group, kept))
    number = np.full(groups, -1)
    number[kept] = np.arange(len(kept))
    fewest = int(min(wrong[kept].sum(), right[kept].sum()))
    variables, quartiles, names = _variables(of_pairs, rows, fewest // _PER_VARIABLE)
    blank = replace(
        blank,
        covariates=[of_pairs.names[k] for k in names],
        means=_means(of_pairs, rows, number[group[rows]], names),
    )
    if not quartiles:
        few = f"{counted(fewest, 'error')} for {counted(len(names), 'covariate')}"
        if not names:
            few = "no covariate varies among these pairs"
        return replace(blank, why=f"{few}; name fewer with --covariate" if names else few)
    couples = dyads(subject[rows])
    fit = standardise(error[rows], number[group[rows]], variables, couples, quartiles=quartiles)
    return _filled(blank, fit, level)


def _variables(
    of_pairs: _OfPairs, rows: np.ndarray, most: int
) -> tuple[np.ndarray, list[Quartiles], list[int]]:
    """The regression's variables, at most so many, and which covariates vary among these pairs.

    Means of both images come first, then their distances, then squares of the means. A kind of
    variables is all in or all out; no quartiles are given where not even the means fit.
    """
    mean, apart = of_pairs.mean[rows], of_pairs.apart[rows]
    names = [k for k in range(mean.shape[1]) if np.ptp(mean[:, k]) > 0]
    mean, apart = mean[:, names], apart[:, names]
    spread = mean.std(axis=0)
    centred = (mean - mean.mean(axis=0)) / spread
    is_curved = np.array([len(np.unique(x)) > 2 for x in centred.T], bool)
    is_curved &= ~np.array(of_pairs.is_word)[names]
    is_apart = np.ptp(apart, axis=0) > 0
    columns = [*centred.T]
    if not names or len(columns) > most:
        return np.zeros((len(rows), 0)), [], names
    squares: dict[int, int] = {}
    if len(columns) + is_apart.sum() <= most:
        columns += [*apart[:, is_apart].T]
        if len(columns) + is_curved.sum() <= most:
            for k in np.flatnonzero(is_curved).tolist():
                squares[k] = len(columns)
                columns.append(centred[:, k] ** 2)
    quartiles = []
    for place, k in enumerate(names):
        ends = [0.0, 1.0]
        if not of_pairs.is_word[k]:
            ends = np.quantile(mean[:, place], [0.25, 0.75]).tolist()
        low, high = ((end - mean[:, place].mean()) / spread[place] for end in ends)
        also = [squares[place]] if place in squares else []
        quartiles.append(
            Quartiles(
                (place, *also),
                (low, *[low**2] * len(also)),
                (high, *[high**2] * len(also)),
            )
        )
    return np.stack(columns, axis=1), quartiles, names


def _means(
    of_pairs: _OfPairs, rows: np.ndarray, group: np.ndarray, names: Sequence[int]
) -> list[list[float]]:
    """Mean of each covariate over each group's pairs."""
    count = np.bincount(group)
    return [(np.bincount(group, of_pairs.mean[rows, k]) / count).tolist() for k in names]


def _filled(blank: Answer, fit: Standardised, level: float) -> Answer:
    worst, best = int(np.argmax(fit.found)), int(np.argmin(fit.found))
    gaps = {held: fit.log_ratio(worst, best, held=held, level=level) for held in (False, True)}
    places = range(len(fit.found))
    shrinkage = fit.shrinkage(worst, best, level=level)
    return replace(
        blank,
        found=fit.found.tolist(),
        found_interval=[fit.interval(g, held=False, level=level) for g in places],
        held=fit.held.tolist(),
        held_interval=[fit.interval(g, held=True, level=level) for g in places],
        overlap=fit.overlap.tolist(),
        worst=worst,
        best=best,
        found_ratio=_ratio(gaps[False]),
        held_ratio=_ratio(gaps[True]),
        share=finite_or_none(shrinkage.value / gaps[False].value) if gaps[False].value else None,
        p_found=fit.equality(held=False),
        p_held=fit.equality(held=True),
        p_share=shrinkage.p,
        smaller=shrinkage.value > 0,
        effects=[_effect(fit.effect(k, level=level)) for k in range(len(fit.at_low))],
    )


def _ratio(contrast: Contrast) -> tuple[float, float, float]:
    value, low, high = (math.exp(min(x, 700.0)) for x in (contrast.value, *contrast.interval))
    return value, low, high


def _effect(contrast: Contrast) -> tuple[float, float, float, float]:
    return contrast.value, *contrast.interval, contrast.p


def _decide(answers: list[Answer]) -> None:
    """Adjusts the tests for each other, and answers."""
    fitted = [k for k, one in enumerate(answers) if one.held]
    adjusted = {
        name: holm(np.array([getattr(answers[k], name) for k in fitted], np.float64)).tolist()
        for name in ("p_found", "p_held", "p_share")
    }
    for place, k in enumerate(fitted):
        p = {name: values[place] for name, values in adjusted.items()}
        one = replace(
            answers[k],
            p_found_adjusted=p["p_found"],
            p_held_adjusted=p["p_held"],
            p_share_adjusted=p["p_share"],
        )
        answers[k] = replace(one, answer=_word(one))


def _word(one: Answer) -> str:
    found, held, moved = (
        p is not None and p <= ALPHA
        for p in (one.p_found_adjusted, one.p_held_adjusted, one.p_share_adjusted)
    )
    if min(one.overlap) < LEAST_OVERLAP and (found or held):
        return "no overlap"
    if not found:
        return "hidden" if held else "no gap"
    smaller = moved and one.smaller
    if held:
        return "both" if smaller else "group"
    return "picture" if smaller and (one.share or 0.0) >= 0.5 else "too few data"


def _measures(answer: Answer, by: str, level: float) -> Iterator[Measure]:
    """The numbers of one answer for results.json."""
    blank = Measure(
        answer.rate,
        None,
        "fraction",
        sum(answer.trials),
        at=answer.at,
        system=answer.system,
        rule=f"covariates: {', '.join(answer.covariates)}",
    )
    if not answer.held:
        yield replace(
            blank,
            name=f"{answer.rate}_covariates_held_gap",
            unit="ratio",
            across=by,
            note=answer.why,
        )
        return
    ends: dict[str, Any] = dict(level=level, method=_METHOD)
    for k, group in enumerate(answer.groups):
        own = replace(
            blank, group={by: group}, n=answer.trials[k], n_errors=answer.errors[k], **ends
        )
        for name, value, interval in (
            ("as_found", answer.found[k], answer.found_interval[k]),
            ("covariates_held", answer.held[k], answer.held_interval[k]),
        ):
            yield replace(
                own, name=f"{answer.rate}_{name}", value=value, interval=(interval[0], interval[1])
            )
        yield replace(
            own,
            name=f"{answer.rate}_overlap",
            value=answer.overlap[k],
            level=None,
            method="logistic propensity",
            n_errors=None,
            rule="share of all pairs at which the group is at least a tenth as frequent as overall",
        )
    across = replace(blank, across=by, unit="ratio", rule=answer.two)
    for name, ratio in (("as_found", answer.found_ratio), ("covariates_held", answer.held_ratio)):
        yield replace(
            across,
            name=f"{answer.rate}_{name}_gap",
            value=finite_or_none(ratio[0]),
            interval=(ratio[1], ratio[2]),
            **ends,
        )
    tests: dict[str, Any] = dict(
        unit="fraction", rule="all groups have one rate: F test, logit scale"
    )
    for name, p, p_adjusted in (
        ("as_found_gap", answer.p_found, answer.p_found_adjusted),
        ("covariates_held_gap", answer.p_held, answer.p_held_adjusted),
    ):
        yield replace(across, name=f"{answer.rate}_{name}_p_value", value=p, **tests)
        yield replace(across, name=f"{answer.rate}_{name}_p_value_holm", value=p_adjusted, **tests)
    yield replace(
        across,
        name=f"{answer.rate}_share_of_gap_through_covariates",
        value=answer.share,
        unit="index",
        rule=f"{answer.two}, on the scale of logarithms",
        note=f"answer: {answer.answer}; p {answer.p_share_adjusted:.2g}",
    )
    for name, effect in zip(answer.covariates, answer.effects, strict=True):
        yield replace(
            blank,
            name=f"{answer.rate}_effect_of_{name.replace(' ', '_')}",
            value=effect[0],
            interval=(effect[1], effect[2]),
            rule="rate at the upper quartile less rate at the lower one, all else as it is",
            **ends,
        )
