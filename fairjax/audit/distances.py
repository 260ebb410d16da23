"""Results of systems that give distances, in the distances' own unit.

The protocol compares numbers that grow with likeness, so a distance is held as minus it while it is
measured. What is shown afterwards (thresholds, curves, histograms, rules) is in distances again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairjax.core.results import Measure, Results

# How a rule of a score reads where it is one of a distance
_WORDS = (
    ("a score of at least the threshold", "a distance of at most the threshold"),
    ("a score below the threshold", "a distance above the threshold"),
    (
        "the threshold is a non-mated score, so mated pairs between it and the next lower "
        "non-mated score are rejected that a lower threshold of the same FMR would accept",
        "the threshold is a non-mated distance, so mated pairs between it and the next larger "
        "non-mated distance are rejected that a larger threshold of the same FMR would accept",
    ),
)
_RULE = ("smallest score whose FMR", "largest distance whose FMR")


def in_own_unit(
    results: Results, systems: Collection[str], *, as_cosines: Collection[str] = ()
) -> Results:
    """The same results with distances where minus distances were held.

    Args:
      results: Results with minus distances as scores.
      systems: Names of the systems of distances as the results call them; "" for the only one.
      as_cosines: Systems whose accuracies are measured on cosines; these thresholds stay.

    Returns:
      The results; `protocol["distances"]` names the systems.
    """
    if not systems:
        return results
    arrays = dict(results.arrays)
    several = arrays.get("systems")
    first = next(iter(several)) if several else ""
    if first in systems:  # the plots of the first system stand at the top, too
        arrays = _turned(arrays)
    if several:
        arrays["systems"] = {
            name: _turned(system_arrays) if name in systems else system_arrays
            for name, system_arrays in several.items()
        }
    is_turned = [
        m.system in systems and not (m.system in as_cosines and m.name.startswith("accuracy"))
        for m in results.measures
    ]
    protocol = {**results.protocol, "distances": sorted(systems)}
    if set(results.protocol["systems"]) == set(systems):
        protocol["threshold_rule"] = protocol["threshold_rule"].replace(*_RULE)
    return replace(
        results,
        measures=[
            _measure(m) if minus else m
            for m, minus in zip(results.measures, is_turned, strict=True)
        ],
        arrays=arrays,
        protocol=protocol,
    )


def _measure(m: Measure) -> Measure:
    rule = m.rule
    for score, distance in _WORDS:
        rule = rule.replace(score, distance)
    return replace(m, rule=rule, threshold=_minus(m.threshold))


def _turned(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Plot data over a score as plot data over the distance, ascending where they ascended."""
    turned = dict(arrays)
    if "det" in arrays:
        groups = {
            name: {**curve, "threshold": [_minus(t) for t in curve["threshold"]]}
            for name, curve in arrays["det"]["groups"].items()
        }
        turned["det"] = {**arrays["det"], "groups": groups}
    if "rates" in arrays:
        rates = dict(arrays["rates"])
        rates["threshold"] = [_minus(t) for t in reversed(rates["threshold"])]
        for rate in ("fmr", "fnmr"):
            rates[rate] = _reversed(rates[rate])
        rates["operating"] = {at: _minus(t) for at, t in rates["operating"].items()}
        turned["rates"] = rates
    if "histograms" in arrays:
        bins = arrays["histograms"]
        turned["histograms"] = {
            "edges": [_minus(edge) for edge in reversed(bins["edges"])],
            **{kind: _reversed(bins[kind]) for kind in ("mated", "nonmated")},
        }
    if "matrix" in arrays:
        turned["matrix"] = {
            **arrays["matrix"],
            "threshold": _minus(arrays["matrix"]["threshold"]),
        }
    return turned


def _reversed(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: list(reversed(values)) for name, values in columns.items()}


def _minus(value: float | None) -> float | None:
    return None if value is None else 0.0 - value  # never "-0"
