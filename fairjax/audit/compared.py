"""One rate of several groups: its measures, and the test that the groups share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fairjax.core.results import Measure, finite_or_none
from fairjax.core.verdict import ALPHA, SETTLED_RATIO, holm
from fairjax.metrics.clustered import ClusteredRate
from fairjax.protocols.verification.gaps import known_of

_DRAWS = 2000


@dataclass(frozen=True)
class GroupedRate:
    """A rate of everyone and of each group at one operating point.

    Attributes:
      name: Name of the rate: "fpir".
      at: Operating point.
      everyone: The rate of all.
      groups: The rate of each group, by the group's name.
      threshold: Score from which on candidates are accepted; None where none is used.
      threshold_source: Where the threshold comes from.
      rule: Definition for the reader.
    """

    name: str
    at: str
    everyone: ClusteredRate
    groups: Mapping[str, ClusteredRate]
    threshold: float | None = None
    threshold_source: str = ""
    rule: str = ""

    def p_value(self, *, seed: int) -> float | None:
        """Chance that groups with one rate lie as far apart; None where nothing can be tested.

        Args:
          seed: Non-negative; of the draws at the pooled rate.
        """
        there = [rate for rate in self.groups.values() if rate.trials]
        known = known_of(there)
        if known is None or not 0 < known.pooled < 1 or np.isnan(known.trials).any():
            return None
        null = known.null(_DRAWS, seed=seed)
        return known.p_value(np.array([rate.rate for rate in there]), null, seed=seed)

    def detectable_ratio(self, *, alpha: float, seed: int) -> float | None:
        """Smallest ratio of one group's rate to the others' that is shown with 80 % power.

        Args:
          alpha: Size of the test.
          seed: Non-negative.
        """
        known = known_of(list(self.groups.values()))
        if known is None or not 0 < known.pooled < 1 or np.isnan(known.trials).any():
            return None
        return known.detectable_ratio(alpha=alpha, seed=seed)

    def people_needed(self, *, alpha: float, seed: int) -> float | None:
        """People a group, all of one size, who would show a ratio of `SETTLED_RATIO`.

        With 80 % power, and as many searches and the same design effects a person as here.

        Args:
          alpha: Size of the test.
          seed: Non-negative.

        Returns:
          The number; None where nothing can be tested, or no number that was tried would do.
        """
        there = [rate for rate in self.groups.values() if rate.trials]
        known = known_of(there)
        if known is None or not 0 < known.pooled < 1 or np.isnan(known.trials).any():
            return None
        even = replace(known, trials=np.full(len(known.trials), known.trials.mean()))
        factor = even.people_factor(SETTLED_RATIO, alpha=alpha, seed=seed)
        people = np.mean([rate.people for rate in there])
        return None if factor is None else float(np.ceil(factor * people))


def measures_of(rate: GroupedRate, attribute: str, *, level: float) -> list[Measure]:
    """The rate of everyone and of each group as measures with intervals.

    Args:
      rate: The grouped rate.
      attribute: What the groups are of.
      level: Coverage of the intervals, a fraction.
    """
    measures = []
    for group, counted in [("", rate.everyone), *rate.groups.items()]:
        ends = counted.interval(level=level) if counted.trials else None
        measures.append(
            Measure(
                rate.name,
                finite_or_none(counted.rate),
                "fraction",
                counted.trials,
                {attribute: group} if group else {},
                interval=ends,
                level=level if ends else None,
                method="Wilson on effective trials" if ends else "",
                n_clusters=counted.people,
                n_errors=counted.errors,
                rule=rate.rule,
                at=rate.at,
                threshold=rate.threshold,
                threshold_source=rate.threshold_source,
                note="" if counted.trials else "no searches",
            )
        )
    return measures


def tests_of(rates: Sequence[GroupedRate], attribute: str, *, seed: int) -> list[Measure]:
    """The test of equal groups of each rate, its adjusted twin, and what it would have shown.

    Args:
      rates: All rates that are tested together (Holm).
      attribute: What the groups are of.
      seed: Non-negative.
    """
    p = np.array(
        [np.nan if (value := rate.p_value(seed=seed)) is None else value for rate in rates]
    )
    adjusted = holm(p)
    tests = int(np.sum(~np.isnan(p)))
    measures = []
    for rate, raw, twin in zip(rates, p, adjusted, strict=True):
        blank = Measure(
            f"{rate.name}_equality_p_value",
            finite_or_none(float(raw)),
            "fraction",
            sum(counted.trials for counted in rate.groups.values()),
            across=attribute,
            at=rate.at,
            method=f"{_DRAWS} draws at the pooled rate on effective trials",
            rule="chance that groups with one rate lie as far apart; not adjusted",
            note="" if np.isfinite(raw) else "no test: no group, or every search, has an error",
        )
        alpha = ALPHA / max(tests, 1)
        ratio = rate.detectable_ratio(alpha=alpha, seed=seed)
        measures += [
            blank,
            replace(
                blank,
                name=f"{blank.name}_holm",
                value=finite_or_none(float(twin)),
                rule=f"adjusted for {tests} tests (Holm, any false claim)",
            ),
            replace(
                blank,
                name=f"{rate.name}_detectable_ratio",
                value=ratio,
                unit="ratio",
                method="",
                rule="smallest ratio of one group's rate to the others' that these data show with "
                "80% power",
                note="",
            ),
            replace(
                blank,
                name=f"{rate.name}_people_needed",
                value=rate.people_needed(alpha=alpha, seed=seed),
                unit="count",
                method="",
                rule=f"people in each group, all of one size, with which a ratio of "
                f"{SETTLED_RATIO:g} is shown with 80% power",
                note="",
            ),
        ]
    return measures
