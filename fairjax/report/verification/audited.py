"""One system's share of a verification audit, looked up by name, operating point and group."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fairjax.core.results import Measure, Results
from fairjax.report.wording import parts_of

RATES = ("fmr", "fnmr")
_INDICES = ("gini", "garbe", "fairness_discrepancy_rate")


@dataclass(frozen=True)
class Audited:
    """What an audit says of one system.

    Attributes:
      name: The system's; "" where only one was audited.
      attribute: What the groups are groups of.
      results: Results of the whole audit.
      arrays: Plot data of the system.
      distance: Whether the scores are distances: a pair is accepted up to the threshold.
    """

    name: str
    attribute: str
    results: Results
    arrays: Mapping[str, Any]
    distance: bool = False

    def titled(self, text: str) -> str:
        """A heading, after the system's name where it has one."""
        return f"{self.name}: {text}" if self.name else text

    @functools.cached_property
    def measures(self) -> Sequence[Measure]:
        """The system's own measures, without the changes from another system."""
        return [m for m in _own(self.results) if m.system == self.name]

    @functools.cached_property
    def groups(self) -> list[str]:
        """The groups' names in order of appearance."""
        return list(
            dict.fromkeys(
                m.group[self.attribute] for m in self.measures if list(m.group) == [self.attribute]
            )
        )

    @functools.cached_property
    def points(self) -> list[str]:
        """The operating points, those first at which anything could be counted."""
        known: dict[str, bool] = {}
        for m in self.measures:
            if m.at:
                known[m.at] = known.get(m.at, False) or m.value is not None
        return sorted(known, key=lambda at: not known[at])

    def everyone(self, name: str, at: str = "") -> Measure | None:
        """The measure over everyone."""
        return self.results.find(name, at=at, system=self.name)

    def by_group(self, name: str, at: str = "") -> list[Measure]:
        """The measure of each group that has it."""
        measures = (
            self.results.find(name, {self.attribute: group}, at=at, system=self.name)
            for group in self.groups
        )
        return [measure for measure in measures if measure is not None]

    def summary(self, name: str, at: str = "") -> Measure | None:
        """A summary over the groups."""
        return self.results.find(name, across=self.attribute, at=at, system=self.name)

    def summaries(self, at: str) -> list[Measure]:
        """Every summary over the groups at this operating point."""
        return [m for m in self.measures if m.across == self.attribute and m.at == at]

    @functools.cached_property
    def thresholds(self) -> dict[str, tuple[float, str]]:
        """{operating point: (threshold, where it comes from)}, less those that have none."""
        thresholds: dict[str, tuple[float, str]] = {}
        for m in self.measures:
            if m.at and m.threshold is not None:
                thresholds.setdefault(m.at, (m.threshold, m.threshold_source or "not said"))
        return {at: thresholds[at] for at in self.points if at in thresholds}


def whence(at: str, source: str) -> str:
    """Where a threshold comes from: "FMR 1e-3, from all non-mated pairs", or "given"."""
    return source if at.rpartition(", ")[2].startswith("threshold ") else f"{at}, from {source}"


def as_shown(m: Measure) -> Measure:
    """A summary in the unit that it is shown in: indices are pure numbers, never percent."""
    base, summary, _ = parts_of(m.name)
    return replace(m, unit="index") if (summary or base) in _INDICES else m


def audited_systems(results: Results) -> list[Audited]:
    """The audited systems in order of appearance; one named "" where there is but one."""
    attribute = results.protocol.get("attribute", "group")
    arrays = results.arrays.get("systems", {})
    return [
        Audited(
            name,
            attribute,
            results,
            arrays.get(name, results.arrays),
            name in results.protocol.get("distances", ()),
        )
        for name in _systems(results)
    ]


def _systems(results: Results) -> list[str]:
    """The systems' names; "" is none of several: it holds what they have in common."""
    names = list(dict.fromkeys(m.system for m in _own(results)))
    return [name for name in names if name] or names


def _own(results: Results) -> list[Measure]:
    """The measures of one system each, without the changes from one to another."""
    return [m for m in results.measures if not m.name.endswith("_change")]


def changes(results: Results) -> dict[str, list[Measure]]:
    """{"B minus A": its measures}: what differs between systems on the same pairs."""
    measures: dict[str, list[Measure]] = {}
    for m in results.measures:
        if m.name.endswith("_change"):
            measures.setdefault(m.system, []).append(m)
    return measures
