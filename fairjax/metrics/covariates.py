r"""Error rates of groups with covariates held: what is left of a gap for pairs that look alike.

A logistic regression gives the chance of an error from the pair's group and its covariates,

    logit P(error) = a_g + b' x

and the rate of a group with covariates held is the mean of that chance over *all* pairs, each taken
for a pair of this group (standardisation, or g-computation; the average marginal effect of the
group is the difference of two such rates):

    m_g = 1/n sum_i expit(a_g + b' x_i)

Pairs share people, so errors are not independent. Each estimate is a mean of influence values,

    u_i(g) = (expit(a_g + b' x_i) - m_g) / n + J_g' H^-1 z_i (y_i - p_i),

with z the regression's variables, H its information and J_g the gradient of m_g. Their covariance
is the dyadic one of `clustered`: products of the values of all pairs that have a person in common.
So it holds for mated pairs, clustered by person, and for non-mated pairs, which have two.

The comparison rests on pairs of all groups that look alike. `Standardised.overlap` says how many
there are: the share of all pairs at which a group is at least a tenth as frequent as among all.

Source: standardisation after logistic regression: Muller and MacLehose, International Journal of
  Epidemiology 2014; dyadic covariance: Aronow, Samii and Assenova, Political Analysis 2015. Share
  of pairs with a propensity above a tenth: after Crump et al., Biometrika 2009.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from fairjax.core.blocks import blocks
from fairjax.metrics.clustered import Dyads, DyadSums
from fairjax.metrics.logistic import fit_logistic

_BLOCK = 1 << 13  # pairs at a time
_SAMPLE = 20_000  # pairs that tell how far groups overlap
_RARE = 0.1  # of a group's share: below it, a pair is unlike those of the group
_RIDGE = 1e-4  # on standardised variables: keeps a fit finite where a covariate tells all errors


@dataclass(frozen=True)
class Contrast:
    """A difference of two numbers and what is known of it.

    Attributes:
      value: The difference.
      interval: Interval of the difference.
      p: P-value of the test that it is 0.
    """

    value: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Standardised:
    """Error rates of groups as found and with covariates held.

    Attributes:
      found: Share of errors among each group's own pairs.
      held: Mean chance of an error over all pairs, each taken for one of the group.
      at_low: Mean chance over all pairs where each covariate has its lower quartile, by covariate.
      at_high: Mean chance over all pairs where each covariate has its upper quartile.
      covariance: Covariance of found, held, `at_low` and `at_high`, in that order.
      people: Effective people of each group; what is known of its rates has one degree of freedom
        less.
      overlap: Share of all pairs that are like pairs of the group.
    """

    found: Float[np.ndarray, " groups"]
    held: Float[np.ndarray, " groups"]
    at_low: Float[np.ndarray, " covariates"]
    at_high: Float[np.ndarray, " covariates"]
    covariance: Float[np.ndarray, "estimates estimates"]
    people: Float[np.ndarray, " groups"]
    overlap: Float[np.ndarray, " groups"]

    def interval(self, place: int, *, held: bool, level: float) -> tuple[float, float]:
        """Interval of a group's rate, on the logit scale.

        Args:
          place: The group.
          held: Whether it is the rate with covariates held.
          level: Coverage.
        """
        rate = (self.held if held else self.found)[place]
        row = place + held * len(self.found)
        reach = _quantile(level, self.people[place] - 1) * np.sqrt(self.covariance[row, row])
        logit, slope = special.logit(rate), rate * (1 - rate)
        low, high = special.expit([logit - reach / slope, logit + reach / slope])
        return float(low), float(high)

    def log_ratio(self, first: int, second: int, *, held: bool, level: float) -> Contrast:
        """Logarithm of the ratio of two groups' rates."""
        weights = self._log_weights(first, held) - self._log_weights(second, held)
        rates = self.held if held else self.found
        value = float(np.log(rates[first] / rates[second]))
        return self._contrast(value, weights, (first, second), level)

    def shrinkage(self, first: int, second: int, *, level: float) -> Contrast:
        """How much smaller the logarithm of their ratio is with covariates held."""
        weights = self._log_weights(first, held=False) - self._log_weights(second, held=False)
        weights -= self._log_weights(first, held=True) - self._log_weights(second, held=True)
        value = np.log(self.found[first] / self.found[second])
        value -= np.log(self.held[first] / self.held[second])
        return self._contrast(float(value), weights, (first, second), level)

    def effect(self, covariate: int, *, level: float) -> Contrast:
        """Rate at the upper quartile of a covariate less that at the lower one."""
        weights = np.zeros(len(self.covariance))
        low = 2 * len(self.found) + covariate
        weights[low], weights[low + len(self.at_low)] = -1.0, 1.0
        value = float(self.at_high[covariate] - self.at_low[covariate])
        return self._contrast(value, weights, range(len(self.found)), level)

    def equality(self, *, held: bool) -> float:
        """P-value of the test that all groups have one rate: F, on the logit scale."""
        rates = self.held if held else self.found
        groups = len(rates)
        rows = np.arange(groups) + held * groups
        slope = rates * (1 - rates)
        covariance = self.covariance[np.ix_(rows, rows)] / np.outer(slope, slope)
        apart = np.eye(groups)[1:] - np.eye(groups)[0]
        value = apart @ special.logit(rates)
        between = apart @ covariance @ apart.T
        # Where few people are on many pairs, the variance may come out negative: nothing is shown.
        statistic = max(float(value @ np.linalg.solve(between, value)) / (groups - 1), 0.0)
        freedom = max(float(self.people.sum()) - groups, 1.0)
        return float(special.fdtrc(groups - 1, freedom, statistic))

    def _log_weights(self, place: int, held: bool) -> np.ndarray:
        weights = np.zeros(len(self.covariance))
        rates = self.held if held else self.found
        weights[place + held * len(rates)] = 1 / rates[place]
        return weights

    def _contrast(
        self, value: float, weights: np.ndarray, groups: Sequence[int] | range, level: float
    ) -> Contrast:
        spread = float(np.sqrt(max(weights @ self.covariance @ weights, 0.0)))
        freedom = max(sum(self.people[g] for g in groups) - len(groups), 1.0)
        reach = _quantile(level, freedom) * spread
        p = 2 * float(special.stdtr(freedom, -abs(value) / spread)) if spread else float(value == 0)
        return Contrast(value, (value - reach, value + reach), p)


