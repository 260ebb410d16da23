"""The audit core as a caller meets it: numbers counted by hand, invariances, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scored_pairs import scored_pairs

from fairjax.core.comparisons import UNKNOWN, Comparisons
from fairjax.core.results import load_results, save_results
from fairjax.core.verdict import verdict
from fairjax.metrics import verification as metrics
from fairjax.metrics.clustered import clustered_rate
from fairjax.protocols.verification.core import measure_comparisons
from fairjax.protocols.verification.gaps import OF_BOTH_RATES, OF_ONE_RATE, BiasDegree


def audited(systems, **changes):
    settings = {
        "attribute": "group",
        "fmrs": (1e-2,),
        "resamples": 60,
        "level": 0.95,
        "seed": 0,
        "limits": (),
    }
    if isinstance(systems, Comparisons):
        systems = {"": systems}
    return measure_comparisons(systems, **(settings | changes))


def counted(fmrs, fnmrs, *, nonmated=1000, mated=100):
    """Comparisons with exactly these rates at threshold 0.5, everybody in one pair of a kind."""
    score, kind, group = [], [], []
    for g, (fmr, fnmr) in enumerate(zip(fmrs, fnmrs, strict=True)):
        accepted, rejected = round(fmr * nonmated), round(fnmr * mated)
        score += [0.9] * accepted + [0.1] * (nonmated - accepted)
        score += [0.2] * rejected + [0.8] * (mated - rejected)
        kind += [False] * nonmated + [True] * mated
        group += [g] * (nonmated + mated)
    kind, n = np.array(kind), len(kind)
    first = np.arange(n)
    return Comparisons(
        np.array(score),
        kind,
        np.stack([first, np.where(kind, first, first + n)], axis=1),
        np.stack([group, group], axis=1),
        tuple("abcdefgh"[: len(fmrs)]),
        np.zeros(n, int),
    )


WORKED = ([0.001, 0.002, 0.004, 0.008], [0.01, 0.02, 0.02, 0.03])


def test_the_worked_example_of_differentials():
    results = audited(counted(*WORKED), fmrs=(), thresholds=(0.5,))
    expected = {
        "fairness_discrepancy_rate": 0.9865,
        "inequity_rate": 4.898979,
        "fmr_gini": 0.511111,
        "fnmr_gini": 0.25,
        "garbe": 0.380556,
        "fmr_max_over_geomean": 2.828427,
        "fnmr_max_over_geomean": 1.611855,
        "fmr_max_over_min": 8,
        "fnmr_max_over_min": 3,
        "fmr_difference": 0.007,
        "fnmr_std": np.std(WORKED[1], ddof=1),
    }
    for name, value in expected.items():
        found = results.get(name, across="group", at="threshold 0.5")
        assert found.value == pytest.approx(value, abs=1e-6), name
        assert found.threshold == 0.5 and found.threshold_source == "given"
    assert results.get("fnmr_std", across="group", at="threshold 0.5").ddof == 1
    worst = results.get("fmr_worst", across="group", at="threshold 0.5", group="d")
    assert worst.value == 0.008


def test_every_rate_is_its_count_over_the_pairs_of_its_cell():
    c = scored_pairs()
    results = audited(c, fmrs=(1e-1, 1e-2), thresholds=(0.3,))
    for at in ("FMR 1e-1", "FMR 1e-2", "threshold 0.3"):
        threshold = results.get("fmr", at=at).threshold
        if at != "threshold 0.3":
            target = float(at.removeprefix("FMR "))
            assert threshold == metrics.threshold_at_fmr(c.score[~c.mated], fmr=target)
        accepted = c.score >= threshold
        for a, name in enumerate(c.groups):
            for b, other in enumerate(c.groups[a:], a):
                cell = ~c.mated & (np.sort(c.group, axis=1) == [a, b]).all(axis=1)
                group = {"group": name} | ({"other_group": other} if a != b else {})
                found = results.get("fmr", at=at, **group)
                assert found.n == cell.sum() and found.n_errors == (cell & accepted).sum()
                assert found.value == found.n_errors / found.n
                assert found.n_clusters == len(np.unique(c.subject[cell]))
            own = c.mated & (c.group[:, 0] == a)
            found = results.get("fnmr", at=at, group=name)
            assert (found.n, found.n_errors) == (own.sum(), (own & ~accepted).sum())
            assert results.get("tmr", at=at, group=name).value == 1 - found.value
        everyone = results.get("fmr", at=at)
        assert everyone.n == (~c.mated).sum()
        assert everyone.value == accepted[~c.mated].mean()


def test_a_held_threshold_has_the_clustered_interval_and_says_so():
    c = scored_pairs()
    found = audited(c, fmrs=(), thresholds=(0.3,)).get("fmr", at="threshold 0.3", group="b")
    rows = ~c.mated & (c.group == 1).all(axis=1)
    expected = clustered_rate(c.score[rows] >= 0.3, c.subject[rows]).interval(level=0.95)
    assert found.interval == expected
    assert "held fixed" in found.method


def test_a_found_threshold_moves_with_the_resample_and_says_so():
    c = scored_pairs()
    found = audited(c, fmrs=(1e-1,)).get("fnmr", at="FMR 1e-1")
    assert found.n_errors >= 30 and "threshold resampled" in found.method


def test_thresholds_from_other_pairs_are_named_and_held_fixed():
    c, calibration = scored_pairs(), scored_pairs(seed=9)
    results = audited(c, calibration={"": calibration}, calibration_source="other.csv")
    found = results.get("fmr", at="FMR 1e-2")
    expected = metrics.threshold_at_fmr(calibration.score[~calibration.mated], fmr=1e-2)
    assert found.threshold == expected
    assert found.threshold_source == "all non-mated pairs of other.csv"
    assert found.value == (c.score[~c.mated] >= expected).mean() != 0.01
    assert "held fixed" in found.method


def test_a_target_that_the_pairs_cannot_resolve_is_neither_zero_nor_one():
    results = audited(scored_pairs(), fmrs=(1e-7,))
    for name in ("fmr", "fnmr", "tmr"):
        for group in ({}, {"group": "a"}):
            found = results.get(name, at="FMR 1e-7", **group)
            assert found.value is None and found.threshold is None
            assert found.note.startswith("insufficient data")
    assert "FMR 1e-7" not in results.arrays["rates"]["operating"]


def test_a_group_without_errors_leaves_ratios_undefined_with_a_smoothed_twin():
    results = audited(counted([0.0, 0.01, 0.02], [0.1, 0.1, 0.1]), fmrs=(), thresholds=(0.5,))
    place = {"across": "group", "at": "threshold 0.5"}
    for name in ("fmr_max_over_min", "fmr_max_over_geomean", "fmr_sum_abs_log10", "inequity_rate"):
        raw = results.get(name, **place)
        assert raw.value is None and "undefined (0 FMR errors in group a)" in raw.note
    twin = results.get("fmr_max_over_min_smoothed", **place)
    assert twin.value == pytest.approx(20.5 / 0.5)
    assert results.get("fmr_max_over_min_smoothed_noise_floor", **place).value is not None
    assert results.get("fmr_gini", **place).value is not None  # defined at 0
    with pytest.raises(KeyError):
        results.get("fnmr_max_over_min_smoothed", **place)


def test_rates_on_few_errors_are_flagged_by_group_and_in_the_gap():
    results = audited(counted(*WORKED), fmrs=(), thresholds=(0.5,))
    cell = results.get("fmr", at="threshold 0.5", group="a")
    assert cell.is_thin and cell.note == "fewer than 30 errors (1)"
    gap = results.get("fmr_difference", across="group", at="threshold 0.5")
    assert gap.is_thin and "fewer than 30 FMR errors in a, b, c, d" in gap.note


def test_a_group_without_pairs_stays_in_the_results():
    c = scored_pairs(("a", "b"))
    c = replace(c, groups=("a", "b", "nobody"))
    results = audited(c)
    found = results.get("fmr", at="FMR 1e-2", group="nobody")
    assert found.value is None and found.n == 0 and found.note == "no non-mated pairs"
    gap = results.get("fmr_difference", across="group", at="FMR 1e-2")
    assert gap.value is not None and "without nobody" in gap.note
    assert results.arrays["matrix"]["fmr"][2] == [None, None, None]
    assert results.arrays["det"]["groups"]["nobody"]["threshold"] == []
    assert results.get("eer", group="nobody").value is None
    json.dumps(results.arrays, allow_nan=False)


def test_people_of_unknown_group_count_for_everyone_alone():
    c = scored_pairs(("a", "b"))
    group = c.group.copy()
    group[(c.subject == 3)] = UNKNOWN
    lost = (group < 0).any(axis=1)
    results = audited(replace(c, group=group))
    assert results.get("fmr", at="FMR 1e-2").n == (~c.mated).sum()
    own = ~c.mated & ~lost & (c.group == 0).all(axis=1)
    assert results.get("fmr", at="FMR 1e-2", group="a").n == own.sum()
    assert any(
        f"{lost.sum()} of {len(c)} pairs" in said.replace(",", "") for said in results.limits
    )


def test_pairs_without_groups_have_rates_of_everyone_alone():
    c = scored_pairs()
    c = replace(c, group=np.full_like(c.group, UNKNOWN), groups=())
    results = audited(c, accuracies=("exact",))
    assert results.get("fmr", at="FMR 1e-2").value is not None
    assert results.get("accuracy").value is not None
    assert not [m for m in results.measures if m.group or m.across]


def test_equal_scores_are_accepted_or_rejected_together():
    c = scored_pairs()
    results = audited(replace(c, score=np.full(len(c), 0.4)))
    assert results.get("fmr", at="FMR 1e-2").value == 0.0
    assert results.get("fnmr", at="FMR 1e-2").value == 1.0
    assert results.get("auc").value == 0.5
    assert results.get("d_prime").value is None
    json.dumps(results.arrays, allow_nan=False)


def plain(results):
    return [
        (m.name, m.at, m.across, tuple(m.group.items()), m.value, m.interval)
        for m in results.measures
    ]


def test_the_order_of_pairs_and_of_their_sides_plays_no_part():
    c = scored_pairs()
    rng = np.random.default_rng(4)
    order, turned = rng.permutation(len(c)), rng.random(len(c)) < 0.5
    shuffled = c.take(order)
    subject, group = shuffled.subject.copy(), shuffled.group.copy()
    subject[turned], group[turned] = subject[turned, ::-1], group[turned, ::-1]
    shuffled = replace(shuffled, subject=subject, group=group)
    one, other = audited(c), audited(shuffled)
    for before, after in zip(plain(one), plain(other), strict=True):
        assert before[:4] == after[:4]
        assert after[4] == pytest.approx(before[4], nan_ok=True)
        assert after[5] == (before[5] and pytest.approx(before[5]))


def test_a_constant_added_to_scores_moves_thresholds_alone():
    c = scored_pairs()
    c = replace(c, score=np.round(c.score * 1024) / 1024)  # so that adding 2 is exact
    one, other = audited(c), audited(replace(c, score=c.score + 2.0))
    for before, after in zip(one.measures, other.measures, strict=True):
        assert after.value == pytest.approx(before.value)
        if before.threshold is not None:
            assert after.threshold == pytest.approx(before.threshold + 2.0)


def test_systems_are_compared_on_the_same_resamples():
    c = scored_pairs()
    better = replace(c, score=np.where(c.mated, c.score + 0.1, c.score))
    results = audited({"old": c, "new": better}, fmrs=(1e-1,))
    old, new = (results.get("fnmr", at="FMR 1e-1", system=s) for s in ("old", "new"))
    change = results.get("fnmr_change", at="FMR 1e-1", system="new minus old")
    assert change.value == new.value - old.value < 0
    assert change.interval[0] < change.value < change.interval[1] <= 0
    assert set(results.arrays["systems"]) == {"old", "new"}
    assert results.arrays["det"] == results.arrays["systems"]["old"]["det"]
    gap = results.get(
        "fnmr_difference_change", across="group", at="FMR 1e-1", system="new minus old"
    )
    assert gap.interval[0] <= gap.value <= gap.interval[1]


def test_a_system_compared_with_itself_has_not_changed():
    c = scored_pairs()
    results = audited({"one": c, "two": c}, accuracies=("exact",))
    changes = [m for m in results.measures if m.name.endswith("_change")]
    assert {"fmr_change", "eer_change", "accuracy_change", "garbe_change"} <= {
        m.name for m in changes
    }
    assert all(m.value == 0 and m.interval == (0.0, 0.0) for m in changes)


def test_primary_tests_are_adjusted_for_each_other_and_the_rest_for_all():
    c = scored_pairs(shift=0.1)
    for adjust, suffix in (("holm", "holm"), ("benjamini_hochberg", "bh")):
        results = audited(c, fmrs=(1e-1,), adjust=adjust)
        raw = [m for m in results.measures if m.name.endswith("_p_value")]
        assert len(raw) == 2 * (6 + 1) + 4
        for m in raw:
            twin = results.get(f"{m.name}_{suffix}", across=m.across, at=m.at)
            assert twin.value >= m.value
            family = "2 primary tests" if "equality" in m.name else "18 tests"
            assert f"for {family}" in twin.rule


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_every_statistic_of_groups_has_its_chance_with_any_number_of_groups(groups):
    """Each has a value, an interval, a noise floor and a p-value that a planted gap makes small."""
    fmrs, fnmrs = [0.1] * groups, [0.2] * groups
    alike = audited(counted(fmrs, fnmrs), fmrs=(), thresholds=(0.5,), resamples=200)
    fmrs[-1], fnmrs[-1] = 0.3, 0.8
    apart = audited(counted(fmrs, fnmrs), fmrs=(), thresholds=(0.5,), resamples=200)
    place = {"across": "group", "at": "threshold 0.5"}
    one = [f"{rate}_{name}" for rate in ("fmr", "fnmr") for name in OF_ONE_RATE]
    for name in [*one, *OF_BOTH_RATES]:
        far, near = apart.get(name, **place), alike.get(name, **place)
        sign = -1 if OF_BOTH_RATES.get(name, OF_ONE_RATE["std"]).larger_is_fairer else 1
        assert sign * far.value > sign * near.value, name
        assert (far.interval is None) is (name == "worst_error_rate_multiplier"), name
        floor = apart.get(f"{name}_noise_floor", **place).value
        assert sign * far.value > sign * floor > sign * near.value - 1e-12, name
        assert apart.get(f"{name}_p_value", **place).value == pytest.approx(1 / 201), name
        assert alike.get(f"{name}_p_value", **place).value > 0.99, name
    for rate in ("fmr", "fnmr"):
        assert apart.get(f"{rate}_equality_p_value", **place).value == pytest.approx(1 / 201)
        assert alike.get(f"{rate}_equality_p_value", **place).value == 1.0
        assert 1 < alike.get(f"{rate}_detectable_ratio", **place).value < 3
        assert alike.get(f"{rate}_people_needed", **place).value > 0
        worst = apart.get(f"{rate}_worst", **place, group="abcdefgh"[groups - 1])
        assert worst.value == max(fmrs if rate == "fmr" else fnmrs)
    assert verdict(apart).answer == "shown" and verdict(alike).answer == "not shown"


def test_groups_without_errors_have_no_certain_rate_in_the_interval_of_a_gap():
    fmrs = [0.0, 1 / 2000, 0.0, 0.0]
    results = audited(
        counted(fmrs, [0.1] * 4, nonmated=2000), fmrs=(), thresholds=(0.5,), resamples=400
    )
    place = {"across": "group", "at": "threshold 0.5"}
    gini = results.get("fmr_gini", **place)
    assert gini.value == 1.0 and gini.interval[0] < 0.2  # one error shows no gap
    difference = results.get("fmr_difference", **place)
    # three groups may be as high as 3.7 / 2000 and the fourth at 0.1 / 2000
    assert difference.interval[0] == 0 and 2 / 2000 < difference.interval[1] < 6 / 2000
    assert results.get("fmr_max_over_min_smoothed_p_value", **place).value is not None
    assert verdict(results).get("fmr", "threshold 0.5").answer == "too few data"


def test_a_ratio_that_equal_groups_often_leave_undefined_has_no_test():
    results = audited(counted([0.002, 0.001, 0.003], [0.1] * 3), fmrs=(), thresholds=(0.5,))
    place = {"across": "group", "at": "threshold 0.5"}
    ratio = results.get("fmr_max_over_min_p_value", **place)
    assert ratio.value is None and "no test" in ratio.note
    assert results.get("fmr_max_over_min_noise_floor", **place).value is None
    assert results.get("fmr_equality_p_value", **place).value > 0.2
    assert results.get("fmr_difference_p_value", **place).value > 0.2


def test_people_weigh_equally_in_the_person_mean_where_their_pairs_are_unequal():
    c = scored_pairs()
    kept = c.take(~c.mated | (c.subject[:, 0] % 4 > 0) | (np.arange(len(c)) % 3 == 0))
    results = audited(kept, fmrs=(), thresholds=(0.45,))
    own = kept.mated & (kept.group[:, 0] == 1)
    missed, person = (kept.score < 0.45)[own], kept.subject[own, 0]
    found = results.get("person_fnmr", at="threshold 0.45", group="b")
    assert found.value == pytest.approx(np.mean([missed[person == i].mean() for i in set(person)]))
    assert found.value != results.get("fnmr", at="threshold 0.45", group="b").value
    assert found.n_clusters == len(set(person)) and found.interval[0] < found.value
    alike = audited(counted(*WORKED), fmrs=(), thresholds=(0.5,))  # a pair each: it is FNMR
    assert not [m for m in alike.measures if m.name == "person_fnmr"]


def test_a_true_match_rate_says_that_its_threshold_is_a_non_mated_score():
    c = scored_pairs()
    results = audited(c, fmrs=(1e-2,), thresholds=(0.3,))
    found = results.get("tmr", at="FMR 1e-2")
    assert found.threshold in c.score[~c.mated] and "a non-mated score" in found.rule
    assert "a non-mated score" not in results.get("tmr", at="threshold 0.3").rule


def test_a_worst_rate_that_groups_share_names_them_all():
    results = audited(counted([0.1, 0.2, 0.2], [0.0, 0.0, 0.0]), fmrs=(), thresholds=(0.5,))
    place = {"across": "group", "at": "threshold 0.5"}
    assert "shared by c" in results.get("fmr_worst", **place, group="b").note
    assert "shared by b, c" in results.get("fnmr_worst", **place, group="a").note
    claim = verdict(results).get("fnmr", "threshold 0.5")
    assert claim.worst is claim.best is claim.p is None and claim.answer == "too few data"


def test_a_large_gap_stands_above_its_noise_floor_and_equal_groups_below():
    place = {"across": "group", "at": "FMR 1e-1"}
    apart = audited(scored_pairs(shift=0.15), fmrs=(1e-1,), resamples=400)
    gap, floor, p = (
        apart.get(f"fmr_difference{s}", **place).value for s in ("", "_noise_floor", "_p_value")
    )
    assert gap > floor and p < 0.01
    alike = audited(scored_pairs(shift=0.0), fmrs=(1e-1,), resamples=400)
    for name in ("fmr_difference", "fnmr_difference", "garbe"):
        value, floor, p = (
            alike.get(f"{name}{s}", **place).value for s in ("", "_noise_floor", "_p_value")
        )
        assert value < floor and p > 0.05, name


def test_verdicts_have_three_states():
    c = scored_pairs(shift=0.15)
    for tolerance, expected in ((0.999, "within"), (1e-6, "exceeds")):
        results = audited(c, fmrs=(1e-1,), tolerances={"fmr_difference": tolerance})
        (found,) = results.arrays["verdicts"]
        assert found["verdict"] == expected and found["tolerance"] == tolerance
        assert found["at"] == "FMR 1e-1" and f"tolerance of {tolerance:g}" in found["words"]
    value = results.get("fmr_difference", across="group", at="FMR 1e-1").value
    results = audited(c, fmrs=(1e-1,), tolerances={"fmr_difference": value})
    assert results.arrays["verdicts"][0]["verdict"] == "inconclusive"
    fair = {"fairness_discrepancy_rate": 0.1}  # larger is fairer: the smallest value accepted
    results = audited(c, fmrs=(1e-1,), tolerances=fair)
    assert results.arrays["verdicts"][0]["verdict"] == "within"


def test_the_bias_degree_is_the_spread_of_fmr_over_the_target():
    c = scored_pairs(shift=0.1)
    results = audited(c, fmrs=(1e-1,), bias_degree=BiasDegree())
    rates = [results.get("fmr", at="FMR 1e-1", group=g).value for g in c.groups]
    found = results.get("fmr_bias_degree", across="group", at="FMR 1e-1")
    assert found.value == pytest.approx(np.std(rates, ddof=1) / 0.1)
    assert found.ddof == 1 and found.interval[0] <= found.value <= found.interval[1]
    percent = BiasDegree(denominator="mean_group", ddof=0, scale="percent")
    found = audited(c, fmrs=(1e-1,), bias_degree=percent).get(
        "fmr_bias_degree", across="group", at="FMR 1e-1"
    )
    assert found.value == pytest.approx(100 * np.std(rates) / np.mean(rates))


def test_accuracies_that_need_embeddings_say_so():
    results = audited(scored_pairs(cross=0), accuracies=("exact", "rfw_official"))
    found = results.get("accuracy_rfw_official", group="a")
    assert found.value is None and "only scores were given" in found.note
    spread = {name: results.get(f"accuracy_{name}", across="group") for name in ("mean", "std")}
    rates = [results.get("accuracy", group=g).value for g in "abc"]
    assert spread["mean"].value == pytest.approx(np.mean(rates))
    assert spread["std"].value == pytest.approx(np.std(rates, ddof=1)) and spread["std"].ddof == 1
    ser = results.get("accuracy_ser", across="group").value
    assert ser == pytest.approx((1 - min(rates)) / (1 - max(rates)))


def test_results_survive_a_file(tmp_path):
    results = audited({"one": scored_pairs(), "two": scored_pairs()}, accuracies=("exact",))
    save_results(tmp_path / "results.json", results)
    assert plain(load_results(tmp_path / "results.json")) == plain(results)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fmrs": (1e-2, 1e-2)}, "fmrs holds a value twice"),
        ({"level": 95.0}, "level=95 must be a fraction"),
        ({"tolerances": {"garbo": 1.0}}, "'garbo' was given; known are"),
        ({"fmrs": (0.0,)}, "fraction in"),
        ({"resamples": 0}, "resamples"),
        ({"calibration": {"other": scored_pairs()}}, "no calibration scores"),
    ],
)
def test_a_setting_out_of_range_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        audited(scored_pairs(), **change)


def test_scores_that_are_no_numbers_are_refused_with_their_row():
    c = scored_pairs()
    broken = replace(c, score=np.where(np.arange(len(c)) == 7, np.nan, c.score))
    with pytest.raises(ValueError, match="system 'b': score 7 is nan"):
        audited({"a": c, "b": broken})
    huge = replace(c, score=c.score.astype(np.float64) * 1e200)
    with pytest.raises(ValueError, match="is .*e.* in size, beyond 1e.100: .* divide all scores"):
        audited({"": huge})


def test_systems_on_different_pairs_are_refused():
    c = scored_pairs()
    with pytest.raises(ValueError, match="'b': its pairs differ from those of 'a'"):
        audited({"a": c, "b": c.take(np.arange(len(c))[::-1])})
    with pytest.raises(ValueError, match="no system"):
        audited({})
    with pytest.raises(ValueError, match="shows subjects"):
        audited(replace(c, mated=~c.mated))


def test_the_planner_counts_people_as_the_formula_does_for_independent_pairs():
    # one mated pair a person; (1.96 + 0.8416)^2 / log(2)^2 x (0.9 / 0.1 + 0.8 / 0.2) = 212.4
    results = audited(counted([0.1, 0.1], [0.1, 0.1]), fmrs=(), thresholds=(0.5,))
    plan = next(row for row in results.arrays["planner"] if row["rate"] == "fnmr")
    assert plan["people"]["2"] == pytest.approx(213, abs=3)
    assert plan["people_now"] == 100
    assert (plan["at"], plan["value"]) == ("threshold 0.5", pytest.approx(0.1))
    assert plan["people"]["1.25"] > plan["people"]["1.5"] > plan["people"]["3"]


def test_the_planner_counts_a_small_group_without_errors():
    c = counted([0.1, 0.1, 0.0], [0.1, 0.1, 0.0])
    small = (c.group == 2).all(axis=1)
    kept = c.take(~small | (np.cumsum(small & c.mated) <= 7) & c.mated)
    results = audited(kept, fmrs=(), thresholds=(0.5,))
    plan = next(row for row in results.arrays["planner"] if row["rate"] == "fnmr")
    assert plan["people_now"] == 7
    claim = verdict(results).get("fnmr", "threshold 0.5")
    assert claim.people == 7
