"""The errors of attribute models that the first screen compares."""

from collections.abc import Sequence
from typing import NamedTuple

from fairjax.core.results import Measure, Results
from fairjax.core.verdict import Claim, verdict
from fairjax.report.attributes.measures import by_attributes, overall
from fairjax.report.conditions import is_generated
from fairjax.report.quantities import Quantity, as_errors
from fairjax.report.wording import (
    describe,
    lower,
    metric_of,
    more_is_better,
    number,
    sentence,
    words,
)

_METRICS = ("mae", "accuracy")


class _Wrong(NamedTuple):
    """An accuracy in words, as its errors."""

    title: str
    predicate: str
    what: str


_WRONG = {
    "accuracy": _Wrong("errors", "faces are told wrong", "share of images told wrong"),
    "accuracy_of_all": _Wrong(
        "errors and missing answers",
        "faces are told wrong or get no answer",
        "share of all images told wrong or without an answer",
    ),
}


def quantities(results: Results) -> list[Quantity]:
    """The errors of every task, and whatever else is shown to differ between groups."""
    compared = []
    by_group = by_attributes(results)
    claims = verdict(results).claims
    primary = _primary(claims)
    for claim in claims:
        measures = by_group.get((claim.across,), {}).get(claim.measure, [])
        if measures and (claim.answer == "shown" or claim.measure in primary):
            everyone = next((m for m in overall(results) if m.name == claim.measure), None)
            compared.append(_quantity(claim, measures, everyone))
    return compared


def _primary(claims: Sequence[Claim]) -> list[str]:
    """The first accuracy or mean error of each task; those derived from one stand further below.

    Age bins and the age threshold are read off the predicted age: "age_mae" stands for all three.
    """
    names: dict[str, str] = {}
    for name in (claim.measure for claim in claims):
        metric = metric_of(name)
        if metric in _METRICS:
            subject = name.removesuffix(metric).strip("_")
            if not any(subject.startswith(f"{other}_") for other in names):
                names.setdefault(subject, name)
    return list(names.values())


def _quantity(claim: Claim, measures: Sequence[Measure], everyone: Measure | None) -> Quantity:
    name = claim.measure
    metric = metric_of(name) or ""
    subject = sentence(words(name.removesuffix(metric).strip("_")))
    is_rate = measures[0].unit == "fraction"
    if is_rate and more_is_better(name):  # accuracies: the bars of errors start at zero
        measures = [as_errors(m) for m in measures]
        everyone = as_errors(everyone) if everyone else None
        what = _WRONG[metric].what if metric in _WRONG else f"1 - {words(metric)}"
    else:
        what = lower(describe(name))
    if metric in _WRONG:
        title, predicate = f"{subject} {_WRONG[metric].title}", _WRONG[metric].predicate
    elif metric == "mae":
        title, predicate = f"{subject} error", "faces are misjudged by"
    elif metric == "no_answer":
        title, predicate = describe(name), "faces get no answer"
    else:
        title, predicate = describe(name), "faces"
    return Quantity(title, predicate, "images" if is_rate else "", measures, everyone, what, claim)


def scope(results: Results) -> str:
    """How many images were told, and how well over everyone."""
    known = [m for m in overall(results) if more_is_better(m.name) is not None]
    if not known:
        return ""
    numbers = ", ".join(f"{lower(describe(m.name))} {number(m.value, m.unit)}" for m in known[:3])
    split = f", {results.protocol['split']} split" if "split" in results.protocol else ""
    name = results.protocol.get("name", results.kind)
    n = max(m.n for m in known)
    # A benchmark's protocol can be run on generated faces; its name would claim the benchmark.
    generated = is_generated(results.provenance)
    of = f"{n:,} generated images" if generated else f"{n:,} images (protocol {name}{split})"
    return f"{of}. Over everyone: {numbers}."


def tolerances(results: Results) -> list[str]:
    """Nothing: attribute models are held to no tolerance."""
    return []


def unresolved(results: Results) -> list[str]:
    """The groups whose errors are too few to judge by."""
    return []
