"""Cells over seeds, paired differences and verdicts, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fairjax.config.study import Claim, Column, Row, Thesis
from fairjax.core.results import Measure, Results
from fairjax.study.numbers import (
    ClaimResult,
    Estimate,
    VarianceComponent,
    adjust,
    cell,
    combined,
    conclude,
    published_difference,
    value_of,
    verdict_of,
)

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
    people = np.random.default_rng(0).normal(0.0, 2.0, 4000)
    found = combined([1.0, 3.0], np.stack([people + 1, people + 3]))
    over_people, over_seeds = people.var(ddof=1), 2.0 / 2
    total = over_people + over_seeds
    critical = (over_people * stats.t.ppf(0.975, 3999) + over_seeds * stats.t.ppf(0.975, 1)) / total
    reach = critical * total**0.5
    assert found.mean == 2.0
    assert found.interval == pytest.approx((2 - reach, 2 + reach))


def test_with_one_seed_only_people_are_in_the_test_with_the_degrees_that_resamples_give():
    people = np.random.default_rng(0).normal(0.0, 2.0, (1, 20))
    found = combined([1.0], people)
    error = people.std(ddof=1)
    reach = stats.t.ppf(0.975, 19) * error
    assert found.interval == pytest.approx((1 - reach, 1 + reach))
    assert found.p_value(-0.5) == pytest.approx(2 * stats.t.sf(1.5 / error, 19))


def test_a_difference_that_never_varies_or_is_seldom_defined_is_no_estimate():
    assert combined([1.0], np.ones((1, 9))) is None
    assert combined([1.0], np.array([[np.nan, 2.0, np.nan]])) is None
    assert combined([1.0], np.array([[np.nan, 2.0, 4.0]])).error == pytest.approx(2**0.5)


def test_the_p_value_is_five_percent_at_the_intervals_ends_and_never_nought():
    found = Estimate(1.0, (VarianceComponent(2.0, 199), VarianceComponent(0.5, 2)))
    assert [found.p_value(end) for end in found.interval] == pytest.approx([0.05, 0.05])
    assert found.p_value(1.0) == pytest.approx(1.0)
    assert 0 < Estimate(1.0, (VarianceComponent(1e-12, 199),)).p_value(0.0) < 1e-11


@pytest.mark.parametrize("trainings", [0.0, 1.0, 10.0])
def test_equal_recipes_are_told_apart_no_more_often_than_it_says(trainings):
    rng, seeds, wrong = np.random.default_rng(0), 3, 0
    for _ in range(2000):
        differences = rng.normal() + trainings * rng.normal(size=seeds)
        parts = (
            VarianceComponent(rng.chisquare(199) / 199, 199),
            VarianceComponent(differences.var(ddof=1) / seeds, 2),
        )
        low, high = Estimate(differences.mean(), parts).interval
        wrong += not low <= 0 <= high
    assert wrong / 2000 < 0.05 + 2.5 * (0.05 * 0.95 / 2000) ** 0.5


@pytest.mark.parametrize(
    ("direction", "margin", "difference", "p", "verdict"),
    [
        ("lower", 0.0, -1.0, 0.04, "holds"),
        ("lower", 0.0, 1.0, 0.04, "contradicted"),
        ("lower", 0.0, -1.0, 0.06, "inconclusive"),
        ("higher", 2.0, -1.0, 0.04, "holds"),  # lower, but by less than the margin
        ("higher", 2.0, -3.0, 0.04, "contradicted"),
        ("lower", 2.0, 1.0, 0.04, "holds"),
        ("lower", 2.0, 3.0, 0.04, "contradicted"),
    ],
)
def test_a_verdict_is_the_side_of_the_margin_where_chance_is_ruled_out(
    direction, margin, difference, p, verdict
):
    claim = Claim("c", "one", "other", "Accuracy", direction, margin=margin)
    assert verdict_of(claim, difference, p) == verdict


def outcome(text, family, p, difference=-1.0):
    claim = Claim(text, "one", "other", "Accuracy", "lower", family=family)
    return ClaimResult(claim, None, difference if p is not None else None, None, p)


def test_claims_are_adjusted_for_their_number_in_each_family():
    found = adjust(
        [
            outcome("a", "x", 0.02),
            outcome("b", "x", 0.03),
            outcome("c", "y", 0.03),
            outcome("d", "x", None),
            outcome("e", "y", None),
        ]
    )
    assert [t.p_value_holm for t in found] == [0.04, 0.04, 0.03, None, None]
    assert [t.verdict for t in found] == ["holds"] * 3 + ["not tested"] * 2
    worse = adjust([outcome("a", "", 0.02), outcome("b", "", 0.06), outcome("c", "", 0.01, 1.0)])
    assert [t.p_value_holm for t in worse] == [0.04, 0.06, 0.03]
    assert [t.verdict for t in worse] == ["holds", "inconclusive", "contradicted"]


@pytest.mark.parametrize(
    ("needed", "spared", "verdict", "because"),
    [
        (("holds", "holds"), "inconclusive", "holds", ()),
        (("holds", "inconclusive"), "holds", "inconclusive", ("b",)),
        (("holds", "contradicted"), "inconclusive", "contradicted", ("b",)),
        (("holds", "holds"), "contradicted", "contradicted", ("c",)),
        (("not tested", "contradicted"), "holds", "contradicted", ("b",)),
        (("holds", "holds"), "not tested", "not tested", ("c",)),
    ],
)
def test_the_whole_is_what_its_claims_make_it(needed, spared, verdict, because):
    thesis = Thesis("t", ("a", "b"), ("c",), holds="", contradicted="", inconclusive="")
    claims = [
        ClaimResult(Claim(text, "one", "other", "Accuracy", "lower"), None, verdict=became)
        for text, became in zip("abc", (*needed, spared), strict=True)
    ]
    found = conclude(thesis, claims)
    assert (found.verdict, found.because) == (verdict, because)
    assert sum(found.must_hold.values()) == 2
    assert found.must_not_fail == {spared: 1}


def test_the_papers_difference_needs_both_of_its_numbers():
    rows = {"one": Row("one", published={"Accuracy": 3.0}), "other": Row("other")}
    assert published_difference(CLAIM, rows) is None
    rows["other"] = Row("other", published={"Accuracy": 5.0})
    assert published_difference(CLAIM, rows) == -2.0


def test_the_papers_number_is_subtracted_from_ours_where_both_are_there():
    row = Row("one", published={"Accuracy": 52.5, "Speed": 3.0})
    assert cell(COLUMN, row, [results(0.5)]).difference == pytest.approx(-2.5)
    assert cell(Column("Speed", "speed"), row, [results(0.5)]).difference is None
    assert cell(COLUMN, row, [None]).published == 52.5


def test_a_seed_without_the_number_is_left_out_of_mean_and_deviation():
    found = cell(COLUMN, Row("one"), [results(0.4), results(None), results(0.6)])
    assert found.values == pytest.approx((40.0, None, 60.0))
    assert found.mean == pytest.approx(50.0)
    assert found.std == pytest.approx(np.sqrt(200.0))  # ddof 1 of two
    assert found.method == "Student's t over 2 seeds"


def test_the_only_seed_with_a_number_brings_its_own_interval():
    late = [None, results(None), results(0.4, interval=(0.3, 0.5))]
    found = cell(COLUMN, Row("one"), late)
    assert found.interval == pytest.approx((30.0, 50.0)) and found.std is None
    bare = cell(COLUMN, Row("one"), [results(0.4)])
    assert (bare.interval, bare.method) == (None, "")


def test_years_keep_their_unit_in_intervals_too():
    years = Measure("mae", 4.5, "years", 9, interval=(4.0, 5.0), method="bootstrap")
    one = Results("attributes", {}, [years], {}, [], {})
    assert cell(Column("MAE", "mae"), Row("one"), [one]).interval == (4.0, 5.0)


def test_a_number_at_another_point_or_across_another_attribute_is_another_number():
    measures = [
        Measure("fnmr", 0.1, "fraction", 9, at="FMR 1e-3"),
        Measure("fnmr", 0.2, "fraction", 9, at="FMR 1e-2"),
        Measure("fnmr_std", 0.3, "fraction", 9, at="FMR 1e-3", across="race"),
        Measure("fnmr_worst", 0.4, "fraction", 9, {"race": "B"}, across="race", at="FMR 1e-2"),
        Measure("fnmr_worst", 0.5, "fraction", 9, {"race": "A"}, across="race", at="FMR 1e-3"),
    ]
    one = Results("verification", {}, measures, {}, [], {})
    for number, column in (
        (10.0, Column("x", "fnmr", at="FMR 1e-3")),
        (20.0, Column("x", "fnmr", at="FMR 1e-2")),
        (30.0, Column("x", "fnmr_std", across="race", at="FMR 1e-3")),
        (40.0, Column("x", "fnmr_worst", across="race", at="FMR 1e-2")),
        (50.0, Column("x", "fnmr_worst", across="race", at="FMR 1e-3")),
        (None, Column("x", "fnmr")),
        (None, Column("x", "fnmr_worst", across="gender", at="FMR 1e-3")),
        (None, Column("x", "fnmr_std", across="gender", at="FMR 1e-3")),
    ):
        found = value_of(one, column)
        assert found == (None if number is None else pytest.approx(number)), column


def test_components_of_equal_freedom_give_students_interval_and_p_value():
    found = Estimate(2.0, (VarianceComponent(3.0, 7), VarianceComponent(1.0, 7)))
    assert found.error == 2.0
    reach = 2.0 * stats.t.ppf(0.975, 7)
    assert found.interval == pytest.approx((2 - reach, 2 + reach))
    for null in (-1.0, 0.0, 1.5):
        assert found.p_value(null) == pytest.approx(2 * stats.t.sf(abs(2 - null) / 2, 7))


def test_the_p_value_falls_with_the_distance_and_is_the_same_on_both_sides():
    found = Estimate(1.0, (VarianceComponent(2.0, 30), VarianceComponent(0.5, 2)))
    values = [found.p_value(1.0 + step) for step in (0.0, 0.5, 1.0, 2.0, 5.0, 50.0)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 6
    assert found.p_value(-2.0) == pytest.approx(found.p_value(4.0))


def test_a_component_with_few_degrees_of_freedom_widens_the_interval():
    few, many = (
        Estimate(0.0, (VarianceComponent(1.0, 199), VarianceComponent(1.0, k))).interval[1]
        for k in (1, 199)
    )
    assert few > 2 * many


def test_a_resample_in_which_any_seed_has_no_number_is_left_out():
    resampled = np.array([[1.0, np.nan, 3.0, 5.0], [3.0, 2.0, np.nan, 7.0]])
    found = combined([1.0, 3.0], resampled)
    people, seeds = found.components
    assert (people.variance, people.freedom) == (pytest.approx(8.0), 1)  # of 2 and 6
    assert (seeds.variance, seeds.freedom) == (pytest.approx(1.0), 1)
    assert found.mean == 2.0


def test_people_who_change_nothing_leave_the_component_of_seeds():
    found = combined([1.0, 3.0], np.full((2, 9), 2.0))
    assert found.error == pytest.approx(1.0)
    assert combined([2.0, 2.0], np.full((2, 9), 2.0)) is None


def test_a_claims_bound_is_its_margin_on_the_other_side():
    lower, higher = (Claim("c", "a", "b", "A", d, margin=2.0) for d in ("lower", "higher"))
    assert (lower.bound, higher.bound) == (2.0, -2.0)
    assert CLAIM.bound == 0.0


def test_a_difference_at_the_level_itself_is_decided():
    assert verdict_of(CLAIM, -1.0, 1 - 0.95) == "holds"
    assert verdict_of(CLAIM, -1.0, 0.0500001) == "inconclusive"


def test_holm_keeps_the_order_of_p_values_and_never_exceeds_one():
    found = adjust(
        [outcome(name, "", p) for name, p in zip("abcd", (0.9, 0.2, 0.01, 0.5), strict=True)]
    )
    assert [t.p_value_holm for t in found] == pytest.approx([1.0, 0.6, 0.04, 1.0])
    assert [t.claim.text for t in found] == list("abcd")
    assert adjust([]) == []


def test_a_claim_that_is_named_twice_over_counts_once_where_it_is_needed():
    thesis = Thesis("t", ("a",), ("b", "c"), holds="", contradicted="", inconclusive="")
    claims = [
        ClaimResult(Claim(text, "one", "other", "Accuracy", "lower"), None, verdict=verdict)
        for text, verdict in zip(
            "abcd", ("holds", "inconclusive", "holds", "contradicted"), strict=True
        )
    ]
    found = conclude(thesis, claims)  # "d" is no part of it
    assert (found.verdict, found.because) == ("holds", ())
    assert found.must_not_fail == {"inconclusive": 1, "holds": 1}


def test_a_group_over_the_others_is_a_ratio_of_means():
    def of(*values):
        names = "ABC"[: len(values)]
        measures = [
            Measure("fmr", v, "fraction", 9, group={"race": g}, interval=(0.0, 1.0))
            for g, v in zip(names, values, strict=True)
        ]
        return Results("verification", {}, measures, {}, [], {})

    over = Column("Ratio", "fmr", {"race": "A"}, over_others=True)
    assert value_of(of(0.3, 0.1, 0.2), over) == pytest.approx(2.0)
    assert value_of(of(0.3, 0.0, 0.0), over) is None
    assert value_of(of(0.3, 0.1, None), over) is None
    assert value_of(of(0.3), over) is None
    assert cell(over, Row("one"), [of(0.3, 0.1, 0.2)]).interval is None


def test_what_is_only_described_is_neither_tested_nor_counted():
    described = ClaimResult(
        replace(CLAIM, descriptive=True), None, -1.0, (-2.0, 0.0), None, None, "descriptive"
    )
    tested = ClaimResult(replace(CLAIM, text="other"), None, -1.0, (-2.0, 0.0), 0.04)
    first, second = adjust([described, tested])
    assert first == described
    assert (second.p_value_holm, second.verdict) == (0.04, "holds")


def test_a_thesis_on_a_row_that_has_not_converged_says_so():
    thesis = Thesis("t", ("less",), (), holds="", contradicted="", inconclusive="")
    stuck = ClaimResult(CLAIM, None, verdict="not converged", why="x")
    found = conclude(thesis, [stuck])
    assert (found.verdict, found.because) == ("not converged", ("less",))


def test_of_folds_the_difference_is_that_of_all_predictions_together():
    found = combined([1.0, 3.0], np.array([[0.5, 1.5, 2.5]]), pooled=1.7)
    assert found.mean == 1.7
    assert found.components == (
        VarianceComponent(pytest.approx(1.0), 2),
        VarianceComponent(pytest.approx(1.0), 1),
    )
    pooled = results(0.45, interval=(0.4, 0.5))
    of_folds = cell(COLUMN, Row("one"), [results(0.4), results(0.6)], pooled)
    assert (of_folds.mean, of_folds.interval) == (45.0, pytest.approx((40.0, 50.0)))
    assert of_folds.std == pytest.approx(np.std([40, 60], ddof=1))


def test_the_spread_over_trainings_is_of_one_seed_and_that_over_people_of_the_mean():
    differences = [1.0, 2.0, 4.0]
    resampled = np.array([[1.0, 1.5], [2.0, 2.5], [4.0, 4.9]])
    seeds, people = combined(differences, resampled).spread(seeds=3)
    assert seeds == pytest.approx(np.std(differences, ddof=1))
    assert people == pytest.approx(np.std(resampled.mean(axis=0), ddof=1))
    assert combined([1.0], resampled[:1]).spread(seeds=1) is None
