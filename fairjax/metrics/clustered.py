"""Variance and intervals of rates over pairs that share people.

Two pairs are taken to be dependent iff they have a person in common. For a value x_d of every dyad
d (the unordered couple of people a pair shows; one person twice for a mated pair), with X_i the sum
over the dyads that hold person i, the sum of products over all dependent couples of dyads is

    Q(x) = sum_i X_i^2 - sum_d x_d^2 over dyads of two people,

whose second sum takes back what the first counts twice. With the residuals r = errors - rate *
trials,

    Var = Q(r) / (Q_all - Q(trials)),    Q_all = (sum of trials)^2

For mated pairs every dyad is one person, and this is the variance clustered by subject; for
non-mated pairs it is the dyadic variance; for an accuracy over both kinds it holds as it stands.

Source: Fogliato, Patil and Perona, IJCV 2024 (arXiv 2306.01198) for mated pairs and the effective
number of trials; the dyadic form is the standard one of dyadic regression. They divide by Q_all:
Q(trials) is ours and makes up for the rate being estimated from the same pairs, as n - 1 does for a
variance; it adds 1 % for 100 people's mated pairs, 4 % for their non-mated ones.

With few errors the variance itself is hardly known: no error says nothing about how errors cluster.
There the design effect of the `FEW` likeliest errors of the same pairs stands in
(`likeliest_design_effect`): errors at a more lenient threshold cluster at least as much.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy.special import stdtrit

from fairjax.core.results import FEW
from fairjax.metrics.bootstrap import exact_interval

# What `benchmarks/coverage.py` found, said beside the intervals.
COVERAGE_FOUND = (
    "at 95 % the interval of one group's rate held the truth in 90 to 99 % of simulated audits, "
    "with rare errors and unequal people, too"
)


@dataclass(frozen=True)
class Dyads:
    """The distinct couples of people among some pairs.

    Attributes:
      people: Two numbers a dyad, smaller first, in 0 .. (distinct people) - 1.
      trials: How many pairs show the dyad.
      position: The dyad of each pair.
    """

    people: Int[np.ndarray, "dyads 2"]
    trials: Int[np.ndarray, " dyads"]
    position: Int[np.ndarray, " pairs"]

    @functools.cached_property
    def sums(self) -> "DyadSums":
        """The trials, ready for the errors of many thresholds."""
        return DyadSums(self.trials, self.people)


@dataclass(frozen=True)
class ClusteredRate:
    """An error rate over pairs that share people, and how much it can be trusted.

    Attributes:
      errors: How many pairs are errors.
      trials: How many pairs there are.
      people: How many distinct people they show.
      independent: The most pairs found of which no two share a person.
      variance: Variance of the rate, never below that of independent trials; NaN where all pairs
        share a person, or there is none: then they say nothing about other people.
      raw_variance: Variance of the rate without that lower bound.
      dependents: How many pairs share a person with a pair, itself included: the mean over pairs.
      effective_people: (sum of m)^2 / sum of m^2 with m the pairs of each person: the number of
        people with equally many pairs that would be as many degrees of freedom.
      likeliest_effect: Design effect that stands in where errors are few; NaN where unknown.
    """

    errors: int
    trials: int
    people: int
    independent: int
    variance: float
    raw_variance: float = np.nan
    dependents: float = np.nan
    effective_people: float = np.nan
    likeliest_effect: float = np.nan

    @property
    def rate(self) -> float:
        """Fraction of trials that are errors; NaN without trials."""
        return self.errors / self.trials if self.trials else np.nan

    @property
    def is_thin(self) -> bool:
        """Whether fewer than `FEW` trials are errors, or fewer than `FEW` are not."""
        return min(self.errors, self.trials - self.errors) < FEW

    @property
    def design_effect(self) -> float:
        """Variance over that of as many independent trials: 1 or more; NaN at rates 0 and 1."""
        alone = self.rate * (1 - self.rate)
        return self.variance * self.trials / alone if alone > 0 else np.nan

    @property
    def effective_trials(self) -> float:
        """Independent trials that would know the rate as well.

        With few errors no more than `likeliest_effect` leaves. At rates 0 and 1 it is that number,
        or `independent` where it is larger or the effect is unknown.
        """
        backed = self.trials / self.likeliest_effect
        alone = self.rate * (1 - self.rate)
        if not alone > 0:
            return float(np.fmax(backed, self.independent))
        known = alone / self.variance
        return backed if self.is_thin and backed < known else known

    def with_variance_of(self, resampled: Float[np.ndarray, " resamples"]) -> "ClusteredRate":
        """The same rate with the variance of its resampled values.

        Where the threshold was found on the same people and is found anew in every resample, that
        variance knows of it, and the one made from errors alone does not.

        Args:
          resampled: Rates of `subject_bootstrap`; NaN is left out.
        """
        known = resampled[~np.isnan(resampled)]
        variance = float(known.var()) if len(known) > 1 else np.nan
        alone = self.rate * (1 - self.rate) / self.trials if self.trials else np.nan
        return replace(self, variance=max(variance, alone))

    def interval(self, *, level: float) -> tuple[float, float] | None:
        """Wilson's interval on the effective trials; None where the variance is unknown.

        Student's quantile with `effective_people` - 1 degrees of freedom stands for the normal one,
        since the effective trials are themselves estimated (Korn and Graubard, Survey Methodology
        1998) from people of unequal weight (Carter, Schnepel and Steigerwald, Review of Economics
        and Statistics 2017). With no errors, or nothing else, Clopper-Pearson on as many trials,
        at least on those pairs of which no two share a person.

        Args:
          level: Nominal coverage, a fraction in (0, 1).
        """
        tail = (1 + level) / 2
        wider = stdtrit(max(self.effective_people - 1, 1), tail) / NormalDist().inv_cdf(tail)
        trials = self.effective_trials / float(wider) ** 2
        if self.trials and self.errors in (0, self.trials):
            trials = max(trials, self.independent)
            return exact_interval(all_counted=self.errors > 0, trials=trials, level=level)
        if np.isnan(self.variance):
            return None
        low, high = wilson_interval(self.rate, trials, level=level)
        return float(low), float(high)


def dyads(subject: Int[np.ndarray, "pairs 2"]) -> Dyads:
    """Groups pairs by the two people they show, in whichever order.

    Args:
      subject: The numbers of each pair's two people; equal for a mated pair.
    """
    names, person = np.unique(subject, return_inverse=True)
    person = np.sort(person.reshape(subject.shape), axis=1)
    code = person[:, 0] * len(names) + person[:, 1]
    codes, position, trials = np.unique(code, return_inverse=True, return_counts=True)
    people = np.stack(np.divmod(codes, max(len(names), 1)), axis=1)
    return Dyads(people, trials, position)


def clustered_rate(
    error: Bool[np.ndarray, " pairs"], couples: Dyads | Int[np.ndarray, "pairs 2"]
) -> ClusteredRate:
    """The rate of errors among pairs, with its variance.

    Args:
      error: Whether each pair is an error.
      couples: The numbers of each pair's two people, or `dyads` of them where many thresholds
        are read on the same pairs.
    """
    if not isinstance(couples, Dyads):
        couples = dyads(couples)
    errors = np.bincount(couples.position[error], minlength=len(couples.trials))
    return couples.sums.rate(errors)


class DyadSums:
    """Trials of each dyad, ready for the errors of many thresholds; sums by dyad merge by adding.

    Args:
      trials: Pairs of each dyad.
      people: The dyad's two people, any integers; equal for mated pairs. No dyad twice.
    """

    def __init__(
        self, trials: Int[np.ndarray, " dyads"], people: Int[np.ndarray, "dyads 2"]
    ) -> None:
        self.trials, self.total = trials, int(trials.sum())
        names, person = np.unique(people, return_inverse=True)
        self.people, self.person = len(names), person.reshape(people.shape)
        if not self.total:
            return
        self.dependent = _dependent(trials, self.person)
        each = _by_person(trials, self.person)
        self.effective_people = float(each.sum() ** 2 / np.sum(each**2))
        self.independent = _disjoint(self.person)

    def rate(self, errors: Int[np.ndarray, " dyads"]) -> ClusteredRate:
        """The rate of errors, with its variance.

        Args:
          errors: Errors of each dyad.
        """
        total, wrong = self.total, int(errors.sum())
        if not total:
            return ClusteredRate(0, 0, 0, 0, np.nan)
        rate = wrong / total
        known = total**2 - self.dependent
        raw = variance = np.nan
        if known > 0:
            raw = _dependent(errors - rate * self.trials, self.person) / known
            variance = max(raw, rate * (1 - rate) / total)
        return ClusteredRate(
            errors=wrong,
            trials=total,
            people=self.people,
            independent=self.independent,
            variance=float(variance),
            raw_variance=float(raw),
            dependents=self.dependent / total,
            effective_people=self.effective_people,
        )


def likeliest_design_effect(
    score: Float[np.ndarray, " pairs"], couples: Dyads, *, mated: bool
) -> float:
    """Design effect of the `FEW` likeliest errors among pairs: how much errors cluster, at least.

    Taken at a threshold at which `FEW` pairs are errors (half of them where there are fewer than
    twice as many pairs), whatever the threshold in use. NaN where all pairs share a person.

    Args:
      score: Score of each pair; larger means more alike.
      couples: `dyads` of the pairs.
      mated: Whether the pairs are mated: their lowest scores are the likeliest errors, else the
        highest.
    """
    count = min(FEW, len(score) // 2)
    if not count:
        return np.nan
    likeliest = np.argpartition(score if mated else -score, count - 1)[:count]
    errors = np.bincount(couples.position[likeliest], minlength=len(couples.trials))
    return couples.sums.rate(errors).design_effect


def common_design_effects(rates: Sequence[ClusteredRate]) -> Float[np.ndarray, " groups"]:
    """Design effects of groups whose pairs are equally correlated: steadier than each group's own.

    With rho the correlation of two pairs that share a person, a group's design effect is

        1 + rho (dependents - 1),

    and rho, at least 0, is the sum over groups of the covariances found over the sum of those at
    rho = 1. Groups without errors say nothing about rho, and take that of the others.

    Args:
      rates: One a group; NaN results for a group without pairs.
    """
    others = np.array([r.dependents for r in rates]) - 1
    return 1 + common_correlation(rates) * others


def common_correlation(rates: Sequence[ClusteredRate]) -> float:
    """Correlation of two errors whose pairs share a person, the same in all groups; at least 0.

    `common_design_effects` has its equation. 0 where no group says anything about it.

    Args:
      rates: One a group.
    """
    alone = np.array([r.rate * (1 - r.rate) for r in rates])
    trials = np.array([r.trials for r in rates], np.float64)
    raw = np.array([r.raw_variance for r in rates])
    others = np.array([r.dependents for r in rates]) - 1
    known = ~np.isnan(raw) & (alone > 0) & (others > 0)
    observed = np.sum((raw * trials - alone)[known] * trials[known])
    most = np.sum((alone * trials * others)[known])
    return float(max(observed / most, 0.0)) if most > 0 else 0.0


def person_mean(
    errors: Int[np.ndarray, " people"], trials: Int[np.ndarray, " people"], *, level: float
) -> tuple[float, tuple[float, float] | None]:
    """Mean over people of each person's own rate, and its interval: people count equally.

    Where people have unequally many pairs it answers another question than the rate over pairs: how
    often the system fails a person, not how often it fails a pair. The interval is Wilson's on
    effective trials from the variance between people, with Student's quantile; Clopper-Pearson on
    people where nobody, or everybody, fails.

    Args:
      errors: Errors of each person.
      trials: Pairs of each person, at least 1.
      level: Nominal coverage, a fraction in (0, 1).

    Returns:
      The mean, a fraction in [0, 1] (NaN without people), and its interval (None with one person).
    """
    people = len(trials)
    share = errors / trials
    mean = float(np.mean(share)) if people else np.nan
    if people < 2:
        return mean, None
    if mean in (0.0, 1.0):
        return mean, exact_interval(all_counted=mean > 0, trials=people, level=level)
    alone = mean * (1 - mean)
    variance = max(share.var(ddof=1) / people, alone * np.sum(1 / trials) / people**2)
    tail = (1 + level) / 2
    wider = stdtrit(people - 1, tail) / NormalDist().inv_cdf(tail)
    low, high = wilson_interval(mean, alone / variance / wider**2, level=level)
    return mean, (float(low), float(high))


def wilson_interval(
    rate: Num[np.ndarray, "..."] | float,
    trials: Num[np.ndarray, "..."] | int | float,
    *,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a rate; the trials need not be whole, which SciPy asks for.

    Args:
      rate: Observed, a fraction in [0, 1].
      trials: Independent trials behind it, or effective ones; above 0.
      level: Nominal coverage, a fraction in (0, 1).

    Source: Wilson, JASA 1927; on effective trials Fogliato et al. (arXiv 2306.01198).
    """
    rate, trials = np.asarray(rate, np.float64), np.asarray(trials, np.float64)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = np.sqrt(z2 / trials * (rate * (1 - rate) + z2 / (4 * trials))) / (1 + z2 / trials)
    return np.asarray(np.maximum(centre - reach, 0.0)), np.asarray(np.minimum(centre + reach, 1.0))


def _dependent(values: np.ndarray, person: np.ndarray) -> float:
    """The sum of products over all couples of dyads with a common person: Q."""
    apart = person[:, 0] != person[:, 1]
    sums = _by_person(values, person)
    return float(np.sum(sums**2) - np.sum(np.square(values[apart], dtype=np.float64)))


def _by_person(values: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The sum over the dyads that hold each person."""
    one, other = person.T
    apart, people = one != other, person.max() + 1
    return np.bincount(one, values, people) + np.bincount(other[apart], values[apart], people)


def _disjoint(person: np.ndarray) -> int:
    """The size of a set of dyads without a common person, taken greedily in random order."""
    person = np.random.default_rng(0).permutation(person)  # or the rounds would be many
    free = np.ones(person.max() + 1, bool)
    count = 0
    while len(person):
        row = np.arange(len(person))
        first = np.full(len(free), len(person))
        np.minimum.at(first, person, row[:, None])
        chosen = person[(first[person] == row[:, None]).all(axis=1)]  # before all that touch them
        count += len(chosen)
        free[chosen] = False
        person = person[free[person].all(axis=1)]
    return count
