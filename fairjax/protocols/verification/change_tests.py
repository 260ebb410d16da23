"""Whether error rates and gaps changed between two systems that scored the same pairs.

The change of a number is its value for the other system minus that for the first one, on the same
pairs. Its standard error is the standard deviation of the change over resamples of people, which
both systems share: what is hard for both of them cancels out. The statistic change / error is
compared with Student's t of (people - 1) degrees of freedom. A ratio's change is taken in
logarithms. All tests of one pair of systems are adjusted for each other (Holm). Resamples overstate
the variance of FMR where pairs are few for their people, so that tests of FMR err on the safe side.

The same people and the same pairs are the point: two intervals that overlap may still belong to a
change that is certain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import stdtr

from fairjax.core.results import Measure
from fairjax.core.verdict import holm
from fairjax.protocols.gaps import Number

TESTED = ("fmr", "fnmr")  # of each group
GAPS = ("fmr_difference", "fmr_max_over_min", "fnmr_difference", "fnmr_max_over_min")
_METHOD = "change over its standard deviation in resamples of people, Student's t"
_NOTHING = "nothing changed"
_LEAST_DEFINED = 0.95  # of the resamples in which a gap must be defined


def tested(numbers: Mapping[str, Sequence[Number]], changes: Sequence[Number]) -> list[Number]:
    """The changes, with a p-value and its adjusted twin behind each that is tested.

    Args:
      numbers: All numbers by system, the first system first.
      changes: Change of each number, under the name `..._change` of the system "B minus A".
    """
    (first, before), *others = numbers.items()
    extended = list(changes)
    for system, after in others:
        tests = [
            test
            for old, new in _matched(before, after)
            if (test := _test(old, new, f"{system} minus {first}")) is not None
        ]
        # where no pair changed nothing could have been shown: no test to adjust for (Tarone 1990)
        moved = np.array([m.note != _NOTHING for m in tests], bool)
        p = np.array([m.value for m in tests], np.float64)
        adjusted = np.where(moved, holm(np.where(moved, p, np.nan)), 1.0)
        extended += [Number(m) for m in tests]
        extended += [
            Number(
                replace(
                    m,
                    name=f"{m.name}_holm",
                    value=float(p),
                    rule=f"adjusted for {moved.sum()} tests of changes (Holm, any false claim)",
                )
            )
            for m, p in zip(tests, adjusted, strict=True)
        ]
    return extended


def _matched(before: Sequence[Number], after: Sequence[Number]) -> list[tuple[Number, Number]]:
    """The same tested number of both systems."""

    def key(n: Number) -> tuple[Any, ...]:
        m = n.measure
        return m.name, m.at, m.across, tuple(m.group.items())

    old = {key(n): n for n in before if _is_tested(n)}
    return [(old[key(n)], n) for n in after if key(n) in old and _is_tested(n)]


def _is_tested(n: Number) -> bool:
    m = n.measure
    if n.resampled is None or m.value is None or len(m.group) > 1:
        return False
    if not m.across and not m.group and m.name == "fmr" and m.threshold_source != "given":
        return False  # both are at the target, by construction
    return m.name in GAPS if m.across else m.name in TESTED


def _test(old: Number, new: Number, system: str) -> Measure | None:
    """The p-value of one change; None where the number is hardly ever defined."""
    m, first = new.measure, old.measure
    assert old.resampled is not None and new.resampled is not None
    assert m.value is not None and first.value is not None
    change, moved = m.value - first.value, new.resampled - old.resampled
    if m.name.endswith("max_over_min"):
        if not (m.value > 0 and first.value > 0):
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = np.log(new.resampled) - np.log(old.resampled)
        change = float(np.log(m.value / first.value))
    known = moved[np.isfinite(moved)]
    if len(known) < max(2, _LEAST_DEFINED * len(moved)):
        return None
    error = float(known.std(ddof=1))
    note, p = "", 1.0
    if error < 1e-12:
        if abs(change) > 1e-12:
            return None
        note = _NOTHING
    else:
        freedom = max((m.n_clusters or 2) - 1, 1)
        p = float(2 * stdtr(freedom, -abs(change) / error))
    return replace(
        m,
        name=f"{m.name}_change_p_value",
        value=p,
        unit="fraction",
        interval=None,
        level=None,
        method=_METHOD,
        rule="chance of a change as large if there were none; not adjusted",
        n_errors=None,
        ddof=None,
        note=note,
        threshold=None,
        system=system,
    )
