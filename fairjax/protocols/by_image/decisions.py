"""Decisions of attribute models by group: what `utkface` and `attributes` measure alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fairjax.core.results import Measure, finite_or_none
from fairjax.metrics import by_group, calibration, classification
from fairjax.metrics.classification import Average, averaged, one_vs_rest
from fairjax.metrics.gap_tests import Gap
from fairjax.protocols.by_image.grouped import (
    Quantity,
    Sampling,
    complement,
    mean_of,
    measure_groups,
    summaries,
    summarise,
)
from fairjax.protocols.by_image.predictions import Scored
from fairjax.protocols.gaps import DIFFERENCE, RATIO, RATIO_FORM, GroupRates, Summary

CALIBRATION_BINS = 15
_worst_odds = partial(by_group.equalized_odds_difference, agg="worst_case")
_mean_odds = partial(by_group.equalized_odds_difference, agg="mean")
_ODDS = {
    "worst_case": Summary(_worst_odds, "", Gap(_worst_odds, high=1.0), noise=True),
    "mean": Summary(_mean_odds, "", Gap(_mean_odds, high=1.0), noise=True),
}
_ODDS_RATIO = Summary(
    partial(by_group.equalized_odds_ratio, agg="worst_case"),
    "",
    replace(RATIO_FORM, size=_worst_odds),
    unit="ratio",
)


@dataclass(frozen=True)
class Scene:
    """What every measurement of one evaluation shares.

    Attributes:
      across: The attribute whose groups are compared.
      names: Names of its groups.
      group: Group of each example.
      sampling: Where intervals come from.
    """

    across: str
    names: tuple[str, ...]
    group: np.ndarray
    sampling: Sampling


def check_identity(accuracy: Measure, fpr: Measure, fnr: Measure) -> None:
    """Asserts accuracy = (1 - FPR) * negatives / N + (1 - FNR) * positives / N.

    Numbers printed side by side must come from one set of predictions.

    Raises:
      ArithmeticError: If they don't.
    """
    right = sum((1 - rate.value) * rate.n for rate in (fpr, fnr) if rate.value is not None)
    claimed = 0.0 if accuracy.value is None else accuracy.value * accuracy.n
    if fpr.n + fnr.n != accuracy.n or abs(claimed - right) > 1e-6 * accuracy.n:
        raise ArithmeticError(
            f"{accuracy.name} of {dict(accuracy.group) or 'everyone'} counts {claimed:g} right of "
            f"{accuracy.n}, but {fpr.name} and {fnr.name} give {right:g} of {fpr.n} + {fnr.n}: "
            "these are not of the same predictions."
        )


def check_identities(measures: Sequence[Measure], accuracy: str, decision: str) -> None:
    """Holds the accuracy of everyone and of each group against the rates printed with it."""
    by_name = {(m.name, tuple(m.group.items())): m for m in measures if not m.across}
    for (name, group), m in by_name.items():
        if name == accuracy and len(group) < 2:
            check_identity(m, by_name[f"{decision}_fpr", group], by_name[f"{decision}_fnr", group])


def whole(quantity: Quantity, scene: Scene) -> list[Measure]:
    """Over everyone, by group, and across groups."""
    total, part = _total_and_parts(quantity, scene)
    across = summaries(part, across=scene.across, sampling=scene.sampling)
    return [total, *part.measures, *across]


def _total_and_parts(quantity: Quantity, scene: Scene) -> tuple[Measure, GroupRates]:
    total = measure_groups(quantity, np.zeros_like(scene.group), [{}], scene.sampling)
    groups = [{scene.across: name} for name in scene.names]
    part = measure_groups(quantity, scene.group, groups, scene.sampling, permute=True)
    return total.measures[0], part


def yes_no(
    name: str, labels: np.ndarray, decisions: np.ndarray, rule: str, scene: Scene
) -> list[Measure]:
    """Rates of a yes/no decision, and the fairness gaps made of them."""
    wrong = labels != decisions
    fpr, fnr, said, base = [
        _total_and_parts(quantity, scene)
        for quantity in (
            mean_of(
                f"{name}_fpr",
                wrong,
                used=~labels,
                errors=wrong,
                lower_is_better=True,
                rule=f"FP / (FP + TN), {rule}",
            ),
            mean_of(
                f"{name}_fnr",
                wrong,
                used=labels,
                errors=wrong,
                lower_is_better=True,
                rule=f"FN / (FN + TP), {rule}",
            ),
            mean_of(
                f"{name}_positive_rate",
                decisions,
                lower_is_better=False,
                rule=f"share called positive, {rule}",
            ),
            mean_of(
                f"{name}_base_rate",
                labels,
                lower_is_better=False,
                rule=f"share that is positive, {rule}",
            ),
        )
    ]
    measures = [m for total, part in (fpr, fnr, said, base) for m in [total, *part.measures]]
    for _, part in (fpr, fnr):
        measures += summaries(part, across=scene.across, sampling=scene.sampling)
    return [*measures, *_fairness(name, fpr[1], fnr[1], said[1], rule=rule, scene=scene)]


def _fairness(
    name: str, fpr: GroupRates, fnr: GroupRates, said: GroupRates, *, rule: str, scene: Scene
) -> list[Measure]:
    """The named gaps of a yes/no decision, as fairlearn defines them."""
    tpr = complement(fnr)
    measures: list[Measure] = []
    for suffix, (summary, parts, words) in {
        "demographic_parity_difference": (
            DIFFERENCE,
            [said],
            "largest - smallest share called positive",
        ),
        "demographic_parity_ratio": (RATIO, [said], "smallest / largest share called positive"),
        "equal_opportunity_difference": (
            DIFFERENCE,
            [tpr],
            "largest - smallest true positive rate",
        ),
        "equalized_odds_difference": (
            _ODDS["worst_case"],
            [fpr, tpr],
            "the larger of the differences of FPR and of TPR",
        ),
        "equalized_odds_mean_difference": (
            _ODDS["mean"],
            [fpr, tpr],
            "the mean of the differences of FPR and of TPR",
        ),
        "equalized_odds_ratio": (
            _ODDS_RATIO,
            [fpr, tpr],
            "the smaller of the ratios of FPR and of TPR",
        ),
    }.items():
        summary = replace(summary, rule=f"{words} (fairlearn's convention), {rule}")
        measures += summarise(
            f"{name}_{suffix}", summary, *parts, across=scene.across, sampling=scene.sampling
        )
    return measures


def of_classes(one: Scored, scene: Scene, more: Sequence[Quantity] = ()) -> list[Measure]:
    """What is special to a classifier: its classes, and how well its probabilities are set.

    Args:
      one: The classified attribute.
      scene: The groups.
      more: Other quantities to measure over everyone, by group and across groups.
    """
    groups = [{one.name: c} for c in one.classes]
    recall = mean_of(
        f"{one.name}_recall",
        ~one.wrong,
        errors=one.wrong,
        lower_is_better=False,
        rule="share of the class that is recognised",
    )
    precision = mean_of(
        f"{one.name}_precision",
        ~one.wrong,
        errors=one.wrong,
        rule="share of those taken for the class that are of it",
        lower_is_better=False,
    )
    calibrated = [_calibration(one)] if one.probabilities is not None else []
    return [
        *measure_groups(recall, one.labels, groups, scene.sampling).measures,
        *measure_groups(precision, one.decisions, groups, scene.sampling).measures,
        *(m for quantity in [*more, *calibrated] for m in whole(quantity, scene)),
    ]


def of_confusion(
    name: str,
    one: Scored,
    rate: Callable[[classification.Counts], np.ndarray],
    average: Average,
    rule: str,
    *,
    undefined: float,
    lower: bool = False,
) -> Quantity:
    """A rate of each class against the rest, averaged over the classes.

    Args:
      name: Name of the quantity.
      one: The classified attribute.
      rate: Function of counts of true and false positives and negatives.
      average: How classes are averaged.
      rule: Definition of the rate.
      undefined: What a class without such a rate counts as; NaN leaves it out.
      lower: Whether less is better.
    """
    rows = classification.confusion_rows(one.labels, one.decisions, classes=len(one.classes))

    def value(sums: np.ndarray) -> np.ndarray:
        return averaged(rate, one_vs_rest(sums), average, undefined=undefined)

    used = np.ones(len(rows), bool)
    return Quantity(name, "fraction", rule, rows, value, used, one.wrong, None, lower)


def _calibration(one: Scored) -> Quantity:
    """Expected calibration error of the probability given to the decision."""
    rule = f"expected calibration error over {CALIBRATION_BINS} equal-width bins"
    return Quantity(
        f"{one.name}_ece",
        "fraction",
        rule,
        _reliability_rows(one),
        calibration.expected_calibration_error,
        np.ones(len(one.labels), bool),
        None,
        None,
        lower_is_better=True,
        recentre=True,
    )


def _reliability_rows(one: Scored) -> np.ndarray:
    assert one.probabilities is not None
    confidence = one.probabilities.max(axis=1).clip(0, 1)
    return calibration.reliability_rows(confidence, ~one.wrong, bins=CALIBRATION_BINS)


def arrays(scored: Mapping[str, Scored], scene: Scene) -> dict[str, Any]:
    """Plot data: confusion matrices and reliability diagrams, over everyone and by group.

    Images without a known group count among everyone only.
    """
    confusion, reliability = {}, {}
    for name, one in scored.items():
        rows = classification.confusion_rows(one.labels, one.decisions, classes=len(one.classes))
        everyone, counts = (sums.astype(int) for sums in _sums(rows, scene))
        confusion[name] = {
            "classes": list(one.classes),
            "overall": everyone.tolist(),
            "by_group": dict(zip(scene.names, counts.tolist(), strict=True)),
        }
        if one.probabilities is not None:
            everyone, sums = _sums(_reliability_rows(one), scene)
            reliability[name] = {
                "edges": np.linspace(0, 1, CALIBRATION_BINS + 1).tolist(),
                "overall": _diagram(everyone),
                "by_group": {g: _diagram(s) for g, s in zip(scene.names, sums, strict=True)},
            }
    return {"confusion": confusion, "calibration": reliability}


def _sums(rows: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """What everyone's examples add up to, and each group's; some may be in no group."""
    known = scene.group >= 0
    own = by_group.group_sums(rows[known], scene.group[known], groups=len(scene.names))
    return rows.sum(axis=0), own


def _diagram(sums: np.ndarray) -> dict[str, list[Any]]:
    confidence, accuracy = calibration.reliability(sums)
    return {
        "n": sums[:, 0].astype(int).tolist(),
        "confidence": [finite_or_none(x) for x in confidence],
        "accuracy": [finite_or_none(x) for x in accuracy],
    }