class Quartiles(NamedTuple):
    """A covariate among the variables of a regression, at its two quartiles.

    Attributes:
      columns: Variables that the covariate sets.
      low: Values of these variables at the lower quartile.
      high: Values of these variables at the upper quartile.
    """

    columns: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def standardise(
    error: Bool[np.ndarray, " pairs"],
    group: Int[np.ndarray, " pairs"],
    variables: Float[np.ndarray, "pairs variables"],
    couples: Dyads,
    *,
    quartiles: Sequence[Quartiles] = (),
) -> Standardised:
    """Error rates of each group as found and with covariates held.

    Args:
      error: Whether each pair is an error.
      group: Group of both people of each pair, from 0; each has pairs of both kinds, and pairs that
        have no person in common (see `are_apart`).
      variables: Covariates of the pairs; a covariate may have several columns.
      couples: `clustered.dyads` of the pairs; both people of a couple are of one group.
      quartiles: Covariates whose own effect is wanted.

    Raises:
      ValueError: If a group has no error, or nothing else, or all its pairs share a person.
    """
    groups = int(group.max()) + 1
    trials = np.bincount(group, minlength=groups)
    observed = np.bincount(group[error], minlength=groups) / trials
    if not ((observed > 0) & (observed < 1)).all():
        raise ValueError("each group needs pairs that are errors and pairs that are not.")
    centre, scale = variables.mean(axis=0), variables.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (variables - centre) / scale
    member = (group[:, None] == np.arange(1, groups)).astype(np.float32)
    beta, intercept = fit_logistic(np.column_stack([member, z]), error, penalty=_RIDGE)
    of_group, slopes = np.append(0.0, beta[: groups - 1]) + intercept, beta[groups - 1 :]
    fixed = [
        (list(q.columns), (np.array(values) - centre[[*q.columns]]) / scale[[*q.columns]])
        for side in ("low", "high")
        for q in quartiles
        for values in [getattr(q, side)]
    ]
    cases = _Cases(of_group, slopes, fixed)
    estimates, pairs, width = groups + len(fixed), len(error), len(beta) + 1
    mean, gradient = np.zeros(estimates), np.zeros((estimates, width))
    information = np.diag(np.append(np.full(width - 1, _RIDGE), 0.0))
    for rows in blocks(pairs, _BLOCK):
        chance = cases.chances(z[rows], group[rows])
        mean += chance.sum(axis=0) / pairs
        gradient += cases.gradient(chance, z[rows], member[rows]) / pairs
        x = np.column_stack([member[rows], z[rows], np.ones(len(chance))])
        p = cases.own(z[rows], group[rows])
        information += (x * (p * (1 - p))[:, None]).T @ x
    inverse = np.linalg.inv(information)
    pull = gradient @ inverse  # how far each estimate moves with a pair's score
    sums = np.zeros((len(couples.trials), groups + estimates))
    for rows in blocks(pairs, _BLOCK):
        x = np.column_stack([member[rows], z[rows], np.ones(len(z[rows]))])
        wrong = error[rows] - cases.own(z[rows], group[rows])
        influence = (cases.chances(z[rows], group[rows]) - mean) / pairs
        influence += (wrong[:, None] * x) @ pull.T
        own = np.zeros((len(x), groups))
        of = group[rows]
        own[np.arange(len(x)), of] = (error[rows] - observed[of]) / trials[of]
        both = np.concatenate([own, influence], axis=1)
        np.add.at(sums, couples.position[rows], both)
    covariance = _dyadic(sums, couples)
    correction, people = _small_samples(group, couples, groups)
    if not np.isfinite(correction).all():
        raise ValueError("each group needs pairs that have no person in common.")
    stretch = np.concatenate(
        [correction, correction, np.full(estimates - groups, correction.mean())]
    )
    covariance *= np.sqrt(np.outer(stretch, stretch))
    alone = np.concatenate(
        [observed * (1 - observed) / trials, np.einsum("ij,jk,ik->i", gradient, inverse, gradient)]
    )
    own_variance = np.maximum(np.diag(covariance), alone)  # never below independent pairs
    covariance[np.diag_indices_from(covariance)] = own_variance
    low, high = np.split(mean[groups:], 2)
    return Standardised(
        observed, mean[:groups], low, high, covariance, people, _overlap(z, group, groups)
    )


