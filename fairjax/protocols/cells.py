"""Numbers as the text of a table's cells, the same in every protocol."""

from fairjax.core.results import Measure

UNDEFINED = "–"


def cell(measure: Measure | None, *, percent: str = ".1f", ratio: str = ".2f") -> str:
    """The rounded value, a star where little backs it, and the interval.

    Args:
      measure: None where there is none.
      percent: How fractions are rounded, as percents.
      ratio: How everything else is.
    """
    if measure is None or measure.value is None:
        return UNDEFINED
    rounded = {"percent": percent, "ratio": ratio}
    text = plain(measure.value, measure.unit, **rounded) + ("*" if measure.is_thin else "")
    if measure.interval is None:
        return text
    low, high = (plain(end, measure.unit, **rounded) for end in measure.interval)
    return f"{text} [{low}, {high}]"


def plain(value: float | None, unit: str, *, percent: str = ".1f", ratio: str = ".2f") -> str:
    """The rounded value alone, fractions as percents."""
    if value is None:
        return UNDEFINED
    return format(100 * value, percent) if unit == "fraction" else format(value, ratio)


def p_text(value: float | None) -> str:
    """A p-value."""
    return UNDEFINED if value is None else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
