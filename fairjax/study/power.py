"""What a study can find out, said before its first run: the difference that it resolves.

The tests are those of `fairjax.study.numbers`: a difference of two rows varies over trainings and
over the test's people, and within a family of claims the p-values are adjusted by Holm's method.
A claim's power is counted here as if it were the first of its family to be decided, at the level
divided by the family's size; Holm's later steps are easier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fairjax.config.study import Claim, Spread, Study
from fairjax.study.numbers import LEVEL, published_difference

POWER = 0.8
MOST_SEEDS = 100
_DRAWS = 4000


@dataclass(frozen=True)
class Forecast:
    """What the runs of a study can say of one claim.

    Attributes:
      claim: The claim.
      resolves: Smallest distance from the claim's bound that is found with a probability of POWER,
        in the column's printed unit; None where nothing is known of the column's spread.
      published: The paper's distance from the bound, 0 or more; None where the paper prints none,
        or one on the other side of the bound.
      seeds: Fewest seeds that find the paper's distance; None where it is not asked, or no number
        of seeds up to MOST_SEEDS does.
      people: By what factor the test's people must be multiplied, with the study's own seeds, to
        find it; None where it is not asked, or no factor up to 100 does.
      source: Where the spread is from; "" where it is not known.
    """

    claim: Claim
    resolves: float | None
    published: float | None
    seeds: int | None
    people: float | None
    source: str

    @property
    def suffices(self) -> bool | None:
        """Whether the paper's difference would be found; None where that is not known."""
        if self.resolves is None or self.published is None:
            return None
        return self.resolves <= self.published

    def __str__(self) -> str:
        name = self.claim.text.rstrip(".")
        if self.resolves is None:
            return f"{name}: not known, as the spread of {self.claim.column!r} is not."
        line = f"{name}: {self.resolves:.2g} can be found ({self.source})"
        if self.published is None:
            return f"{line}; the paper prints no difference of that sign."
        if self.suffices:
            return f"{line}; the paper's is {self.published:.2g}."
        ways = [f"{self.seeds} seeds"] if self.seeds else []
        ways += [f"{self.people:.1f} times the people"] if self.people else []
        return (
            f"{line}; TOO LITTLE for the paper's {self.published:.2g}, which takes "
            f"{' or '.join(ways) or 'more seeds and more people'}."
        )


def forecast(study: Study) -> list[Forecast]:
    """What the study can say of each claim that it tests."""
    rows = {row.name: row for row in study.rows}
    return [
        _forecast(study, claim, published_difference(claim, rows), study.spreads.get(claim.column))
        for claim in study.claims
        if not claim.descriptive
    ]


def _forecast(
    study: Study, claim: Claim, published: float | None, spread: Spread | None
) -> Forecast:
    # Where the paper is on the wrong side of the bound, it has no distance to be found.
    away = None if published is None else published - claim.bound
    distance = None if away is None or (away < 0) != (claim.direction == "lower") else abs(away)
    if spread is None:
        return Forecast(claim, None, distance, None, None, "")
    tested = [other for other in study.claims if not other.descriptive]
    family = sum(other.family == claim.family for other in tested)
    level, seeds, resamples = (1 - LEVEL) / family, len(study.seeds), study.resamples
    reach = resolvable(spread, seeds=seeds, resamples=resamples, level=level)
    more_seeds = more_people = None
    if distance is not None and reach > distance:
        more_seeds = seeds_needed(distance, spread, resamples=resamples, level=level)
        more_people = people_needed(distance, spread, seeds=seeds, resamples=resamples, level=level)
    return Forecast(claim, reach, distance, more_seeds, more_people, spread.source)


def power(difference: float, spread: Spread, *, seeds: int, resamples: int, level: float) -> float:
    """Probability that a true difference is found, on its own side, in simulated studies.

    Args:
      difference: The true distance from the claim's bound.
      spread: How far a difference moves by chance.
      seeds: Trainings of each row; with one, the component over trainings is not known to the test.
      resamples: Resamples of the test's people.
      level: Largest p-value that decides.
    """
    rng = np.random.default_rng(0)
    people = spread.people**2
    moved = rng.normal(0.0, np.sqrt(spread.seeds**2 / seeds + people), _DRAWS)
    components = [(people * _chi2_mean(rng, resamples - 1), resamples - 1)]
    if seeds > 1:
        components.append((spread.seeds**2 / seeds * _chi2_mean(rng, seeds - 1), seeds - 1))
    variance = np.sum([component for component, _ in components], axis=0)
    critical = sum(c * stats.t.isf(level / 2, freedom) for c, freedom in components) / variance
    return float(np.mean(difference + moved >= critical * np.sqrt(variance)))


def _chi2_mean(rng: np.random.Generator, freedom: int) -> np.ndarray:
    """Estimated over true variance, in simulated studies."""
    return rng.chisquare(freedom, _DRAWS) / freedom


def resolvable(spread: Spread, *, seeds: int, resamples: int, level: float) -> float:
    """Smallest true difference that is found with a probability of POWER; see `power`.

    Any is, where differences have never moved by chance: then it is 0.
    """
    low, high = 0.0, max(spread.seeds, spread.people)
    if high == 0:
        return 0.0
    while power(high, spread, seeds=seeds, resamples=resamples, level=level) < POWER:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        if power(middle, spread, seeds=seeds, resamples=resamples, level=level) < POWER:
            low = middle
        else:
            high = middle
    return high


def seeds_needed(difference: float, spread: Spread, *, resamples: int, level: float) -> int | None:
    """Fewest seeds, from two on, that find the difference; None where MOST_SEEDS do not."""
    for seeds in range(2, MOST_SEEDS + 1):
        if power(difference, spread, seeds=seeds, resamples=resamples, level=level) >= POWER:
            return seeds
    return None


def people_needed(
    difference: float, spread: Spread, *, seeds: int, resamples: int, level: float
) -> float | None:
    """By what factor the test's people must grow to find the difference; None above 100."""
    for factor in np.geomspace(1.0, 100.0, 41).tolist():
        fewer = Spread(spread.seeds, spread.people / factor**0.5, spread.source)
        if power(difference, fewer, seeds=seeds, resamples=resamples, level=level) >= POWER:
            return factor
    return None


def lines(forecasts: Sequence[Forecast], *, since: str = "before its first run") -> list[str]:
    """One sentence for each claim whose spread is known, after one that says what is counted.

    Args:
      forecasts: What the study can say of its claims.
      since: What is known when they are made.
    """
    known = [forecast for forecast in forecasts if forecast.resolves is not None]
    if not known:
        return []
    head = f"What this study can find with a probability of {POWER:.0%}, {since}:"
    return [head, *map(str, known)]
