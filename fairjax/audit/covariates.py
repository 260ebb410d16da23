"""Is it the group or the picture? Gaps between groups with covariates of the images held."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

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
_IMAGE_METHOD = "logistic regression, standardised over all images; by person, logit scale"


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
class Decisions:
    """Decisions of an attribute model on single images.

    Attributes:
      label: What is decided, such as "gender": begins the names of measures.
      by: Attribute of the groups.
      groups: Names of the groups.
      group: Group of each image, -1 for unknown.
      person: Person on each image.
      names: Names of the images, or of the people, by the key of `Covariates`.
      code: Index of each image into `names`, by the same key.
      errors: By rate ("fpr", "fnr", "error_rate") which images are errors, and which are trials.
    """

    label: str
    by: str
    groups: Sequence[str]
    group: Int[np.ndarray, " images"]
    person: Int[np.ndarray, " images"]
    names: Mapping[str, Sequence[str]]
    code: Mapping[str, Int[np.ndarray, " images"]]
    errors: Mapping[str, tuple[Bool[np.ndarray, " images"], Bool[np.ndarray, " images"]]]


@dataclass(frozen=True)
class _Held:
    """Covariates of some rows, which are pairs or single images.

    Attributes:
      names: Names of the covariates; a covariate in words has one for each value but the commonest.
      mean: Mean over the images of each row.
      apart: Distance of the two images; all 0 for words and single images.
      is_word: Whether the covariate is a value in words.
      rows: Rows whose covariates are all known, as numbers of the audited rows.
      group: Group of each of these rows.
      groups: Names of the groups.
      subject: The people on each of these rows.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, "rows covariates"]
    apart: Float[np.ndarray, "rows covariates"]
    is_word: tuple[bool, ...]
    rows: np.ndarray
    group: Int[np.ndarray, " rows"]
    groups: Sequence[str]
    subject: Int[np.ndarray, "rows 2"]


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


def load_image_covariates(
    table: Source | None, names: Sequence[str], *, predictions: Source, asked: Asked
) -> Covariates:
    """The covariates that are held for predictions, one image a row.

    Args:
      table: One row an image (or a person), one column a covariate; None looks for columns of
        `predictions`.
      names: Covariates to hold; empty takes every column of numbers of `table`.
      predictions: The audited table.
      asked: Columns of the audit.

    Raises:
      InputError: If a covariate is nowhere.
    """
    if table is not None:
        return load_covariates(table, names, pairs=predictions, asked=asked, people=None)
    if lost := [name for name in names if name not in (have := column_names(predictions))]:
        raise InputError(
            f"{predictions} has no covariate {lost[0]!r}; it has {listed(have)}. Name a column, or "
            "give a table with one row an image with --covariates."
        )
    values: dict[str, dict[str, str]] = {name: {} for name in names}
    for batch in read_batches(predictions, text=names, numbers=[]):
        for name, column in values.items():
            words = batch.columns[name].to_pylist()
            column |= {str(batch.start + row): word for row, word in enumerate(words)}
    return Covariates(str(predictions), "row", values)


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
    names, code = loaded.images, loaded.image
    if covariates.key != "image":
        names, code = loaded.names, loaded.subject if loaded.has_subjects else None
    if code is None or not names:
        raise InputError(
            f"{covariates.source} has covariates of each {covariates.key}, but the pairs name no "
            f"{covariates.key}s; name their columns with --{covariates.key}."
        )
    group = np.where(loaded.group[:, 0] == loaded.group[:, 1], loaded.group[:, 0], -1)
    held, note = _held(
        covariates, names, code, group, loaded.groups, loaded.subject, unit=Unit.PAIRS
    )
    mated = loaded.mated[held.rows]
    answers = []
    for system, at, threshold in _points(results, loaded):
        score = loaded.scores[system or next(iter(loaded.scores))][held.rows]
        for rate, trials in (("fmr", ~mated), ("fnmr", mated)):
            error = score < threshold if rate == "fnmr" else score >= threshold
            answers.append(_answer(rate, system, at, error, trials, held, level))
    return _with_answers(results, answers, loaded.by, covariates, note, level, unit=Unit.PAIRS)


def with_image_covariates(
    results: Results, decisions: Decisions, covariates: Covariates, *, level: float
) -> Results:
    """The results of an attribute model with error rates by group while covariates are held.

    Args:
      results: Results of the audit of these decisions.
      decisions: The decisions.
      covariates: What is held.
      level: Coverage of the intervals.

    Raises:
      InputError: If the rows do not name what the covariates are of, or too few have values.
    """
    if covariates.key not in decisions.names:
        raise InputError(
            f"{covariates.source} has covariates of each {covariates.key}, but the predictions "
            f"name no {covariates.key}s; name their column with --{covariates.key}."
        )
    held, note = _held(
        covariates,
        decisions.names[covariates.key],
        decisions.code[covariates.key][:, None],
        decisions.group,
        decisions.groups,
        np.stack([decisions.person] * 2, axis=1),
        unit=Unit.IMAGES,
    )
    answers = [
        _answer(rate, "", "", error[held.rows], trials[held.rows], held, level)
        for rate, (error, trials) in decisions.errors.items()
    ]
    return _with_answers(
        results,
        answers,
        decisions.by,
        covariates,
        note,
        level,
        unit=Unit.IMAGES,
        prefix=f"{decisions.label}_",
    )


class Unit(Enum):
    """What a row is: its plural, and how covariates enter the model."""

    PAIRS = ("pairs", "mean and distance of the two images, and the square of the mean")
    IMAGES = ("images", "the value, and its square")

    @property
    def plural(self) -> str:
        return self.value[0]


