"""Who pays at each threshold: every group's rates, for a slider and for the tables without it."""

import bisect
from collections.abc import Sequence
from typing import Any

from fairjax.core.results import FEW, Measure, Table
from fairjax.report.verification.audited import Audited, whence
from fairjax.report.wording import digits, number

PER = 10_000  # comparisons that expected errors are given for


def slider_data(system: Audited) -> dict[str, Any]:
    """What `templates/slider.js` needs: every group's rates at every threshold, ascending.

    The operating points' own thresholds and rates are put among those of `arrays["rates"]`, so that
    the slider says there exactly what the tables say.
    """
    rates = system.arrays["rates"]
    groups = list(rates["fmr"])
    rows = {
        t: [(rates["fmr"][g][k], rates["fnmr"][g][k]) for g in groups]
        for k, t in enumerate(rates["threshold"])
    }
    points = {}
    for at, (threshold, _) in system.thresholds.items():
        found = [
            {m.group[system.attribute]: m for m in system.by_group(rate, at)}
            for rate in ("fmr", "fnmr")
        ]
        if all(set(groups) <= set(by_group) for by_group in found):
            rows[threshold] = [(found[0][g].value, found[1][g].value) for g in groups]
            points[at] = threshold
    thresholds = sorted(rows)
    return {
        "thresholds": [float(f"{t:.6g}") for t in thresholds],
        "points": [
            {"name": at, "place": bisect.bisect_left(thresholds, t)} for at, t in points.items()
        ],
        "groups": [
            {
                "name": g,
                "fmr": [_short(rows[t][place][0]) for t in thresholds],
                "fnmr": [_short(rows[t][place][1]) for t in thresholds],
                "nonmated": rates["n_nonmated"][g],
                "mated": rates["n_mated"][g],
            }
            for place, g in enumerate(groups)
        ],
        "few": FEW,
        "per": PER,
    }


def point_tables(system: Audited) -> list[Table]:
    """One table an operating point: rates, and expected errors in so many comparisons."""
    tables = []
    for at, (threshold, source) in system.thresholds.items():
        fmr, fnmr = system.by_group("fmr", at), system.by_group("fnmr", at)
        if len(fmr) != len(fnmr):
            continue
        rows = [
            [a.group[system.attribute], *_cells(a), *_cells(b)]
            for a, b in zip(fmr, fnmr, strict=True)
        ]
        tables.append(
            Table(
                f"Threshold {threshold:.4g} ({whence(at, source)})",
                [
                    system.attribute,
                    "FMR",
                    f"false matches in {PER:,}",
                    "counted",
                    "FNMR",
                    f"false non-matches in {PER:,}",
                    "counted",
                ],
                rows,
                f"* = fewer than {FEW} errors.",
            )
        )
    return tables


def _cells(m: Measure) -> Sequence[str]:
    star = "*" if m.is_thin and m.value is not None else ""
    expected = "–" if m.value is None else digits(PER * m.value, "count" if m.value > 1e-3 else "")
    counted = "–" if m.n_errors is None else f"{m.n_errors:,} of {m.n:,}"
    return [number(m.value, m.unit) + star, expected, counted]


def _short(rate: float | None) -> float | None:
    """Six digits are plenty for the eye and keep the page small."""
    return None if rate is None else float(f"{rate:.6g}")
