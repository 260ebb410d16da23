"""One rate of several groups: measures, the test of equal groups, and what it would have shown."""

import numpy as np
import pytest

from fairjax.audit import compared
from fairjax.audit.compared import GroupedRate, measures_of
from fairjax.metrics.clustered import clustered_rate


def rate_of(errors, people):
    """The rate of `people` people with one trial each, the first `errors` of them wrong."""
    person = np.arange(people)
    return clustered_rate(person < errors, np.stack([person, person], axis=1))


def grouped(*counts, name="fnir", **facts):
    """A rate of groups g0, g1 ... with (errors, trials) each."""
    everyone = rate_of(*np.sum(counts, axis=0)) if counts else rate_of(0, 0)
    groups = {f"g{k}": rate_of(*count) for k, count in enumerate(counts)}
    return GroupedRate(name, "rank 1", everyone, groups, **facts)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_groups_with_one_rate_are_not_told_apart_and_one_that_differs_is(groups):
    alike = grouped(*[(20, 200)] * groups)
    differs = grouped((60, 200), *[(20, 200)] * (groups - 1))
    assert alike.p_value(seed=0) == 1.0
    assert differs.p_value(seed=0) < 0.005
    assert differs.p_value(seed=0) == differs.p_value(seed=0)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_more_people_show_a_smaller_ratio(groups):
    few, many = (grouped(*[(n // 10, n)] * groups) for n in (200, 2000))
    ratios = [rate.detectable_ratio(alpha=0.05, seed=0) for rate in (many, few)]
    assert 1 < ratios[0] < ratios[1]
    assert few.detectable_ratio(alpha=0.01, seed=0) > ratios[1]


@pytest.mark.parametrize(
    "counts", [[(0, 50), (0, 50)], [(50, 50), (50, 50)], [(5, 50)], [(5, 50), (0, 0)], []]
)
def test_nothing_is_tested_without_errors_without_hits_or_with_one_group(counts):
    rate = grouped(*counts)
    assert rate.p_value(seed=0) is None
    assert rate.detectable_ratio(alpha=0.05, seed=0) is None
    p, adjusted, ratio, needed = compared.tests_of([rate], "race", seed=0)
    assert p.value is adjusted.value is ratio.value is None
    assert p.note.startswith("no test: ") and ratio.note == ""


def test_a_group_without_trials_does_not_change_the_test_of_the_others():
    with_empty = grouped((60, 200), (20, 200), (0, 0))
    assert with_empty.p_value(seed=3) == grouped((60, 200), (20, 200)).p_value(seed=3)


def test_measures_carry_counts_threshold_and_interval():
    facts = dict(threshold=0.5, threshold_source="all searches", rule="r")
    rate = grouped((3, 20), (0, 0), **facts)
    everyone, first, empty = measures_of(rate, "race", level=0.9)
    assert (everyone.group, first.group, empty.group) == ({}, {"race": "g0"}, {"race": "g1"})
    assert (first.value, first.n, first.n_errors, first.n_clusters) == (3 / 20, 20, 3, 20)
    assert first.interval[0] < 3 / 20 < first.interval[1] and first.level == 0.9
    assert first.interval == rate.groups["g0"].interval(level=0.9)
    assert (empty.value, empty.n, empty.interval, empty.level) == (None, 0, None, None)
    assert (first.note, empty.note) == ("", "no searches")
    assert {m.threshold for m in (everyone, first, empty)} == {0.5}
    assert {(m.at, m.rule, m.threshold_source) for m in (everyone, first)} == {
        ("rank 1", "r", "all searches")
    }


def test_holm_adjusts_for_the_rates_that_could_be_tested_alone():
    shown = grouped((60, 200), (20, 200))
    untested = grouped((0, 50), (0, 50), name="fpir")
    alike = grouped((20, 200), (20, 200), name="miss")
    measures = compared.tests_of([shown, untested, alike], "race", seed=0)
    value = {m.name: m.value for m in measures}
    raw = shown.p_value(seed=0)
    assert value["fnir_equality_p_value"] == raw
    assert value["fnir_equality_p_value_holm"] == pytest.approx(2 * raw)
    assert value["miss_equality_p_value_holm"] == 1.0
    assert value["fpir_equality_p_value_holm"] is None
    assert {m.rule for m in measures if m.name.endswith("holm")} == {
        "adjusted for 2 tests (Holm, any false claim)"
    }
    assert value["fnir_detectable_ratio"] == shown.detectable_ratio(alpha=0.05 / 2, seed=0)
    assert [m.n for m in measures[:3]] == [400] * 3
    assert measures[0].method.startswith("2000 draws")
    assert {m.across for m in measures} == {"race"}