def are_apart(couples: Dyads) -> bool:
    """Whether some pairs have no person in common: else nothing is known of their rate's error."""
    sums = DyadSums(couples.trials, couples.people)
    return bool(sums.total and sums.total**2 > sums.dependent)


class _Cases:
    """Pairs as the regression sees them when one thing is changed: the group, or a covariate.

    Args:
      of_group: Intercept of each group.
      slopes: Slopes of the standardised variables.
      fixed: Variables that are set and their values, one entry a case behind those of the groups.
    """

    def __init__(
        self,
        of_group: np.ndarray,
        slopes: np.ndarray,
        fixed: Sequence[tuple[list[int], np.ndarray]],
    ) -> None:
        self.of_group, self.slopes, self.fixed = of_group, slopes, fixed

    def own(self, z: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Chance of an error of each pair as it is."""
        return np.asarray(special.expit(z @ self.slopes + self.of_group[group]))

    def chances(self, z: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Chance of an error of each pair in each case."""
        base = z @ self.slopes
        logit = np.empty((len(z), len(self.of_group) + len(self.fixed)))
        logit[:, : len(self.of_group)] = base[:, None] + self.of_group
        for k, (columns, values) in enumerate(self.fixed, len(self.of_group)):
            moved = (values - z[:, columns]) @ self.slopes[columns]
            logit[:, k] = base + self.of_group[group] + moved
        return np.asarray(special.expit(logit))

    def gradient(self, chance: np.ndarray, z: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Sum over pairs of the chances' derivatives by all coefficients, the intercept last."""
        weight = chance * (1 - chance)
        total, groups = weight.sum(axis=0), len(self.of_group)
        by_group, by_slope = weight.T @ member, weight.T @ z
        by_group[:groups] = np.diag(total[:groups])[:, 1:]
        for k, (columns, values) in enumerate(self.fixed, groups):
            by_slope[k, columns] = total[k] * values
        return np.column_stack([by_group, by_slope, total])


def _dyadic(sums: np.ndarray, couples: Dyads) -> np.ndarray:
    """Sums over all couples of dyads that share a person, of the product of their values."""
    low, high = couples.people.T
    people = int(couples.people.max(initial=-1)) + 1
    apart = low != high
    by_person = np.stack(
        [
            np.bincount(low, column, minlength=people)
            + np.bincount(high[apart], column[apart], minlength=people)
            for column in sums.T
        ],
        axis=1,
    )
    twice = sums[apart]
    return np.asarray(by_person.T @ by_person - twice.T @ twice)


def _small_samples(group: np.ndarray, couples: Dyads, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Each group's factor for its rate being estimated from the same pairs, and its people."""
    home = np.zeros(len(couples.trials), np.int64)
    home[couples.position] = group
    factors, people = [], []
    for g in range(groups):
        rows = home == g
        sums = DyadSums(couples.trials[rows], couples.people[rows])
        left = sums.total**2 - sums.dependent
        factors.append(sums.total**2 / left if left > 0 else np.inf)
        people.append(sums.effective_people)
    return np.array(factors), np.array(people)


def _overlap(z: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Share of pairs at which each group is at least a tenth as frequent as among all."""
    step = max(1, len(group) // _SAMPLE)
    z, group = z[::step], group[::step]
    shares = []
    for g in range(groups):
        inside = group == g
        if inside.all() or not inside.any():
            shares.append(float(inside.all()))
            continue
        slope, intercept = fit_logistic(z, inside, penalty=1.0)
        chance = special.expit(z @ slope + intercept)
        shares.append(float(np.mean(chance >= _RARE * inside.mean())))
    return np.array(shares)


def _quantile(level: float, freedom: float) -> float:
    """Student's quantile of a two-sided interval."""
    return float(special.stdtrit(max(freedom, 1.0), (1 + level) / 2))
