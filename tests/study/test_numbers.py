"""Cells over seeds, paired differences and verdicts, by hand."""

import numpy as np
import pytest
from scipy import stats

from fairjax.plan import Claim, Column, Row
from fairjax.results import Measure, Results
from fairjax.study.numbers import cell, combined, judge, published_difference, value_of

COLUMN = Column("Accuracy", "accuracy", {"race": "A"})
CLAIM = Claim("less", "one", "other", "Accuracy", "lower")


def results(value, **more):
    measures = [
        Measure("accuracy", value, "fraction", 9, group={"race": "A"}, method="bootstrap", **more),
        Measure("accuracy_worst", 0.1, "fraction", 9, group={"race": "B"}, across="race"),
        Measure("mae", 4.5, "years", 9),
    ]
    return Results("attributes", {}, measures, {}, [], {})


def test_a_cell_is_the_mean_over_seeds_with_students_interval():
    row = Row("one", published={"Accuracy": 50.0})
    found = cell(COLUMN, row, [results(0.4), results(0.5), None, results(0.6)])
    assert found.values == pytest.approx((40.0, 50.0, None, 60.0))
    assert (found.mean, found.std) == pytest.approx((50.0, 10.0))
    reach = stats.t.ppf(0.975, 2) * 10 / np.sqrt(3)
    assert found.interval == pytest.approx((50 - reach, 50 + reach))
    assert found.difference == pytest.approx(0.0)


def test_one_seed_has_its_own_interval_and_no_deviation():
    found = cell(COLUMN, Row("one"), [results(0.4, interval=(0.3, 0.5))])
    assert (found.std, found.interval) == (None, pytest.approx((30.0, 50.0)))
    assert found.method == "bootstrap"
    assert found.difference is None


def test_what_is_absent_or_undefined_is_no_number():
    assert value_of(results(None), COLUMN) is None
    assert value_of(results(0.4), Column("x", "speed")) is None
    assert cell(COLUMN, Row("one"), [None, None]).mean is None


def test_years_stay_years_and_the_worst_group_is_whichever_it_is():
    assert value_of(results(0.4), Column("MAE", "mae")) == 4.5
    assert value_of(results(0.4), Column("W", "accuracy_worst", across="race")) == 10.0


def test_the_interval_of_a_difference_covers_people_and_seeds():
    rng = np.random.default_rng(0)
    people = rng.normal(0.0, 2.0, 4000)
    mean, (low, high) = combined([1.0, 3.0], np.stack([people + 1, people + 3]))
    over_people, over_seeds = people.var(ddof=1), 2.0 / 2
    total = over_people + over_seeds
    reach = stats.t.ppf(0.975, (total / over_seeds) ** 2) * total**0.5
    assert mean == 2.0
    assert (low, high) == pytest.approx((2 - reach, 2 + reach))


def test_with_one_seed_only_people_are_in_the_interval():
    people = np.random.default_rng(0).normal(0.0, 2.0, (1, 4000))
    mean, (low, high) = combined([1.0], people)
    reach = stats.norm.ppf(0.975) * people.std(ddof=1)
    assert (mean, low, high) == pytest.approx((1.0, 1 - reach, 1 + reach))


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((-2.0, -0.5), "holds"), ((0.5, 2.0), "contradicted"), ((-1.0, 1.0), "inconclusive"),
     ((0.0, 0.0), "inconclusive")],
)  # fmt: skip
def test_a_verdict_needs_the_whole_interval_on_one_side(interval, verdict):
    assert judge(CLAIM, sum(interval) / 2, interval) == verdict


def test_the_papers_difference_needs_both_of_its_numbers():
    rows = {"one": Row("one", published={"Accuracy": 3.0}), "other": Row("other")}
    assert published_difference(CLAIM, rows) is None
    rows["other"] = Row("other", published={"Accuracy": 5.0})
    assert published_difference(CLAIM, rows) == -2.0
