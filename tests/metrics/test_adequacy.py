import numpy as np
import pytest
from scipy import stats

from fairjax.metrics import adequacy as a


@pytest.mark.parametrize(("within", "errors"), [(0.3, 30), (0.2, 68), (0.1, 271)])
def test_the_rule_of_30_and_its_kin(within: float, errors: int) -> None:
    assert a.errors_needed(within) == errors


def test_30_errors_are_within_30_percent_nine_times_in_ten() -> None:
    seen = np.random.default_rng(0).binomial(30_000, 0.001, 20_000)
    assert np.mean(np.abs(seen - 30) <= 0.3 * 30) == pytest.approx(0.9, abs=0.02)


def test_the_lowest_rate_of_a_benchmark_of_3000_pairs_a_group() -> None:
    assert a.lowest_rate(3000) == pytest.approx(1e-2)
    assert a.lowest_rate(3000, design_effect=4.0) == pytest.approx(4e-2)
    assert a.lowest_rate(3000, errors=3) == pytest.approx(1e-3)
    assert a.lowest_rate(29) is None
    assert a.lowest_rate(0) is None


@pytest.mark.parametrize("trials", [50, 1000])
def test_the_rule_of_3_is_the_exact_bound(trials: int) -> None:
    one_sided = stats.binomtest(0, trials, alternative="less").proportion_ci(0.95, method="exact")
    assert a.upper_if_zero(trials) == pytest.approx(one_sided.high)
    assert a.upper_if_zero(trials) == pytest.approx(3 / trials, rel=0.04)
    assert a.upper_if_zero(trials, two_sided=True) == pytest.approx(3.69 / trials, rel=0.05)


def test_people_to_resolve_worked_by_hand() -> None:
    # (1.959964 + 0.841621)^2 (0.98 / 0.02 + 0.96 / 0.04) / log(2)^2 = 1192.6 trials a group
    plan = {"rate": 0.02, "trials_per_person": 1, "design_effect": 1.0}
    assert a.people_to_resolve(2.0, **plan) == 1193
    clustered = {"rate": 0.02, "trials_per_person": 300, "design_effect": 25.0}
    assert a.people_to_resolve(2.0, **clustered) == 100  # 1192.6 * 25 / 300 = 99.4
    assert a.people_to_resolve(1.5, **plan) > a.people_to_resolve(2.0, **plan)
    assert a.people_to_resolve(2.0, power=0.9, **plan) > 1193


def test_the_plan_has_the_power_that_it_was_made_for() -> None:
    rng = np.random.default_rng(0)
    rate, ratio, pairs, spread = 0.05, 2.0, 40, 0.25  # beta-binomial people
    effect = 1 + (pairs - 1) * spread / (1 + spread)
    people = a.people_to_resolve(ratio, rate=rate, trials_per_person=pairs, design_effect=effect)

    def rates(p: float) -> np.ndarray:
        skill = rng.beta(p / spread, (1 - p) / spread, (2000, people))
        return rng.binomial(pairs, skill).mean(axis=1) / pairs

    low, high = rates(rate), rates(ratio * rate)
    variance = sum(effect * (1 - x) / (x * pairs * people) for x in (low, high))
    found = np.mean(np.log(high / low) / np.sqrt(variance) > 1.96)
    assert found == pytest.approx(0.8, abs=0.05)


def test_what_makes_no_sense_is_refused() -> None:
    plan = {"trials_per_person": 10, "design_effect": 1.0}
    with pytest.raises(ValueError, match=r"ratio \* rate must be a fraction in \(0, 1\); got 1.2"):
        a.people_to_resolve(2.0, rate=0.6, **plan)
    with pytest.raises(ValueError, match="above 1; got 1"):
        a.people_to_resolve(1.0, rate=0.1, **plan)
    with pytest.raises(ValueError, match="within must be a fraction"):
        a.errors_needed(0.0)
    with pytest.raises(ValueError, match="at least one trial; got 0"):
        a.upper_if_zero(0)
