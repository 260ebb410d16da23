"""The audit's positive control: how often it finds a planted gap, and claims one that isn't there.

Made-up comparisons whose truth is known (`phantom_scores`) are drawn many times over, with a gap of
known size and with none, and judged by the same code as anybody's: noise floor and p-value of the
largest over the smallest rate, and the verdict against a tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairjax.audit.phantom_scores import THRESHOLD, Planted, Size, draw
from fairjax.core.results import Table
from fairjax.protocols.verification import gaps as verification_gaps
from fairjax.protocols.verification import rates as verification_rates
from fairjax.protocols.verification.scene import make_scene

PLANTED = Planted(fmr_ratio=6.0, fnmr_ratio=5.0)
SIZE = Size(people=60, images=4, nonmated=4_000, across=0)
TOLERANCE = 1.5  # of the largest over the smallest rate
RATES = ("fmr", "fnmr")
ALPHA = 0.05  # of a test, and of a verdict: its interval's level is 1 - ALPHA
POWER = 0.8  # the share of planted gaps that must be found
RESAMPLES = 199


@dataclass(frozen=True)
class Tally:
    """What was said of one rate in all repeats.

    Attributes:
      found: How often p was at most `ALPHA`.
      exceeds: How often the verdict was beyond the tolerance.
      within: How often it was within.
      repeats: Of how many.
    """

    found: int
    exceeds: int
    within: int
    repeats: int


@dataclass(frozen=True)
class SelfTestResult:
    """Tallies by rate, of audits with the planted gap and of fair ones."""

    planted: dict[str, Tally]
    fair: dict[str, Tally]

    @property
    def most_false(self) -> int:
        """Claims that chance stays within 999 times in 1,000 where ALPHA of them are false."""
        repeats = next(iter(self.fair.values())).repeats
        return int(ALPHA * repeats + 3.1 * np.sqrt(ALPHA * (1 - ALPHA) * repeats))

    @property
    def passed(self) -> bool:
        """Whether gaps are found and false claims are as rare as promised."""
        found = all(t.found >= POWER * t.repeats for t in self.planted.values())
        quiet = all(max(t.found, t.exceeds) <= self.most_false for t in self.fair.values()) and all(
            t.within <= self.most_false for t in self.planted.values()
        )
        return found and quiet


def run(
    repeats: int, *, seed: int, progress: Callable[[int], None] | None = None
) -> SelfTestResult:
    """Audits `repeats` draws with the planted gap and as many without.

    Args:
      repeats: At least 1.
      seed: Non-negative; repeat k draws from [seed, k].
      progress: Called with the number of audits done.
    """
    said: dict[str, list[dict[str, tuple[float, str]]]] = {"planted": [], "fair": []}
    for k in range(repeats):
        for kind, planted in (("planted", PLANTED), ("fair", Planted())):
            said[kind].append(_audit(planted, seed=seed * 1_000_003 + k))
        if progress:
            progress(2 * k + 2)
    return SelfTestResult(
        *(
            {rate: _tally([one[rate] for one in said[kind]]) for rate in RATES}
            for kind in ("planted", "fair")
        )
    )


def table(outcome: SelfTestResult) -> Table:
    """What was found, for the terminal."""
    rows = []
    for kind, tallies in (("planted", outcome.planted), ("none", outcome.fair)):
        for rate, t in tallies.items():
            ratio = getattr(PLANTED, f"{rate}_ratio") if kind == "planted" else 1
            open_ = t.repeats - t.exceeds - t.within
            rows.append(
                [
                    rate.upper(),
                    f"x {ratio:g}",
                    *(f"{n} of {t.repeats}" for n in (t.found, t.exceeds, t.within, open_)),
                ]
            )
    note = (
        f"{SIZE.people} people and {SIZE.nonmated:,} non-mated pairs a group, four groups, "
        f"largest over smallest rate. Passed if at least {POWER:.0%} of the planted gaps have p <= "
        f"{ALPHA}, and of the fair audits at most {outcome.most_false} have it or exceed the "
        f"tolerance of {TOLERANCE} ({ALPHA:.0%} and what chance adds)."
    )
    columns = ["rate", "true gap", f"p <= {ALPHA}", "verdict exceeds", "within", "inconclusive"]
    return Table("Self-test", columns, rows, note)


def _audit(planted: Planted, *, seed: int) -> dict[str, tuple[float, str]]:
    """(p-value, verdict) of each rate, at the threshold where the truth is known."""
    pairs = draw(planted, seed=seed, size=SIZE).comparisons
    scene = make_scene(pairs, attribute="group", resamples=RESAMPLES, level=1 - ALPHA, seed=seed)
    points = verification_rates.operating_points(
        pairs, fmrs=[], thresholds=[THRESHOLD], rule="at_most", source=""
    )
    drawn = verification_rates.resampled_rates(pairs, points, scene, "at_most")
    rates = verification_rates.rates_at_point(pairs, points[0], drawn[0], scene)
    gaps = verification_gaps.gaps_at_point(rates, pairs, points[0], scene, bias_degree=None)
    tolerances = {f"{rate}_max_over_min": TOLERANCE for rate in RATES}
    verdicts = verification_gaps.verdicts(gaps, tolerances, scene)
    said = {v["measure"]: v["verdict"] for v in verdicts}
    values = {n.measure.name: n.measure.value for n in gaps}
    found = {}
    for rate in RATES:
        name = f"{rate}_max_over_min"
        smoothed = values.get(f"{name}_smoothed_p_value")  # where a group has no error
        p = values.get(f"{name}_p_value", smoothed)
        found[rate] = (1.0 if p is None else p, said[name])
    return found


def _tally(said: list[tuple[float, str]]) -> Tally:
    verdicts = [verdict for _, verdict in said]
    return Tally(
        found=sum(p <= ALPHA for p, _ in said),
        exceeds=verdicts.count("exceeds"),
        within=verdicts.count("within"),
        repeats=len(said),
    )
