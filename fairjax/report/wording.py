"""How numbers and names are put into words, the same in plots, reports and the terminal."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fairjax.core.results import Measure

# suffix of a measure's name: (words, whether more is better; None: neither)
_METRICS: dict[str, tuple[str, bool | None]] = {
    "balanced_accuracy": ("balanced accuracy", True),
    "accuracy": ("accuracy", True),
    "accuracy_of_all": ("accuracy, no answer counting as wrong", True),
    "no_answer": ("without an answer", False),
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
    "tmr": ("true match rate", True),
    "fpir": ("false positive identification rate", False),
    "fnir": ("false negative identification rate", False),
    "eer": ("equal error rate", False),
    "d_prime": ("separation of scores, d′", True),
    "fairness_discrepancy_rate": ("fairness discrepancy rate", True),
    "inequity_rate": ("inequity rate", False),
    "garbe": ("GARBE, Gini of both rates", False),
    "worst_error_rate_multiplier": ("worst error rate multiplier", False),
    "mae": ("mean absolute error", False),
    "rmse": ("root mean square error", False),
    "mse": ("mean squared error", False),
    "error": ("error", False),
    "calibration_error": ("calibration error", False),
    "ece": ("calibration error", False),
    "brier": ("Brier score", False),
    "loss": ("loss", False),
}
# What a summary over groups is called after its base: "gender_fpr" + "_difference".
SUMMARIES = {
    "mean": "mean over groups",
    "worst": "worst group",
    "difference": "largest less smallest",
    "ratio": "smallest over largest",
    "std": "standard deviation over groups",
    "std_over_mean": "standard deviation over mean",
    "ser": "skewed error ratio",
    "max_over_min": "largest over smallest",
    "max_over_geomean": "largest over geometric mean",
    "gini": "Gini coefficient",
    "sum_abs_log10": "sum of |log10| to parity",
    "bias_degree": "degree of bias",
    "equality": "all groups alike",
    "detectable_ratio": "smallest ratio to be shown",
    "people_needed": "people a group to show a ratio of 2",
}
_TAILS = {
    "smoothed": "smoothed",
    "noise_floor": "noise floor",
    "p_value": "p-value",
    "p_value_holm": "p-value after Holm",
    "p_value_bh": "p-value after Benjamini-Hochberg",
    "change": "change",
}
_NAME = re.compile(
    rf"(.+?)(?:_({'|'.join(sorted(SUMMARIES, key=len, reverse=True))}))?"
    r"((?:_smoothed)?(?:_noise_floor|_p_value(?:_holm|_bh)?|_change)?)"
)


class Parts(NamedTuple):
    """A measure's name taken apart: "fmr_gini_smoothed" is ("fmr", "gini", "smoothed")."""

    base: str
    summary: str
    tail: str


def parts_of(name: str) -> Parts:
    """What is measured, how it is summarised over groups ("" if not), and what of that it is."""
    hit = _NAME.fullmatch(name)
    return Parts(hit[1], hit[2] or "", hit[3].strip("_")) if hit else Parts(name, "", "")


def is_difference(name: str) -> bool:
    """Whether a measure of fractions is a distance between them, told in percentage points."""
    _, summary, tail = parts_of(name)
    return summary in ("difference", "std") or tail == "change"


def metric_of(name: str) -> str | None:
    """The known metric in a measure's name, or None.

    It is the name's end ("gender_fpr" -> "fpr"); a protocol's accuracy may name its variant after
    it ("accuracy_insightface" -> "accuracy").
    """
    known = [m for m in _METRICS if name == m or name.endswith("_" + m)]
    is_variant = name.startswith("accuracy_") and parts_of(name).base == name
    return max(known, key=len, default="accuracy" if is_variant else None)


def more_is_better(name: str) -> bool | None:
    """Whether a larger value of this measure is the better one; None where nothing says."""
    metric = metric_of(name)
    return None if metric is None else _METRICS[metric][1]


def describe(name: str) -> str:
    """A measure's name in words: "gender_fpr_gini" -> "Gender false positive rate: Gini ..."."""
    base, summary, tail = parts_of(name)
    metric = metric_of(base)
    if metric is None:
        text = words(base)
    elif base.startswith(metric + "_"):
        text = f"{_METRICS[metric][0]}, {words(base.removeprefix(metric + '_'))}"
    else:
        text = f"{words(base.removesuffix(metric).strip('_'))} {_METRICS[metric][0]}".strip()
    text += f": {SUMMARIES[summary]}" if summary else ""
    tails = [phrase for key, phrase in _TAILS.items() if tail in (key, f"smoothed_{key}")]
    tails = ["smoothed", *tails] if tail.startswith("smoothed_") else tails
    return sentence(", ".join([text, *tails]))


def sentence(text: str) -> str:
    """The text with a capital letter in front, the rest untouched."""
    return text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """The text with a small letter in front, unless it begins with an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def words(name: str) -> str:
    """A snake_case name with spaces."""
    return name.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "A, B and C"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def group_name(group: Mapping[str, str]) -> str:
    """A group in words: {"race": "Black", "gender": "Female"} -> "Black, Female"."""
    return ", ".join(group.values()) if group else "everyone"


def number(value: float | int | None, unit: str, *, difference: bool = False) -> str:
    """One number with its unit, rounded for a reader.

    Args:
      value: The number; a fraction is shown in percent. None is "undefined".
      unit: "fraction", "years", "ratio", "index", "count", or any other word.
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
        return f"{100 * value:.2g}" if 0 < abs(value) < 0.00995 else f"{100 * value:.1f}"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "index":  # a pure number in [0, 1] that may be very near 1
        return f"{value:.3f}" if value < 0.99 else f"{value:.5g}"
    return f"{value:,.2f}"


def span(interval: tuple[float, float] | None, unit: str) -> str:
    """An interval without its unit, "5.9 to 6.9"; "" where there is none."""
    return "" if interval is None else " to ".join(digits(end, unit) for end in interval)


def comparisons_per(rates: Sequence[float]) -> int:
    """In how many comparisons errors are counted, so that the highest rate gives at least ten.

    Args:
      rates: Fractions in [0, 1].
    """
    highest = max(rates, default=0.0)
    return next((per for per in (100, 10_000, 1_000_000) if highest * per >= 10), 100_000_000)


def times(rate: float, per: int) -> str:
    """How many errors to expect in `per` comparisons: "302", "3.5", "0"."""
    expected = per * rate
    if 0 < expected < 9.95:
        return f"{expected:.2g}"
    return f"{math.floor(expected + 0.5):,}"  # halves up, as the slider's script rounds them


def excludes_zero(measure: Measure) -> bool:
    """Whether its interval lies on one side of zero."""
    return measure.interval is not None and not measure.interval[0] <= 0 <= measure.interval[1]


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
    return {"years": " years", "ratio": "", "index": "", "count": ""}.get(unit, f" {unit}")
