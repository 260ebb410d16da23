"""Who pays at each threshold: every group's rates, for a slider."""

import bisect
from typing import Any

from fairjax.core.results import FEW
from fairjax.report.verification.audited import Audited

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
        by_rate = [
            {m.group[system.attribute]: m for m in system.by_group(rate, at)}
            for rate in ("fmr", "fnmr")
        ]
        if all(set(groups) <= set(by_group) for by_group in by_rate):
            rows[threshold] = [(by_rate[0][g].value, by_rate[1][g].value) for g in groups]
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
                "fmr": [_short(rows[t][index][0]) for t in thresholds],
                "fnmr": [_short(rows[t][index][1]) for t in thresholds],
                "nonmated": rates["n_nonmated"][g],
                "mated": rates["n_mated"][g],
            }
            for index, g in enumerate(groups)
        ],
        "few": FEW,
        "per": PER,
    }


def _short(rate: float | None) -> float | None:
    """Six digits are plenty for the eye and keep the page small."""
    return None if rate is None else float(f"{rate:.6g}")
