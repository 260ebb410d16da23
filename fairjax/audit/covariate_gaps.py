"""Error rates of groups at one operating point, as found and with covariates held."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from jaxtyping import Bool, Float, Int

from fairjax.audit.covariate_tables import Covariates, as_number, is_numeric
from fairjax.audit.spelling import spelled_nearly
from fairjax.audit.tables import InputError, listed
from fairjax.core.names import counted, is_unknown
from fairjax.core.results import finite_or_none
from fairjax.core.verdict import ALPHA, holm
from fairjax.metrics.clustered import dyads
from fairjax.metrics.covariates import Contrast, Quartiles, Standardised, are_apart, standardise
from fairjax.report.verification.covariates import Answer

_LEAST = 5  # errors (and pairs without one) of a group that is compared
_PER_VARIABLE = 5  # errors that each variable of the regression needs
LEAST_OVERLAP = 0.8  # share of all pairs that must be like those of each group
_MOST_WORDS = 8  # values of a covariate in words
_MOST_MISSING = 0.5  # share of images without a covariate


@dataclass(frozen=True)
class Held:
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


class Unit(Enum):
    """What a row is: its plural, and how covariates enter the model."""

    PAIRS = ("pairs", "mean and distance of the two images, and the square of the mean")
    IMAGES = ("images", "the value, and its square")

    @property
    def plural(self) -> str:
        return self.value[0]


def hold(
    covariates: Covariates,
    names: Sequence[str],
    code: Int[np.ndarray, "rows images"],
    group: Int[np.ndarray, " rows"],
    groups: Sequence[str],
    subject: Int[np.ndarray, "rows 2"],
    *,
    unit: Unit,
) -> tuple[Held, str]:
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
        if is_numeric(words):
            numbers = [as_number(word) for word in own]
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
        Held(tuple(titles), mean, apart, tuple(is_word), rows, group[rows], groups, subject[rows]),
        note,
    )


def answer_at(
    rate: str,
    system: str,
    at: str,
    error: Bool[np.ndarray, " rows"],
    trials: Bool[np.ndarray, " rows"],
    held: Held,
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
    held: Held, rows: np.ndarray, most: int
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
    for column, k in enumerate(names):
        ends = [0.0, 1.0]
        if not held.is_word[k]:
            ends = np.quantile(mean[:, column], [0.25, 0.75]).tolist()
        low, high = ((end - mean[:, column].mean()) / spread[column] for end in ends)
        also = [squares[column]] if column in squares else []
        quartiles.append(
            Quartiles(
                (column, *also),
                (low, *[low**2] * len(also)),
                (high, *[high**2] * len(also)),
            )
        )
    return np.stack(columns, axis=1), quartiles, names


def _means(
    held: Held, rows: np.ndarray, group: np.ndarray, names: Sequence[int]
) -> list[list[float]]:
    """Mean of each covariate over each group's pairs."""
    count = np.bincount(group)
    return [(np.bincount(group, held.mean[rows, k]) / count).tolist() for k in names]


def _filled(blank: Answer, fit: Standardised, level: float) -> Answer:
    worst, best = int(np.argmax(fit.found)), int(np.argmin(fit.found))
    gaps = {held: fit.log_ratio(worst, best, held=held, level=level) for held in (False, True)}
    groups = range(len(fit.found))
    shrinkage = fit.shrinkage(worst, best, level=level)
    return replace(
        blank,
        found=fit.found.tolist(),
        found_interval=[fit.interval(g, held=False, level=level) for g in groups],
        held=fit.held.tolist(),
        held_interval=[fit.interval(g, held=True, level=level) for g in groups],
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


def decide(answers: list[Answer]) -> None:
    """Adjusts the tests for each other, and answers."""
    fitted = [k for k, answer in enumerate(answers) if answer.held]
    adjusted = {
        name: holm(np.array([getattr(answers[k], name) for k in fitted], np.float64)).tolist()
        for name in ("p_found", "p_held", "p_share")
    }
    for index, k in enumerate(fitted):
        p = {name: values[index] for name, values in adjusted.items()}
        answer = replace(
            answers[k],
            p_found_adjusted=p["p_found"],
            p_held_adjusted=p["p_held"],
            p_share_adjusted=p["p_share"],
        )
        answers[k] = replace(answer, answer=_word(answer))


def _word(answer: Answer) -> str:
    has_gap, has_held_gap, has_moved = (
        p is not None and p <= ALPHA
        for p in (answer.p_found_adjusted, answer.p_held_adjusted, answer.p_share_adjusted)
    )
    if min(answer.overlap) < LEAST_OVERLAP and (has_gap or has_held_gap):
        return "no overlap"
    if not has_gap:
        return "hidden" if has_held_gap else "no gap"
    smaller = has_moved and answer.smaller
    if has_held_gap:
        return "both" if smaller else "group"
    return "picture" if smaller and (answer.share or 0.0) >= 0.5 else "too few data"
