"""Any classifier of an attribute: error rates of its decisions by group, and the named gaps.

What `utkface` measures of gender and race, for labels, predictions and groups that somebody brings.
Two classes are a yes/no decision; more are measured as a whole and one against the rest.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from fairjax.core.results import Measure, Results, Table
from fairjax.metrics import bootstrap
from fairjax.protocols.by_image.decisions import (
    CALIBRATION_BINS,
    Scene,
    arrays,
    check_identities,
    of_classes,
    whole,
    yes_no,
)
from fairjax.protocols.by_image.grouped import Sampling, mean_of
from fairjax.protocols.by_image.predictions import Scored
from fairjax.protocols.utkface_tables import by_group_table, gap_table

ANSWER_TESTS = 2  # primary tests of `measure_answers`: no answer, and accuracy of all


def measure_decisions(
    *,
    label: Int[np.ndarray, " examples"],
    prediction: Int[np.ndarray, " examples"],
    probability: Float[np.ndarray, "examples classes"] | None,
    classes: Sequence[str],
    positive: int,
    group: Int[np.ndarray, " examples"],
    groups: Sequence[str],
    cluster: Int[np.ndarray, " examples"],
    attribute: str,
    group_by: str,
    decision_rule: str,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
    more_tests: int = 0,
) -> Results:
    """Measures a classifier's decisions by group.

    Args:
      label: True class of each example, an index into `classes`.
      prediction: The class decided for.
      probability: Probability of each class, for calibration; None leaves it out.
      classes: Names of the classes.
      positive: The class that rates of a yes/no decision call positive; with more than two classes
        every class takes its turn against the rest.
      group: Group of each example, an index into `groups`.
      groups: Names of the groups.
      cluster: Examples that are not independent (pictures of one person) share a number.
      attribute: What is classified: "gender". Names of measures begin with it.
      group_by: What the groups are of: "race".
      decision_rule: How a score becomes a decision, for the reader.
      resamples: Bootstrap resamples, and permutations; 2,000 or more to publish.
      level: Coverage of intervals, a fraction in (0, 1).
      seed: Seed of everything drawn.
      limits: Sentences for the reader.
      more_tests: Number of primary tests that the caller adds to the report, such as
        `ANSWER_TESTS`.

    Returns:
      Results of kind "attributes"; the provenance is empty, for the caller to fill in.

    Raises:
      ValueError: If there are fewer than two classes or groups, or no example.
    """
    for what, names in (("classes", classes), ("groups", groups)):
        if len(names) < 2:
            raise ValueError(f"two or more {what} are needed; got {list(names)}.")
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    turns = [positive] if len(classes) == 2 else range(len(classes))
    tests = decision_tests(classes) + more_tests
    scene = Scene(group_by, tuple(groups), group, Sampling(cluster, draws, level, seed, tests))
    one = Scored(attribute, tuple(classes), label, prediction, probability, decision_rule)
    accuracy = mean_of(
        f"{attribute}_accuracy",
        ~one.wrong,
        errors=one.wrong,
        rule=decision_rule,
        lower_is_better=False,
    )
    measures = whole(accuracy, scene)
    for k in turns:
        name = attribute if len(classes) == 2 else f"{attribute}_{classes[k]}"
        rule = f"positive = {classes[k]}" + ("" if len(classes) == 2 else ", against the rest")
        measures += yes_no(name, label == k, prediction == k, rule, scene)
    if len(classes) == 2:
        check_identities(measures, f"{attribute}_accuracy", attribute)
    measures += of_classes(one, scene)
    protocol = {
        "name": "attributes",
        "attribute": attribute,
        "classes": list(classes),
        "positive": classes[positive] if len(classes) == 2 else "each class in turn",
        "decision": decision_rule,
        "group_by": group_by,
        "groups": list(groups),
        "n": len(label),
        "n_clusters": len(draws.weights),
        "tasks": [attribute],
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"cluster bootstrap, {resamples} resamples",
        "noise_floor": f"{resamples} permutations of the {group_by} of whole clusters",
        "calibration_bins": CALIBRATION_BINS if probability is not None else 0,
    }
    return Results(
        "attributes", protocol, measures, arrays({attribute: one}, scene), list(limits), {}
    )


def decision_tests(classes: Sequence[str]) -> int:
    """Number of primary tests of `measure_decisions`: accuracy, and both error rates of a turn."""
    return 1 + 2 * (1 if len(classes) == 2 else len(classes))


def measure_answers(
    answered: Bool[np.ndarray, " examples"],
    right: Bool[np.ndarray, " examples"],
    *,
    group: Int[np.ndarray, " examples"],
    groups: Sequence[str],
    cluster: Int[np.ndarray, " examples"],
    attribute: str,
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    more_tests: int = 0,
) -> list[Measure]:
    """How often a model gives no answer (no face found), and accuracy where that counts as wrong.

    Args:
      answered: Whether the model decided for a class.
      right: Whether it decided for the true one; False where it gave no answer.
      group: Group of each example, an index into `groups`.
      groups: Names of the groups.
      cluster: Examples that are not independent share a number.
      attribute: What is classified: "gender".
      group_by: What the groups are of: "race".
      resamples: Bootstrap resamples, and permutations.
      level: Coverage of intervals, a fraction in (0, 1).
      seed: Seed of everything drawn.
      more_tests: Number of primary tests beside these in the report: `decision_tests`.
    """
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    tests = ANSWER_TESTS + more_tests
    scene = Scene(group_by, tuple(groups), group, Sampling(cluster, draws, level, seed, tests))
    silent = mean_of(
        f"{attribute}_no_answer",
        ~answered,
        errors=~answered,
        rule="share of examples without a prediction",
        lower_is_better=True,
    )
    accuracy = mean_of(
        f"{attribute}_accuracy_of_all",
        right,
        errors=~right,
        rule="share of all examples that are right; no answer counts as wrong",
        lower_is_better=False,
    )
    return [*whole(silent, scene), *whole(accuracy, scene)]


def measure_numbers(
    *,
    label: Float[np.ndarray, " examples"],
    prediction: Float[np.ndarray, " examples"],
    group: Int[np.ndarray, " examples"],
    groups: Sequence[str],
    cluster: Int[np.ndarray, " examples"],
    attribute: str,
    group_by: str,
    resamples: int,
    level: float,
    seed: int,
    limits: Sequence[str],
) -> Results:
    """Measures a regression, such as of ages, by group: mean absolute error, and its direction.

    Args:
      label: True number of each example.
      prediction: The predicted one, in the same unit.
      group: Group of each example, an index into `groups`.
      groups: Names of the groups.
      cluster: Examples that are not independent share a number.
      attribute: What is predicted: "age", whose unit is taken to be years.
      group_by: What the groups are of: "race".
      resamples: Bootstrap resamples, and permutations.
      level: Coverage of intervals, a fraction in (0, 1).
      seed: Seed of everything drawn.
      limits: Sentences for the reader.

    Returns:
      Results of kind "attributes"; the provenance is empty, for the caller to fill in.

    Raises:
      ValueError: If there are fewer than two groups.
    """
    if len(groups) < 2:
        raise ValueError(f"two or more groups are needed; got {list(groups)}.")
    draws = bootstrap.draw(cluster, resamples=resamples, seed=seed)
    sampling = Sampling(cluster, draws, level, seed, tests=2)  # mean error and its direction
    scene = Scene(group_by, tuple(groups), group, sampling)
    error = prediction - label
    absolute = mean_of(
        f"{attribute}_mae",
        np.abs(error),
        unit="years" if "age" in attribute.lower().split("_") else "units",
        rule=f"mean absolute error of the predicted {attribute}",
        lower_is_better=True,
    )
    above = mean_of(
        f"{attribute}_overestimated",
        error > 0,
        rule="share of examples whose prediction is above the label",
        lower_is_better=True,
    )
    protocol = {
        "name": "numbers",
        "attribute": attribute,
        "classes": [],
        "decision": f"predicted {attribute} as it is",
        "group_by": group_by,
        "groups": list(groups),
        "n": len(label),
        "n_clusters": len(draws.weights),
        "tasks": [attribute],
        "resamples": resamples,
        "level": level,
        "seed": seed,
        "interval": f"cluster bootstrap, {resamples} resamples",
        "noise_floor": f"{resamples} permutations of the {group_by} of whole clusters",
        "calibration_bins": 0,
    }
    measures = [*whole(absolute, scene), *whole(above, scene)]
    return Results("attributes", protocol, measures, {}, list(limits), {})


def tables(results: Results) -> list[Table]:
    """Accuracy and rates by group, and the gaps; fractions in percent with their intervals."""
    p = results.protocol
    attribute, classes = p["attribute"], p["classes"]
    if not classes:
        return _tables_of_numbers(results)
    turns = [attribute] if len(classes) == 2 else [f"{attribute}_{name}" for name in classes]
    level = f"Brackets: {100 * p['level']:g} % interval, {p['interval']}. * = few errors."
    accuracies = [f"{attribute}_accuracy", f"{attribute}_accuracy_of_all"]
    names = [[*accuracies, f"{attribute}_no_answer", f"{attribute}_ece"]]
    names += [
        [f"{turn}_{rate}" for rate in ("positive_rate", "base_rate", "fpr", "fnr")]
        for turn in turns
    ]
    all_tables = [
        by_group_table(
            results,
            p["group_by"],
            p["groups"],
            some,
            f"{p['decision']}. {level}",
            title=f"{title} by {p['group_by']}",
        )
        for title, some in zip(
            ["Accuracy", *(turn.replace("_", " ") for turn in turns)], names, strict=True
        )
    ]
    all_tables.append(gap_table(results))
    return [table for table in all_tables if table.rows]


def _tables_of_numbers(results: Results) -> list[Table]:
    p = results.protocol
    level = f"Brackets: {100 * p['level']:g} % interval, {p['interval']}. * = few examples."
    names = [f"{p['attribute']}_mae", f"{p['attribute']}_overestimated"]
    title = f"Errors of the predicted {p['attribute']} by {p['group_by']}"
    table = by_group_table(results, p["group_by"], p["groups"], names, level, title=title)
    return [table, gap_table(results)]
