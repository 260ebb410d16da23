"""Is it the group or the picture? Gaps between groups with covariates of the images held."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fairjax.audit.covariate_gaps import LEAST_OVERLAP, Unit, answer_at, decide, hold
from fairjax.audit.covariate_tables import Covariates
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError
from fairjax.core.results import Measure, Results, finite_or_none
from fairjax.report.verification.covariates import Answer

_METHOD = "logistic regression, standardised over all pairs; dyadic variance, logit scale"
_IMAGE_METHOD = "logistic regression, standardised over all images; clustered by person, if named"


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
    held, note = hold(
        covariates, names, code, group, loaded.groups, loaded.subject, unit=Unit.PAIRS
    )
    mated = loaded.mated[held.rows]
    answers = []
    for system, at, threshold in _points(results, loaded):
        score = loaded.scores[system or next(iter(loaded.scores))][held.rows]
        for rate, trials in (("fmr", ~mated), ("fnmr", mated)):
            error = score < threshold if rate == "fnmr" else score >= threshold
            answers.append(answer_at(rate, system, at, error, trials, held, level))
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
    held, note = hold(
        covariates,
        decisions.names[covariates.key],
        decisions.code[covariates.key][:, None],
        decisions.group,
        decisions.groups,
        np.stack([decisions.person] * 2, axis=1),
        unit=Unit.IMAGES,
    )
    answers = [
        answer_at(rate, "", "", error[held.rows], trials[held.rows], held, level)
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
    decide(answers)
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
            else "variance clustered by person, if people are named; Holm over all rates"
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
