"""The UTKFace study: age, gender and race of a face, by group.

From one set of predictions: the study's Tables 1 to 3 (age error, accuracies, false positive and
false negative rates of gender and age), the figures of its Table 4 (age bins), and beyond: gaps,
intersections, age error by decade, calibration. Whatever the predictions hold is measured; tasks
that the model doesn't have are left out. `fairjax.protocols.utkface_tables` renders them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fairjax.core.results import Measure, Results
from fairjax.metrics import bootstrap, by_group, classification
from fairjax.metrics.classification import Average
from fairjax.protocols.by_image.decisions import (
    CALIBRATION_BINS,
    Scene,
    arrays,
    check_identities,
    of_classes,
    of_confusion,
    whole,
    yes_no,
)
from fairjax.protocols.by_image.decisions import check_identity as check_identity
from fairjax.protocols.by_image.grouped import Quantity, Sampling, mean_of, measure_groups
from fairjax.protocols.by_image.predictions import Scored, bin_names, bins, require_readable, score
from fairjax.protocols.settings import ProtocolSettings
from fairjax.protocols.utkface_tables import PUBLISHED as PUBLISHED
from fairjax.protocols.utkface_tables import tables as tables

DECADES = range(0, 100, 10)  # the last one is open: 90 years and over
AgeRate = Literal["threshold", "ovr_macro", "ovr_weighted", "ovr_micro"]


@dataclass(frozen=True, kw_only=True)
class UtkfaceSettings(ProtocolSettings):
    """Settings of attribute models: the UTKFace study's readings.

    Attributes:
      gender_positive: Label that gender's false positive rate calls positive.
      age_rate: What age's false positive and false negative rates are of. "threshold": positive =
        age >= `age_positive_from`, decided by the predicted age. "ovr_*": each age bin against the
        rest, averaged over bins ("macro", "weighted" by support, "micro": counts added up).
      age_positive_from: Age in years from which `age_rate` "threshold" counts as positive.
      age_bins: Lower edges in years, ascending; a bin holds its lower edge, the last one is open.
    """

    gender_positive: int = 1
    age_rate: AgeRate = "threshold"
    age_positive_from: float | int = 30.0
    age_bins: Sequence[int] = (0, 10, 20, 30, 40, 50, 60)


def measure_utkface(
    predictions: Mapping[str, np.ndarray],
    settings: UtkfaceSettings,
    *,
    attributes: Mapping[str, Sequence[str]],
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a model's predictions.

    Args:
      predictions: Columns with one row an example. "cluster" (rows that are not independent share
        a number); the labels "age" in years, "gender" and the `group_by` attribute, as present;
        the model's outputs, as present: "pred_age" in years and "prob_<attribute>"
        [examples, classes], "prob_age_bin" for a classifier of the bins below. Others are ignored.
      settings: What is measured.
      attributes: For each attribute the names of its values in label order; () for a number.
      seed: Seed of the resamples.
      limits: Sentences about the labels: who assigned them, what they cannot show.

    Returns:
      The results; `provenance` is empty, for the caller to fill in.

    Raises:
      ValueError: If the predictions can't be read as described, or hold no model output.

    Source: the UTKFace study with ResNet-50, TFC and masked autoencoders. It states neither
    the positive gender nor how an age regression has a false positive rate; both are arguments
    here and are printed with the numbers.
    """
    group_by, age_bins = settings.group_by, settings.age_bins
    require_readable(predictions, attributes=attributes, group_by=group_by, age_bins=age_bins)
    cluster = predictions["cluster"]
    draws = bootstrap.draw(cluster, resamples=settings.resamples, seed=seed)
    names = tuple(attributes[group_by])
    scored = score(predictions, attributes, age_bins)
    has_age = "pred_age" in predictions
    # a mean error, an accuracy each, both error rates of gender, those of age and their accuracy
    tests = has_age + len(scored) + 2 * ("gender" in scored)
    tests += 3 * (has_age and settings.age_rate == "threshold")
    sampling = Sampling(cluster, draws, settings.level, seed, max(tests, 1))
    scene = Scene(group_by, names, predictions[group_by].astype(np.int64), sampling)
    measures: list[Measure] = []
    quantities = []  # measured on the intersections too
    if "pred_age" in predictions:
        error = np.abs(predictions["pred_age"].astype(np.float64) - predictions["age"])
        quantities = [
            mean_of(
                "age_mae",
                error,
                unit="years",
                lower_is_better=True,
                rule="mean absolute error of the predicted age",
            )
        ]
    for name, one in scored.items():
        quantities.append(
            mean_of(
                f"{name}_accuracy",
                ~one.wrong,
                errors=one.wrong,
                rule=one.rule,
                lower_is_better=False,
            )
        )
    measures += [m for quantity in quantities for m in whole(quantity, scene)]
    if "gender" in scored:
        one, rule = scored["gender"], f"positive = {attributes['gender'][settings.gender_positive]}"
        labels, decisions = (
            one.labels == settings.gender_positive,
            one.decisions == settings.gender_positive,
        )
        measures += yes_no("gender", labels, decisions, rule, scene)
    if settings.age_rate != "threshold" and "age_bin" in scored:
        for quantity in _one_vs_rest(scored["age_bin"], settings.age_rate):
            measures += whole(quantity, scene)
    elif "pred_age" in predictions:
        labels = predictions["age"] >= settings.age_positive_from
        decisions = predictions["pred_age"] >= settings.age_positive_from
        rule = f"positive = age >= {settings.age_positive_from:g}"
        wrong = labels != decisions
        measures += whole(
            mean_of(
                "age_threshold_accuracy", ~wrong, errors=wrong, rule=rule, lower_is_better=False
            ),
            scene,
        )
        measures += yes_no("age", labels, decisions, rule, scene)
    for name, one in scored.items():
        measures += of_classes(one, scene, _weighted(one) if name == "age_bin" else [])
    if "pred_age" in predictions:
        measures += _by_decade(quantities[0], predictions["age"], scene)
    if "gender" in predictions and group_by != "gender":
        measures += _intersections(quantities, predictions["gender"], attributes["gender"], scene)
    check_identities(measures, "age_threshold_accuracy", "age")
    if len(attributes.get("gender", ())) == 2:
        check_identities(measures, "gender_accuracy", "gender")
    protocol = {
        "name": "utkface",
        "group_by": group_by,
        "groups": list(names),
        "n": len(cluster),
        "n_clusters": len(draws.weights),
        "tasks": [*(["age"] if "pred_age" in predictions else []), *scored],
        "resamples": settings.resamples,
        "level": settings.level,
        "seed": seed,
        "interval": f"cluster bootstrap, {settings.resamples} resamples",
        "noise_floor": f"{settings.resamples} permutations of the {group_by} of whole clusters",
        "gender_positive": attributes["gender"][settings.gender_positive]
        if "gender" in attributes
        else "",
        "age_rate": settings.age_rate,
        "age_positive_from": settings.age_positive_from,
        "age_bins": bin_names(age_bins),
        "calibration_bins": CALIBRATION_BINS,
    }
    return Results("attributes", protocol, measures, arrays(scored, scene), list(limits), {})


