"""What the values of a config may be: types from the annotations of settings, ranges by name.

One check for all entries of all registries, so that no setting has to repeat it. What a setting
needs beyond that (another setting's value, a multiple) is checked where it is used.
"""

import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from fairjax.config.errors import ConfigError

_LARGEST = 3e38  # float32 ends there
_WHOLE = 2**31  # whole numbers lie below it, as array sizes do
_MOST = 1000.0  # layers, heads: more is a slip of the keyboard, and would fill the memory

# (lowest, whether it is allowed, highest, whether it is allowed) by the name of a setting,
# wherever it stands.
_Range = tuple[float, bool, float, bool]
_SHARE: _Range = (0.0, True, 1.0, False)
_POSITIVE: _Range = (0.0, False, math.inf, True)
_NONNEGATIVE: _Range = (0.0, True, math.inf, True)
RANGES: Mapping[str, _Range] = {
    **dict.fromkeys(("dropout", "drop_path", "label_smoothing", "ratio"), _SHARE),
    **dict.fromkeys(("b1", "b2", "momentum"), _SHARE),
    **dict.fromkeys(("final_factor", "gender_positive"), (0.0, True, 1.0, True)),
    **dict.fromkeys(("fmrs", "bias_fmrs"), (0.0, False, 1.0, False)),
    **dict.fromkeys(("across", "within", "share", "strength", "grid"), _NONNEGATIVE),
    **dict.fromkeys(("at_epochs", "factor"), _POSITIVE),
    "epochs": (0.0, False, 1e6, True),
    "alpha": _NONNEGATIVE,
    "gamma_u": _SHARE,
    **dict.fromkeys(("temperature", "scale", "mlp_ratio", "trust_coefficient"), _POSITIVE),
    **dict.fromkeys(("width", "dim", "decoder_dim", "patch", "chunk", "projection"), _POSITIVE),
    **dict.fromkeys(("adversary_lr", "discriminator_lr", "power"), _POSITIVE),
    **dict.fromkeys(
        ("depth", "layers", "heads", "stages", "decoder_depth", "decoder_heads"),
        (0.0, False, _MOST, True),
    ),
    **dict.fromkeys(("margin", "low_margin", "high_margin"), _NONNEGATIVE),
    **dict.fromkeys(("weight", "adversary_weight", "attention_weight"), _NONNEGATIVE),
    **dict.fromkeys(("erase_weight", "spread_weight", "mixup", "hidden"), _NONNEGATIVE),
    **dict.fromkeys(("covariance", "invariance", "variance", "tolerance"), _NONNEGATIVE),
    **dict.fromkeys(("warmup_epochs", "ramp_epochs", "adversary_ramp_epochs"), _NONNEGATIVE),
}


@functools.cache
def annotations_of(entry: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotation of each setting of a function or a dataclass."""
    return typing.get_type_hints(entry)


def check_value(value: Any, annotation: Any, where: str) -> None:
    """Refuses a value of another type than its setting's, or outside the range of its name.

    Args:
      value: The value; sections inside are passed over, mappings of sections are looked through.
      annotation: The setting's annotation; None where it has none.
      where: Path of the setting, such as "config.method.dropout".

    Raises:
      ConfigError: Says what is expected.
    """
    if isinstance(value, Mapping):
        for key, inside in value.items():
            check_value(inside, float if _is_number(inside) else None, f"{where}.{key}")
        return
    if annotation is not None and not _is_of(value, annotation):
        raise ConfigError(f"{where}={_shown(value)} must be {_expected(annotation)}.")
    allowed = RANGES.get(where.rpartition(".")[2])
    if allowed is None:
        return
    many = isinstance(value, tuple | list)
    for one in value if many else [value]:
        if _is_number(one) and not _lies_in(one, allowed):
            each = "each " if many else ""
            raise ConfigError(f"{where}={_shown(value)} must {each}be {_range_words(allowed)}.")


def number_or_word(text: str) -> float | str:
    """What the text of a flag means for a setting that takes numbers and words."""
    try:
        return float(text)
    except ValueError:
        return text


def takes_words(annotation: Any) -> bool:
    """Whether a setting is a number or a word, as `gamma_u` with its "auto"."""
    inside = get_args(annotation) if get_origin(annotation) in _UNIONS else ()
    return str in inside and bool({int, float} & set(inside))


_UNIONS = (typing.Union, types.UnionType)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of(value: Any, annotation: Any) -> bool:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return value in inside
    if origin in _UNIONS:
        return any(_is_of(value, one) for one in inside)
    if annotation is float:
        return _is_number(value) and abs(value) < _LARGEST
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _WHOLE
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if origin in (tuple, Sequence):
        if not isinstance(value, tuple | list):
            return False
        if origin is tuple and inside[-1] is not Ellipsis:
            return len(value) == len(inside) and all(map(_is_of, value, inside))
        return all(_is_of(one, inside[0]) for one in value)
    return True


def _expected(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, inside))
    if origin in _UNIONS:
        return " or ".join(map(_expected, inside))
    if origin in (tuple, Sequence):
        one = inside[0]
        count = f"{len(inside)} " if origin is tuple and inside[-1] is not Ellipsis else ""
        many, example = {
            str: ("texts", "('a', 'b')"),
            int: ("whole numbers", "(1, 2)"),
        }.get(one, ("finite numbers", "(0.1, 0.2)"))
        return f"{count}{many} in brackets, such as {example}"
    words = {
        bool: "True or False",
        float: "a finite number",
        int: "a whole number below 2**31",
        str: "a text",
    }
    return words.get(annotation, str(annotation))


def _lies_in(value: float | int, allowed: _Range) -> bool:
    low, from_low, high, to_high = allowed
    return (low <= value if from_low else low < value) and (
        value <= high if to_high else value < high
    )


def _range_words(allowed: _Range) -> str:
    low, from_low, high, to_high = allowed
    words = [f"{low:g} or more" if from_low else f"above {low:g}"]
    if math.isfinite(high):
        words = [f"at least {low:g}"] if from_low else words
        words.append(f"at most {high:g}" if to_high else f"below {high:g}")
    return " and ".join(words)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
