"""Predictions of attribute models: checked, and turned into decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairjax.core.names import counted


@dataclass(frozen=True)
class Scored:
    """A classified attribute.

    Attributes:
      name: The attribute, or "age_bin".
      classes: Names in label order.
      labels: int64 [examples].
      decisions: int64 [examples].
      probabilities: [examples, classes], or None where the decision has none.
      rule: How the decision is made.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    decisions: np.ndarray
    probabilities: np.ndarray | None
    rule: str

    @property
    def wrong(self) -> np.ndarray:
        return self.labels != self.decisions


def score(
    predictions: Mapping[str, np.ndarray],
    attributes: Mapping[str, Sequence[str]],
    age_bins: Sequence[int],
) -> dict[str, Scored]:
    """Every attribute that checked predictions classify, by name.

    Age bins come from "prob_age_bin" or else from "pred_age".
    """
    scored = {}
    for name, classes in attributes.items():
        if classes and f"prob_{name}" in predictions:
            likely = predictions[f"prob_{name}"].astype(np.float64)
            scored[name] = Scored(
                name,
                tuple(classes),
                predictions[name].astype(np.int64),
                likely.argmax(axis=1),
                likely,
                "decision = most probable class",
            )
    probabilities = None
    if "prob_age_bin" in predictions:
        probabilities = predictions["prob_age_bin"].astype(np.float64)
        decisions, rule = probabilities.argmax(axis=1), "decision = most probable age bin"
    elif "pred_age" in predictions:
        decisions = bins(predictions["pred_age"], age_bins)
        rule = "decision = bin of the predicted age"
    else:
        return scored
    names, labels = tuple(bin_names(age_bins)), bins(predictions["age"], age_bins)
    return scored | {"age_bin": Scored("age_bin", names, labels, decisions, probabilities, rule)}


def bins(ages: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """The bin of each age: it holds its lower edge; the first also holds what is below it."""
    return np.maximum(np.searchsorted(np.asarray(edges), ages, side="right") - 1, 0)


def bin_names(edges: Sequence[int]) -> list[str]:
    """Names of the bins in whole years: [0, 10, 20] gives 0-9, 10-19, 20+."""
    closed = [f"{low}-{high - 1}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [*closed, f"{edges[-1]}+"]


def require_readable(
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    group_by: str,
    age_bins: Sequence[int],
) -> None:
    """Refuses predictions that would give a wrong number.

    Raises:
      ValueError: If a column is missing, of another length, out of range or not finite, or if there
        is no model output; the message names the column.
    """
    if not attributes.get(group_by):
        known = ", ".join(name for name, values in attributes.items() if values)
        raise ValueError(f"group_by={group_by!r} must be a classified attribute: one of {known}.")
    if len(age_bins) < 2 or any(np.diff(age_bins) <= 0):
        raise ValueError(f"age_bins must be two or more ascending edges; got {list(age_bins)}.")
    outputs = {f"prob_{name}": len(values) for name, values in attributes.items() if values}
    outputs = {
        n: c for n, c in {**outputs, "prob_age_bin": len(age_bins)}.items() if n in predictions
    }
    if not outputs and "pred_age" not in predictions:
        raise ValueError(
            "the predictions hold no model output: expected pred_age or prob_<attribute>; found "
            f"{', '.join(sorted(predictions)) or 'nothing'}."
        )
    aged = {"pred_age", "prob_age_bin"} & set(predictions)
    needed = {
        "cluster",
        group_by,
        *(n.removeprefix("prob_") for n in outputs),
        *(["age"] * len(aged)),
    }
    for name in sorted(needed - {"age_bin"}):
        if name not in predictions:
            raise ValueError(f"the predictions lack the column {name!r}.")
    rows = len(predictions["cluster"])
    if not rows:
        raise ValueError("the predictions have no rows: nothing to evaluate.")
    for name in sorted({*needed, *outputs, *aged, "gender"} & set(predictions)):
        shape = (rows, outputs[name]) if name in outputs else (rows,)
        if predictions[name].shape != shape:
            raise ValueError(
                f"predictions[{name!r}] must have shape {shape}; it has {predictions[name].shape}."
            )
        _check_column(name, predictions[name], len(attributes.get(name, ())))
    if aged and predictions["age"].min() < age_bins[0]:
        raise ValueError(
            f"the youngest example is {predictions['age'].min()} years old, but age_bins begin at "
            f"{age_bins[0]}."
        )


def _check_column(name: str, column: np.ndarray, classes: int) -> None:
    """Labels must name a class, outputs must be finite, probabilities must add up to 1."""
    if name.startswith("prob_"):
        wrong = ~((column >= 0).all(axis=1) & (np.abs(column.sum(axis=1) - 1) < 0.01))
        expected = "probabilities that add up to 1"
    elif name == "pred_age":
        wrong, expected = ~np.isfinite(column), "finite years"
    elif not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"predictions[{name!r}] must be integers; they are {column.dtype}.")
    elif classes:
        wrong, expected = (column < 0) | (column >= classes), f"labels in 0 .. {classes - 1}"
    else:
        return
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"predictions[{name!r}] must hold {expected}; row {row} has {column[row].tolist()} "
            f"({counted(int(wrong.sum()), 'such row')})."
        )
