"""The UTKFace study: age, gender and race of a face, by group.

From one set of predictions: the study's Tables 1 to 3 (age error, accuracies, false positive and
false negative rates of gender and age), the figures of its Table 4 (age bins), and beyond: gaps,
intersections, age error by decade, calibration. Whatever the predictions hold is measured; tasks
that the model doesn't have are left out. `fairjax.protocols.utkface_tables` renders them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from fairjax.metrics import bootstrap, by_group, calibration, classification
from fairjax.metrics.classification import Average, averaged, one_vs_rest
from fairjax.protocols.grouped import (
    DIFFERENCE,
    RATIO,
    ByGroup,
    Quantity,
    Sampling,
    Summary,
    complement,
    mean_of,
    measure_groups,
    summaries,
    summarise,
)
from fairjax.protocols.predictions import Scored, bin_names, bins, check, score
from fairjax.protocols.utkface_tables import PUBLISHED as PUBLISHED
from fairjax.protocols.utkface_tables import tables as tables
from fairjax.results import Measure, Results, finite_or_none

CALIBRATION_BINS = 15
DECADES = range(0, 100, 10)  # the last one is open: 90 years and over
AgeRate = Literal["threshold", "ovr_macro", "ovr_weighted", "ovr_micro"]


@dataclass(frozen=True)
class _Scene:
    """What every measurement of one evaluation shares."""

    across: str
    names: tuple[str, ...]
    group: np.ndarray
    sampling: Sampling


def evaluate(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    gender_positive: int,
    age_rate: AgeRate,
    age_positive_from: float | int,
    age_bins: Sequence[int],
    limits: Sequence[str],
) -> Results:
    """Measures a model's predictions.

    Args:
      predictions: Columns with one row an example. "cluster" (rows that are not independent share
        a number); the labels "age" in years, "gender" and the `group_by` attribute, as present;
        the model's outputs, as present: "pred_age" in years and "prob_<attribute>"
        [examples, classes], "prob_age_bin" for a classifier of the bins below. Others are ignored.
      attributes: For each attribute the names of its values in label order; () for a number.
      group_by: The attribute whose groups are compared: "race".
      resamples: Bootstrap resamples, and permutations for noise floors; 2,000 or more to publish.
      level: Coverage of the intervals, a fraction in (0, 1).
      seed: Of the resamples.
      gender_positive: The label that gender's false positive rate calls positive.
      age_rate: What age's false positive and false negative rates are of. "threshold": positive =
        age >= `age_positive_from`, decided by the predicted age. "ovr_*": each age bin against the
        rest, averaged over bins ("macro", "weighted" by support, "micro": counts added up).
      age_positive_from: Years.
      age_bins: Lower edges in years, ascending; a bin holds its lower edge, the last one is open.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or hold no model output.

    Source: the UTKFace study with ResNet-50, TFC and masked autoencoders. It states neither
    the positive gender nor how an age regression has a false positive rate; both are arguments
    here and are printed with the numbers.
    """
    check(predictions, attributes=attributes, group_by=group_by, age_bins=age_bins)
    cluster = predictions["cluster"]
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    sampling = Sampling(cluster, draws, level, seed)
    names = tuple(attributes[group_by])
    scene = _Scene(group_by, names, predictions[group_by].astype(np.int64), sampling)
    scored = score(predictions, attributes, age_bins)
    measures: list[Measure] = []
    quantities = []  # measured on the intersections too
    if "pred_age" in predictions:
        error = np.abs(predictions["pred_age"].astype(np.float64) - predictions["age"])
        quantities = [mean_of("age_mae", error, unit="years", lower_is_better=True,
                              rule="mean absolute error of the predicted age")]  # fmt: skip
    for name, one in scored.items():
        quantities.append(mean_of(f"{name}_accuracy", ~one.wrong, errors=one.wrong, rule=one.rule,
                                  lower_is_better=False))  # fmt: skip
    measures += [m for quantity in quantities for m in _whole(quantity, scene)]
    if "gender" in scored:
        one, rule = scored["gender"], f"positive = {attributes['gender'][gender_positive]}"
        labels, decisions = one.labels == gender_positive, one.decisions == gender_positive
        measures += _yes_no("gender", labels, decisions, rule, scene)
    if age_rate != "threshold" and "age_bin" in scored:
        for quantity in _one_vs_rest(scored["age_bin"], age_rate):
            measures += _whole(quantity, scene)
    elif "pred_age" in predictions:
        labels = predictions["age"] >= age_positive_from
        decisions = predictions["pred_age"] >= age_positive_from
        rule = f"positive = age >= {age_positive_from:g}"
        wrong = labels != decisions
        measures += _whole(mean_of("age_threshold_accuracy", ~wrong, errors=wrong, rule=rule,
                                   lower_is_better=False), scene)  # fmt: skip
        measures += _yes_no("age", labels, decisions, rule, scene)
    measures += [m for one in scored.values() for m in _of_classes(one, scene)]
    if "pred_age" in predictions:
        measures += _by_decade(quantities[0], predictions["age"], scene)
    if "gender" in predictions and group_by != "gender":
        measures += _intersections(quantities, predictions["gender"], attributes["gender"], scene)
    _check_identities(measures, "age_threshold_accuracy", "age")
    if len(attributes.get("gender", ())) == 2:
        _check_identities(measures, "gender_accuracy", "gender")
    protocol = {
        "name": "utkface",
        "group_by": group_by,
        "groups": list(names),
        "n": len(cluster),
        "n_clusters": len(draws.weights),
        "tasks": [*(["age"] if "pred_age" in predictions else []), *scored],
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"cluster bootstrap, {resamples} resamples",
        "noise_floor": f"{resamples} permutations of the {group_by} of whole clusters",
        "gender_positive": attributes["gender"][gender_positive] if "gender" in attributes else "",
        "age_rate": age_rate,
        "age_positive_from": age_positive_from,
        "age_bins": bin_names(age_bins),
        "calibration_bins": CALIBRATION_BINS,
    }
    return Results("attributes", protocol, measures, _arrays(scored, scene), list(limits), {})


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


def _check_identities(measures: Sequence[Measure], accuracy: str, decision: str) -> None:
    """Holds the accuracy of everyone and of each group against the rates printed with it."""
    found = {(m.name, tuple(m.group.items())): m for m in measures if not m.across}
    for (name, group), m in found.items():
        if name == accuracy and len(group) < 2:
            check_identity(m, found[f"{decision}_fpr", group], found[f"{decision}_fnr", group])


def _whole(quantity: Quantity, scene: _Scene) -> list[Measure]:
    """Over everyone, by group, and across groups."""
    total, part = _total_and_parts(quantity, scene)
    across = summaries(part, across=scene.across, sampling=scene.sampling)
    return [total, *part.measures, *across]


def _total_and_parts(quantity: Quantity, scene: _Scene) -> tuple[Measure, ByGroup]:
    total = measure_groups(quantity, np.zeros_like(scene.group), [{}], scene.sampling)
    groups = [{scene.across: name} for name in scene.names]
    part = measure_groups(quantity, scene.group, groups, scene.sampling, permute=True)
    return total.measures[0], part


def _yes_no(
    name: str, labels: np.ndarray, decisions: np.ndarray, rule: str, scene: _Scene
) -> list[Measure]:
    """Rates of a yes/no decision, and the fairness gaps made of them."""
    wrong = labels != decisions
    fpr, fnr, said, base = [
        _total_and_parts(quantity, scene)
        for quantity in (
            mean_of(f"{name}_fpr", wrong, used=~labels, errors=wrong, lower_is_better=True,
                    rule=f"FP / (FP + TN), {rule}"),
            mean_of(f"{name}_fnr", wrong, used=labels, errors=wrong, lower_is_better=True,
                    rule=f"FN / (FN + TP), {rule}"),
            mean_of(f"{name}_positive_rate", decisions, lower_is_better=False,
                    rule=f"share called positive, {rule}"),
            mean_of(f"{name}_base_rate", labels, lower_is_better=False,
                    rule=f"share that is positive, {rule}"),
        )
    ]  # fmt: skip
    measures = [m for total, part in (fpr, fnr, said, base) for m in [total, *part.measures]]
    for _, part in (fpr, fnr):
        measures += summaries(part, across=scene.across, sampling=scene.sampling)
    return [*measures, *_fairness(name, fpr[1], fnr[1], said[1], rule=rule, scene=scene)]


def _fairness(
    name: str, fpr: ByGroup, fnr: ByGroup, said: ByGroup, *, rule: str, scene: _Scene
) -> list[Measure]:
    """The named gaps of a yes/no decision, as fairlearn defines them."""
    odds = partial(by_group.equalized_odds_difference, agg="worst_case")
    odds_mean = partial(by_group.equalized_odds_difference, agg="mean")
    odds_ratio = partial(by_group.equalized_odds_ratio, agg="worst_case")
    tpr = complement(fnr)
    wanted = [
        (replace(DIFFERENCE, name="demographic_parity_difference",
                 rule="largest - smallest share called positive"), [said]),
        (replace(RATIO, name="demographic_parity_ratio",
                 rule="smallest / largest share called positive"), [said]),
        (replace(DIFFERENCE, name="equal_opportunity_difference",
                 rule="largest - smallest true positive rate"), [tpr]),
        (Summary("equalized_odds_difference", odds, odds, noise=True,
                 rule="the larger of the differences of FPR and of TPR"), [fpr, tpr]),
        (Summary("equalized_odds_mean_difference", odds_mean, odds_mean, noise=True,
                 rule="the mean of the differences of FPR and of TPR"), [fpr, tpr]),
        (Summary("equalized_odds_ratio", odds_ratio, odds, unit="ratio", log=True, high=1.0,
                 rule="the smaller of the ratios of FPR and of TPR"), [fpr, tpr]),
    ]  # fmt: skip
    found: list[Measure] = []
    for summary, parts in wanted:
        summary = replace(summary, rule=f"{summary.rule} (fairlearn's convention), {rule}")
        found += summarise(name, summary, *parts, across=scene.across, sampling=scene.sampling)
    return found


def _by_decade(quantity: Quantity, ages: np.ndarray, scene: _Scene) -> list[Measure]:
    groups = [{"age": name} for name in bin_names(DECADES)]
    return measure_groups(quantity, bins(ages, DECADES), groups, scene.sampling).measures


def _of_classes(one: Scored, scene: _Scene) -> list[Measure]:
    """What is special to a classifier: its classes, and how well its probabilities are set."""
    groups = [{one.name: c} for c in one.classes]
    recall = mean_of(f"{one.name}_recall", ~one.wrong, errors=one.wrong, lower_is_better=False,
                     rule="share of the class that is recognised")  # fmt: skip
    precision = mean_of(f"{one.name}_precision", ~one.wrong, errors=one.wrong,
                        rule="share of those taken for the class that are of it",
                        lower_is_better=False)  # fmt: skip
    whole = _weighted(one) if one.name == "age_bin" else []
    whole += [_calibration(one)] if one.probabilities is not None else []
    return [
        *measure_groups(recall, one.labels, groups, scene.sampling).measures,
        *measure_groups(precision, one.decisions, groups, scene.sampling).measures,
        *(m for quantity in whole for m in _whole(quantity, scene)),
    ]


def _weighted(one: Scored) -> list[Quantity]:
    """The study's Table 4 beside accuracy: precision, recall and F1 within a group.

    It weights classes by their support within the group; the macro average does not.
    """
    averages: dict[Average, str] = {"weighted": "weighted by support", "macro": "mean"}
    rates = {"precision": classification.precision, "recall": classification.recall,
             "f1": classification.f1}  # fmt: skip
    return [
        _of_confusion(
            f"{one.name}_{average}_{name}", one, rate, average,
            f"{how} over {len(one.classes)} classes, 0/0 counts 0; {one.rule}", undefined=0.0,
        )
        for average, how in averages.items()
        for name, rate in rates.items()
    ]  # fmt: skip


def _one_vs_rest(bins: Scored, age_rate: AgeRate) -> list[Quantity]:
    average: Average = {"ovr_macro": "macro", "ovr_weighted": "weighted", "ovr_micro": "micro"}[
        age_rate
    ]  # type: ignore[assignment]
    rule = f"each age bin against the rest, {average} average; {bins.rule}"
    return [
        _of_confusion(f"age_{name}", bins, rate, average, rule, undefined=np.nan, lower=True)
        for name, rate in {"fpr": classification.fpr, "fnr": classification.fnr}.items()
    ]


def _of_confusion(
    name: str,
    one: Scored,
    rate: Callable[[classification.Counts], np.ndarray],
    average: Average,
    rule: str,
    *,
    undefined: float,
    lower: bool = False,
) -> Quantity:
    rows = classification.confusion_rows(one.labels, one.decisions, classes=len(one.classes))

    def value(sums: np.ndarray) -> np.ndarray:
        return averaged(rate, one_vs_rest(sums), average, undefined=undefined)

    used = np.ones(len(rows), bool)
    return Quantity(name, "fraction", rule, rows, value, used, one.wrong, None, lower)


def _calibration(one: Scored) -> Quantity:
    """Expected calibration error of the probability given to the decision."""
    rule = f"expected calibration error over {CALIBRATION_BINS} equal-width bins"
    return Quantity(
        f"{one.name}_ece", "fraction", rule, _reliability_rows(one),
        calibration.expected_calibration_error, np.ones(len(one.labels), bool), None, None,
        lower_is_better=True, recentre=True,
    )  # fmt: skip


def _reliability_rows(one: Scored) -> np.ndarray:
    assert one.probabilities is not None
    confidence = one.probabilities.max(axis=1).clip(0, 1)
    return calibration.reliability_rows(confidence, ~one.wrong, bins=CALIBRATION_BINS)


def _intersections(
    quantities: Sequence[Quantity], gender: np.ndarray, genders: Sequence[str], scene: _Scene
) -> list[Measure]:
    group = by_group.intersection([scene.group, gender], [len(scene.names), len(genders)])
    groups = [{scene.across: a, "gender": b} for a in scene.names for b in genders]
    return [
        measure
        for quantity in quantities
        for measure in measure_groups(quantity, group, groups, scene.sampling).measures
    ]


def _arrays(scored: Mapping[str, Scored], scene: _Scene) -> dict[str, Any]:
    """Plot data: confusion matrices and reliability diagrams, over everyone and by group."""
    confusion, reliability = {}, {}
    for name, one in scored.items():
        rows = classification.confusion_rows(one.labels, one.decisions, classes=len(one.classes))
        counts = by_group.group_sums(rows, scene.group, groups=len(scene.names)).astype(int)
        confusion[name] = {
            "classes": list(one.classes),
            "overall": counts.sum(axis=0).tolist(),
            "by_group": dict(zip(scene.names, counts.tolist(), strict=True)),
        }
        if one.probabilities is not None:
            sums = by_group.group_sums(_reliability_rows(one), scene.group, groups=len(scene.names))
            reliability[name] = {
                "edges": np.linspace(0, 1, CALIBRATION_BINS + 1).tolist(),
                "overall": _diagram(sums.sum(axis=0)),
                "by_group": {g: _diagram(s) for g, s in zip(scene.names, sums, strict=True)},
            }
    return {"confusion": confusion, "calibration": reliability}


def _diagram(sums: np.ndarray) -> dict[str, list[Any]]:
    confidence, accuracy = calibration.reliability(sums)
    return {
        "n": sums[:, 0].astype(int).tolist(),
        "confidence": [finite_or_none(x) for x in confidence],
        "accuracy": [finite_or_none(x) for x in accuracy],
    }
