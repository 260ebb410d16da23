"""How numbers and names are put into words, the same in plots, reports and the terminal."""

import unicodedata
from collections.abc import Mapping

from fairjax.results import Measure

# suffix of a measure's name: (words, whether more is better; None: neither)
_METRICS: dict[str, tuple[str, bool | None]] = {
    "balanced_accuracy": ("balanced accuracy", True),
    "accuracy": ("accuracy", True),
    "precision": ("precision", True),
    "recall": ("recall", True),
    "f1": ("F1 score", True),
    "tpr": ("true positive rate", True),
    "tnr": ("true negative rate", True),
    "auc": ("area under the ROC curve", True),
    "positive_rate": ("called positive", None),
    "base_rate": ("labelled positive", None),
    "fpr": ("false positive rate", False),
    "fnr": ("false negative rate", False),
    "fmr": ("false match rate", False),
    "fnmr": ("false non-match rate", False),
    "eer": ("equal error rate", False),
    "mae": ("mean absolute error", False),
    "rmse": ("root mean square error", False),
    "mse": ("mean squared error", False),
    "error": ("error", False),
    "calibration_error": ("calibration error", False),
    "ece": ("calibration error", False),
    "brier": ("Brier score", False),
    "loss": ("loss", False),
}


def metric_of(name: str) -> str | None:
    """The known metric that a measure's name ends in ("gender_fpr" -> "fpr"), or None."""
    found = [m for m in _METRICS if name == m or name.endswith("_" + m)]
    return max(found, key=len, default=None)


def more_is_better(name: str) -> bool | None:
    """Whether a larger value of this measure is the better one; None where nothing says."""
    metric = metric_of(name)
    return None if metric is None else _METRICS[metric][1]


def describe(name: str) -> str:
    """A measure's name in words: "gender_fpr" -> "Gender false positive rate"."""
    metric = metric_of(name)
    if metric is None:
        return sentence(name.replace("_", " "))
    subject = name.removesuffix(metric).strip("_").replace("_", " ")
    words = _METRICS[metric][0]
    return sentence(f"{subject} {words}".strip())


def sentence(text: str) -> str:
    """The text with a capital letter in front, the rest untouched."""
    return text[:1].upper() + text[1:]


def group_name(group: Mapping[str, str]) -> str:
    """A group in words: {"race": "Black", "gender": "Female"} -> "Black, Female"."""
    return ", ".join(group.values()) if group else "everyone"


def number(value: float | int | None, unit: str, *, difference: bool = False) -> str:
    """One number with its unit, rounded for a reader.

    Args:
      value: The number; a fraction is shown in percent. None is "undefined".
      unit: "fraction", "years", "ratio", "count", or any other word.
      difference: Whether it is a difference of two fractions: shown in percentage points.
    """
    if value is None:
        return "undefined"
    return (digits(value, unit) + _suffix(unit, difference)).strip()


def digits(value: float | int | None, unit: str) -> str:
    """The number alone, rounded as `number` rounds it; fractions times 100."""
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{100 * value:.2g}" if 0 < abs(value) < 0.01 else f"{100 * value:.1f}"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:,.2f}"


def span(interval: tuple[float, float] | None, unit: str) -> str:
    """An interval without its unit, "5.9 to 6.9"; "" where there is none."""
    return "" if interval is None else " to ".join(digits(end, unit) for end in interval)


def beyond_chance(gap: float | None, floor: float | None) -> bool | None:
    """Whether a gap exceeds its noise floor; None where either is unknown.

    Args:
      gap: A summary that grows with the gap, such as the largest difference.
      floor: What the same summary stays below when groups are equal.
    """
    return None if gap is None or floor is None else gap > floor


def level(measure: Measure) -> str:
    """What its interval is called: "95% interval"."""
    return "interval" if measure.level is None else f"{100 * measure.level:g}% interval"


def printable(text: object, *, limit: int = 0) -> str:
    """Text that came from a file, safe for a terminal and for XML, on one line.

    Args:
      text: Anything; `str` is taken of it.
      limit: If positive, a longer text is cut there, with an ellipsis.
    """
    line = "".join(
        " " if c in "\n\r\t" else c if unicodedata.category(c)[0] != "C" else "\ufffd"
        for c in str(text)
    )
    return line[: limit - 1] + "…" if 0 < limit < len(line) else line


def _suffix(unit: str, difference: bool) -> str:
    if unit == "fraction":
        return " points" if difference else "%"
    return {"years": " years", "ratio": "", "count": ""}.get(unit, f" {unit}")