def _with_answers(
    results: Results,
    answers: list[Answer],
    by: str,
    covariates: Covariates,
    note: str,
    level: float,
    *,
    unit: Unit,
    prefix: str = "",
) -> Results:
    """The results with all answers, whose tests are adjusted for each other."""
    _decide(answers)
    measures = [m for answer in answers for m in _measures(answer, by, level, unit)]
    measures = [replace(m, name=f"{prefix}{m.name}") for m in measures]
    names = list(dict.fromkeys(name for answer in answers for name in answer.covariates))
    held = {
        "names": names,
        "source": covariates.source,
        "least_overlap": LEAST_OVERLAP,
        "method": f"logistic regression of errors on group and covariates ({unit.value[1]} where "
        f"errors allow it), standardised over all {unit.plural}; "
        + (
            "dyadic variance; Holm over all points and both rates"
            if unit is Unit.PAIRS
            else "variance clustered by person; Holm over all rates"
        ),
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


def _held(
    covariates: Covariates,
    names: Sequence[str],
    code: Int[np.ndarray, "rows images"],
    group: Int[np.ndarray, " rows"],
    groups: Sequence[str],
    subject: Int[np.ndarray, "rows 2"],
    *,
    unit: Unit,
) -> tuple[_Held, str]:
    """Covariates of the audited rows, and a note on rows without any."""
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
    apart = np.abs(sides[:, 0] - sides[:, -1]) * ~np.array(is_word)
    note = ""
    if len(rows) < len(code):
        note = (
            f"{len(code) - len(rows):,} of {len(code):,} {unit.plural} have no value of a "
            "covariate and are left out where covariates are held."
        )
    mean = sides.mean(axis=1)
    return (
        _Held(tuple(titles), mean, apart, tuple(is_word), rows, group[rows], groups, subject[rows]),
        note,
    )


def _answer(
    rate: str,
    system: str,
    at: str,
    error: Bool[np.ndarray, " rows"],
    trials: Bool[np.ndarray, " rows"],
    held: _Held,
    level: float,
) -> Answer:
    """One rate at one point, before all tests are adjusted."""
    inside = trials & (held.group >= 0)
    groups = len(held.groups)
    wrong = np.bincount(held.group[inside & error], minlength=groups)
    right = np.bincount(held.group[inside & ~error], minlength=groups)
    many = np.flatnonzero(np.minimum(wrong, right) >= _LEAST).tolist()
    of_group = [dyads(held.subject[inside & (held.group == g)]) for g in many]
    kept = np.array([g for g, pairs in zip(many, of_group, strict=True) if are_apart(pairs)], int)
    blank = Answer(
        rate=rate,
        system=system,
        at=at,
        groups=[held.groups[g] for g in kept.tolist()],
        left_out=[g for k, g in enumerate(held.groups) if k not in kept],
        errors=wrong[kept].tolist(),
        trials=(wrong + right)[kept].tolist(),
        covariates=list(held.names),
    )
    if len(kept) < 2:
        return replace(
            blank,
            why=f"fewer than two groups have {_LEAST} errors and {_LEAST} trials without one, of "
            "several people",
        )
    rows = np.flatnonzero(inside & np.isin(held.group, kept))
    number = np.full(groups, -1)
    number[kept] = np.arange(len(kept))
    fewest = int(min(wrong[kept].sum(), right[kept].sum()))
    variables, quartiles, names = _variables(held, rows, fewest // _PER_VARIABLE)
    blank = replace(
        blank,
        covariates=[held.names[k] for k in names],
        means=_means(held, rows, number[held.group[rows]], names),
    )
    if not quartiles:
        few = f"{counted(fewest, 'error')} for {counted(len(names), 'covariate')}"
        if not names:
            few = "no covariate varies where this rate is measured"
        return replace(blank, why=f"{few}; name fewer with --covariate" if names else few)
    couples = dyads(held.subject[rows])
    group = number[held.group[rows]]
    fit = standardise(error[rows], group, variables, couples, quartiles=quartiles)
    return _filled(blank, fit, level)


def _variables(
    held: _Held, rows: np.ndarray, most: int
) -> tuple[np.ndarray, list[Quartiles], list[int]]:
    """The regression's variables, at most so many, and which covariates vary among these pairs.

    Means of both images come first, then their distances, then squares of the means. A kind of
    variables is all in or all out; no quartiles are given where not even the means fit.
    """
    mean, apart = held.mean[rows], held.apart[rows]
    names = [k for k in range(mean.shape[1]) if np.ptp(mean[:, k]) > 0]
    mean, apart = mean[:, names], apart[:, names]
    spread = mean.std(axis=0)
    centred = (mean - mean.mean(axis=0)) / spread
    is_curved = np.array([len(np.unique(x)) > 2 for x in centred.T], bool)
    is_curved &= ~np.array(held.is_word)[names]
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
        if not held.is_word[k]:
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
    held: _Held, rows: np.ndarray, group: np.ndarray, names: Sequence[int]
) -> list[list[float]]:
    """Mean of each covariate over each group's pairs."""
    count = np.bincount(group)
    return [(np.bincount(group, held.mean[rows, k]) / count).tolist() for k in names]


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


def _measures(answer: Answer, by: str, level: float, unit: Unit) -> Iterator[Measure]:
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
    method = _METHOD if unit is Unit.PAIRS else _IMAGE_METHOD
    ends: dict[str, Any] = dict(level=level, method=method)
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
            rule=f"share of all {unit.plural} at which the group is at least a tenth as frequent "
            "as overall",
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
