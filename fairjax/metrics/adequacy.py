"""How much data an error rate needs, in trials that are independent.

Pairs that share people are fewer trials than they look: divide their number by the design effect,
the variance of the rate over that of as many independent trials (`clustered.ClusteredRate`).
"""

import math
from statistics import NormalDist

from fairjax.metrics.bootstrap import exact_interval


def errors_needed(within: float, *, confidence: float = 0.9) -> int:
    """How many errors put the true rate within a fraction of the observed one: (z / within)^2.

    30 errors for 30 % at 90 % confidence (the rule of 30), 68 for 20 %, 271 for 10 %.

    Args:
      within: Relative distance, a fraction in (0, 1).
      confidence: A fraction in (0, 1).

    Raises:
      ValueError: If one of them is not in (0, 1).

    Source: Doddington et al., Speech Communication 2000; the general form by the normal
      approximation, rounded to whole errors.
    """
    _check_fraction("within", within)
    return round((_z((1 + confidence) / 2) / within) ** 2)


def lowest_rate(
    trials: int | float, *, design_effect: int | float = 1.0, errors: int = 30
) -> float | None:
    """The lowest rate that so many trials back by `errors` errors; None where they back none.

    With design effect 1 it is where a curve's 30-error mark stands, errors / trials.

    Args:
      trials: Pairs.
      design_effect: Pairs to one independent trial, at least 1.
      errors: Independent errors wanted.
    """
    rate = errors * design_effect / trials if trials else math.inf
    return rate if rate <= 1 else None


def upper_if_zero(trials: int, *, level: float = 0.95, two_sided: bool = False) -> float:
    """Upper bound of a rate of which `trials` independent trials show no error.

    One-sided it is about 3 / trials at 95 % (the rule of 3), two-sided about 3.69 / trials.

    Args:
      trials: Independent trials, at least 1: pairs of which no two share a person.
      level: Confidence, a fraction in (0, 1).
      two_sided: Whether it is the upper end of a two-sided interval (Clopper-Pearson).

    Raises:
      ValueError: If there is no trial.
    """
    if trials < 1:
        raise ValueError(f"a bound needs at least one trial; got {trials}.")
    level = level if two_sided else 2 * level - 1
    return exact_interval(all_counted=False, trials=trials, level=level)[1]


def people_to_resolve(
    ratio: int | float,
    *,
    rate: float,
    trials_per_person: int | float,
    design_effect: int | float,
    power: float = 0.8,
    level: float = 0.95,
) -> int:
    """People a group needs so that a test tells apart two groups' rates `rate` and ratio * rate.

    From the two-sided test of log(rate_2 / rate_1), whose variance at m independent trials a group
    is (1 - rate_1) / (m rate_1) + (1 - rate_2) / (m rate_2):

        m = (z_level + z_power)^2 ((1 - rate_1) / rate_1 + (1 - rate_2) / rate_2) / log(ratio)^2
        people = m design_effect / trials_per_person

    For FNMR trials are a person's mated pairs. For FMR they are pairs a person, all pairs over all
    people, with the design effect measured on the same data: more people mean more pairs each, but
    as large a design effect more, so that a person is worth the same.

    Args:
      ratio: Larger over smaller rate, above 1.
      rate: The smaller rate, a fraction; ratio * rate is below 1.
      trials_per_person: Pairs over people, as measured.
      design_effect: Design effect of the measured rate, at least 1.
      power: Chance of finding it, a fraction in (0, 1).
      level: 1 - the test's size, a fraction in (0, 1).

    Raises:
      ValueError: If a rate is outside (0, 1) or the ratio is not above 1.
    """
    _check_fraction("rate", rate)
    _check_fraction("ratio * rate", ratio * rate)
    if ratio <= 1:
        raise ValueError(f"ratio is the larger over the smaller rate, above 1; got {ratio:g}.")
    spread = sum((1 - p) / p for p in (rate, ratio * rate))
    trials = ((_z((1 + level) / 2) + _z(power)) / math.log(ratio)) ** 2 * spread
    return math.ceil(trials * design_effect / trials_per_person)


def _z(quantile: float) -> float:
    return NormalDist().inv_cdf(quantile)


def _check_fraction(what: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{what} must be a fraction in (0, 1); got {value:g}.")
