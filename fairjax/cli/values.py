"""What flags take: numbers, shares, lists and NAME=VALUE, each with the message for a wrong one."""

import argparse
import math


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


def finite(text: str) -> float:
    """A number that is neither NaN nor infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} must be a finite number")
    return value


def share(text: str) -> float:
    """A fraction in (0, 1]."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be above 0 and at most 1, as 0.1")
    return value


def fraction(text: str) -> float:
    """A fraction in [0, 1]."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be between 0 and 1, as 0.01")
    return value


def level(text: str) -> float:
    """Coverage of intervals, a fraction in [0.5, 1)."""
    value = float(text)
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0.5 and below 1, as 0.95")
    return value


def score(text: str) -> float | str:
    """A number, or a word that stands in the column of scores."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


def words(text: str) -> tuple[str, ...]:
    """Words that commas part."""
    return tuple(word.strip() for word in text.split(","))


def rates(text: str) -> tuple[float, ...]:
    """Fractions in (0, 1) that commas part."""
    fractions = tuple(float(word) for word in text.split(","))
    if not all(0 < rate < 1 for rate in fractions):
        raise argparse.ArgumentTypeError(f"{text}: a rate is a fraction between 0 and 1, as 1e-3")
    return fractions


def key_value(text: str) -> tuple[str, str]:
    """The name and the value of NAME=VALUE."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def tolerance(text: str) -> list[tuple[str, float]]:
    """The gap of NAME=GAP, or for a number alone the ratio of both error rates."""
    if "=" in text:
        name, value = key_value(text)
        gap, least = float(value), 1.0 if "_over_" in name else 0.0
        if not least <= gap < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: this gap is a number from {least:g} on")
        return [(name, gap)]
    if not 1 <= float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a bare tolerance is a ratio of 1 or more")
    return [(f"{rate}_max_over_min", float(text)) for rate in ("fmr", "fnmr")]


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers that commas part."""
    return tuple(int(word) for word in text.split(","))


def numbers(text: str) -> tuple[float, ...]:
    """Numbers that commas part."""
    return tuple(float(word) for word in text.split(","))


def size(text: str) -> tuple[int, int]:
    """Height and width in pixels, from one number or HEIGHTxWIDTH."""
    sides = [positive(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text} must be one number, or HEIGHTxWIDTH")
    return sides[0], sides[-1]


def by_channel(text: str) -> tuple[float, ...]:
    """One number for all channels, or three that commas part."""
    channels = numbers(text)
    if len(channels) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text} must be one number, or three with commas")
    return channels
