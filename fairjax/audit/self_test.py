"""The audit's positive control: how often it finds a planted gap, and claims one that isn't there.

Made-up comparisons whose truth is known (`phantom_scores`) are drawn many times over, with gaps of
known size and with none, and decided by the same rule as anybody's: `core.verdict`, which report,
terminal and model card follow, and the verdict against a tolerance.

Large gaps must be found and false claims must be rare. A small gap at a low rate is planted, too:
such an audit is too small for it, and what counts is that the test says so beforehand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairjax.audit.phantom_scores import THRESHOLD, Planted, Size, draw
from fairjax.core import verdict as decision
from fairjax.core.results import Results, Table
from fairjax.core.verdict import Answer, Verdict
from fairjax.protocols.verification import gaps as verification_gaps
from fairjax.protocols.verification import rates as verification_rates
from fairjax.protocols.verification.scene import make_scene

SIZE = Size(people=60, images=4, nonmated=4_000, across=0)
TOLERANCE = 1.5  # of the largest over the smallest rate
RATES = ("fmr", "fnmr")
ALPHA = decision.ALPHA  # chance of a false claim; the level of intervals is 1 - ALPHA
POWER = 0.8  # the share of large planted gaps that must be found
RESAMPLES = 199
_AT = f"threshold {THRESHOLD:g}"


@dataclass(frozen=True)
class Case:
    """One kind of audit.

    Attributes:
      planted: True rates and gap.
      must_be_found: Whether at least `POWER` of the audits must show the gap.
    """

    planted: Planted
    must_be_found: bool = False

    @property
    def is_fair(self) -> bool:
        """Whether all groups have the same true rates."""
        return self.planted.fmr_ratio == self.planted.fnmr_ratio == 1


CASES: Mapping[str, Case] = {
    "large gap": Case(Planted(fmr_ratio=6.0, fnmr_ratio=5.0), must_be_found=True),
    "none": Case(Planted()),
    "small gap, rare errors": Case(Planted(fmr_ratio=2.0, fnmr_ratio=2.0, fmr=1e-3, fnmr=1e-2)),
    "none, rare errors": Case(Planted(fmr=1e-3, fnmr=1e-2)),
}


@dataclass(frozen=True)
class Tally:
    """What was said of one rate in all repeats of a case.

    Attributes:
      shown: How often the decision rule showed a difference.
      too_few: How often it said that the data are too few.
      exceeds: How often the verdict was beyond the tolerance.
      within: How often it was within.
      repeats: Number of audits.
      detectable: Smallest ratio that the audits said they would show, the median; None where most
        said that they would miss every ratio tried.
    """

    shown: int
    too_few: int
    exceeds: int
    within: int
    repeats: int
    detectable: float | None = None


@dataclass(frozen=True)
class CaseResult:
    """What was said in all repeats of a case.

    Attributes:
      tallies: Counts by rate.
      claims: How many audits showed a difference of any rate: what a first screen would claim.
    """

    tallies: Mapping[str, Tally]
    claims: int


@dataclass(frozen=True)
class SelfTestResult:
    """Results by the name of a case in `CASES`."""

    cases: Mapping[str, CaseResult]

    @property
    def repeats(self) -> int:
        """Number of audits of each case."""
        first = next(iter(self.cases.values()))
        return next(iter(first.tallies.values())).repeats

    @property
    def most_false(self) -> int:
        """Claims that chance stays within 999 times in 1,000 where ALPHA of them are false."""
        return int(ALPHA * self.repeats + 3.1 * np.sqrt(ALPHA * (1 - ALPHA) * self.repeats))

    @property
    def passed(self) -> bool:
        """Whether large gaps are found and false claims are as rare as promised."""
        return all(self._passed(CASES[name], result) for name, result in self.cases.items())

    def _passed(self, case: Case, result: CaseResult) -> bool:
        tallies = result.tallies.values()
        if case.is_fair:
            false = [result.claims, *(t.exceeds for t in tallies)]
            return max(false) <= self.most_false
        has_power = all(t.shown >= POWER * t.repeats for t in tallies)
        cleared = max(t.within for t in tallies) > self.most_false
        return (has_power or not case.must_be_found) and not cleared


def run(
    repeats: int, *, seed: int, progress: Callable[[int], None] | None = None
) -> SelfTestResult:
    """Audits `repeats` draws of each case.

    Args:
      repeats: Number of audits of each case, at least 1.
      seed: Non-negative; repeat k draws from [seed, k].
      progress: Called with the number of audits done.
    """
    audits_of: dict[str, list[tuple[Verdict, dict[str, str]]]] = {name: [] for name in CASES}
    for k in range(repeats):
        for name, case in CASES.items():
            audits_of[name].append(_audit(case.planted, seed=seed * 1_000_003 + k))
        if progress:
            progress(len(CASES) * (k + 1))
    return SelfTestResult(
        {
            name: CaseResult(
                {rate: _tally(rate, audits) for rate in RATES},
                claims=sum(audited.answer == "shown" for audited, _ in audits),
            )
            for name, audits in audits_of.items()
        }
    )


def table(outcome: SelfTestResult) -> Table:
    """What was found, for the terminal."""
    rows = []
    for name, result in outcome.cases.items():
        planted = CASES[name].planted
        for rate, t in result.tallies.items():
            ratio, base = getattr(planted, f"{rate}_ratio"), getattr(planted, rate)
            open_ = t.repeats - t.exceeds - t.within
            counts = (t.shown, t.too_few, t.exceeds, t.within, open_)
            rows.append(
                [
                    rate.upper(),
                    f"{100 * base:g} %",
                    f"x {ratio:g}" if ratio != 1 else "none",
                    *(f"{n} of {t.repeats}" for n in counts),
                    "none" if t.detectable is None else f"x {t.detectable:.1f}",
                ]
            )
    fair = [result.claims for name, result in outcome.cases.items() if CASES[name].is_fair]
    note = (
        f"{SIZE.people} people and {SIZE.nonmated:,} non-mated pairs a group, four groups. "
        f"A gap is shown where the adjusted p-value is at most {ALPHA}. Passed if at least "
        f"{POWER:.0%} of the largest planted gaps are shown, and of the fair audits at most "
        f"{outcome.most_false} show any, or exceed the tolerance of {TOLERANCE} for the largest "
        f"over the smallest rate ({ALPHA:.0%} and what chance adds); here "
        f"{' and '.join(map(str, fair))} showed one. The small gap need not be shown: the last "
        "column is what these audits said they can show with 80 % power."
    )
    columns = [
        "rate",
        "of other groups",
        "true gap",
        "shown",
        "too few data",
        "beyond tolerance",
        "within",
        "inconclusive",
        "smallest gap to be shown",
    ]
    return Table("Self-test", columns, rows, note)


def _audit(planted: Planted, *, seed: int) -> tuple[Verdict, dict[str, str]]:
    """The decision, and by rate the verdict on the tolerance, at the threshold of known truth."""
    pairs = draw(planted, seed=seed, size=SIZE).comparisons
    scene = make_scene(pairs, attribute="group", resamples=RESAMPLES, level=1 - ALPHA, seed=seed)
    points = verification_rates.operating_points(
        pairs, fmrs=[], thresholds=[THRESHOLD], rule="at_most", source=""
    )
    drawn = verification_rates.resampled_rates(pairs, points, scene, "at_most")
    rates = verification_rates.rates_at_point(pairs, points[0], drawn[0], scene)
    gaps = verification_gaps.gaps_at_point(
        rates, pairs, points[0], scene, bias_degree=None, tests=len(RATES)
    )
    gaps = verification_gaps.adjusted(gaps, "holm")
    tolerances = {f"{rate}_max_over_min": TOLERANCE for rate in RATES}
    verdicts = verification_gaps.verdicts(gaps, tolerances, scene)
    measures = [r.measure for rate in RATES for r in rates[rate]] + [n.measure for n in gaps]
    results = Results("verification", {"attribute": "group"}, measures, {}, [], {})
    answers = {v["measure"].removesuffix("_max_over_min"): v["verdict"] for v in verdicts}
    return decision.verdict(results), answers


def _tally(rate: str, audits: Sequence[tuple[Verdict, dict[str, str]]]) -> Tally:
    claims = [audited.get(rate, _AT) for audited, _ in audits]
    answers: list[Answer] = [c.answer if c else "too few data" for c in claims]
    verdicts = [tolerances[rate] for _, tolerances in audits]
    ratios = [
        np.inf if c is None or c.detectable_ratio is None else c.detectable_ratio for c in claims
    ]
    median = float(np.median(ratios))
    return Tally(
        shown=answers.count("shown"),
        too_few=answers.count("too few data"),
        exceeds=verdicts.count("exceeds"),
        within=verdicts.count("within"),
        repeats=len(audits),
        detectable=median if np.isfinite(median) else None,
    )