def _by_decade(quantity: Quantity, ages: np.ndarray, scene: Scene) -> list[Measure]:
    groups = [{"age": name} for name in bin_names(DECADES)]
    return measure_groups(quantity, bins(ages, DECADES), groups, scene.sampling).measures


def _weighted(one: Scored) -> list[Quantity]:
    """The study's Table 4 beside accuracy: precision, recall and F1 within a group.

    It weights classes by their support within the group; the macro average does not.
    """
    averages: dict[Average, str] = {"weighted": "weighted by support", "macro": "mean"}
    rates = {
        "precision": classification.precision,
        "recall": classification.recall,
        "f1": classification.f1,
    }
    return [
        of_confusion(
            f"{one.name}_{average}_{name}",
            one,
            rate,
            average,
            f"{how} over {len(one.classes)} classes, 0/0 counts 0; {one.rule}",
            undefined=0.0,
        )
        for average, how in averages.items()
        for name, rate in rates.items()
    ]


def _one_vs_rest(bins: Scored, age_rate: AgeRate) -> list[Quantity]:
    average: Average = {"ovr_macro": "macro", "ovr_weighted": "weighted", "ovr_micro": "micro"}[
        age_rate
    ]  # type: ignore[assignment]
    rule = f"each age bin against the rest, {average} average; {bins.rule}"
    return [
        of_confusion(f"age_{name}", bins, rate, average, rule, undefined=np.nan, lower=True)
        for name, rate in {"fpr": classification.fpr, "fnr": classification.fnr}.items()
    ]


def _intersections(
    quantities: Sequence[Quantity], gender: np.ndarray, genders: Sequence[str], scene: Scene
) -> list[Measure]:
    group = by_group.intersection([scene.group, gender], [len(scene.names), len(genders)])
    groups = [{scene.across: a, "gender": b} for a in scene.names for b in genders]
    return [
        measure
        for quantity in quantities
        for measure in measure_groups(quantity, group, groups, scene.sampling).measures
    ]
