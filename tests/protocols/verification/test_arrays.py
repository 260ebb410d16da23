"""Plot data: what each array holds, counted by hand."""

import numpy as np
import pytest
from scored_pairs import scored_pairs

from fairjax.protocols.verification.core import measure_comparisons


@pytest.fixture(scope="module")
def found():
    c = scored_pairs()
    results = measure_comparisons(
        {"": c},
        attribute="group",
        fmrs=(1e-9, 1e-1),
        thresholds=(0.3,),
        resamples=20,
        level=0.95,
        seed=0,
        limits=(),
    )
    return c, results


def test_curves_are_thinned_and_marked_where_thirty_errors_stand(found):
    c, results = found
    for name, curve in results.arrays["det"]["groups"].items():
        own = (c.group == c.groups.index(name)).all(axis=1) if name != "everyone" else True
        nonmated, mated = c.score[~c.mated & own], c.score[c.mated & own]
        assert len(curve["threshold"]) <= 400
        for t, fmr, fnmr in zip(curve["threshold"], curve["fmr"], curve["fnmr"], strict=True):
            assert fmr == pytest.approx((nonmated >= t).mean())
            assert fnmr == pytest.approx((mated < t).mean())
        assert curve["thirty_fmr"] == 30 / len(nonmated)
        assert curve["thirty_fnmr"] == 30 / len(mated)


def test_curves_agree_with_the_rates_at_the_operating_points(found):
    c, results = found
    for m in results.measures:
        if m.name == "fnmr" and m.value is not None:
            name = m.group["group"] if m.group else "everyone"
            curve = results.arrays["det"]["groups"][name]
            fmr = results.get("fmr", at=m.at, **m.group)
            place = curve["threshold"].index(m.threshold)
            assert (curve["fmr"][place], curve["fnmr"][place]) == (fmr.value, m.value)
            if not m.group and m.at.startswith("FMR"):
                # no other point of the curve promises fewer misses at this false match rate
                same = [
                    b for a, b in zip(curve["fmr"], curve["fnmr"], strict=True) if a == fmr.value
                ]
                assert min(same) == m.value


def test_rates_by_threshold_and_the_operating_points(found):
    c, results = found
    rates = results.arrays["rates"]
    assert len(rates["threshold"]) == 241
    assert rates["operating"]["threshold 0.3"] == 0.3 and "FMR 1e-9" not in rates["operating"]
    middle = rates["threshold"][120]
    own = ~c.mated & (c.group == 1).all(axis=1)
    assert rates["fmr"]["b"][120] == (c.score[own] >= middle).mean()
    assert rates["n_nonmated"]["b"] == own.sum()


def test_the_matrix_is_symmetric_and_of_the_first_point_that_has_a_threshold(found):
    c, results = found
    matrix = results.arrays["matrix"]
    assert matrix["at"] == "FMR 1e-1"
    for key in ("fmr", "errors", "n", "low", "high"):
        assert np.array_equal(matrix[key], np.transpose(matrix[key]))
    cell = ~c.mated & (np.sort(c.group, axis=1) == [0, 2]).all(axis=1)
    errors = (c.score[cell] >= matrix["threshold"]).sum()
    assert matrix["errors"][0][2] == errors and matrix["n"][0][2] == cell.sum()
    assert matrix["fmr"][2][0] == errors / cell.sum()
    assert matrix["low"][0][2] <= matrix["fmr"][0][2] <= matrix["high"][0][2]


def test_histograms_hold_every_pair_within_a_group(found):
    c, results = found
    bins = results.arrays["histograms"]
    for g, name in enumerate(c.groups):
        own = (c.group == g).all(axis=1)
        assert sum(bins["mated"][name]) == (own & c.mated).sum()
        assert sum(bins["nonmated"][name]) == (own & ~c.mated).sum()


def test_adequacy_says_how_low_a_rate_can_be_seen(found):
    c, results = found
    row = results.arrays["adequacy"][2]
    own = (c.group == 2).all(axis=1)
    assert row["group"] == "c" and row["subjects"] == len(np.unique(c.subject[own]))
    assert row["nonmated"] == (own & ~c.mated).sum()
    assert row["design_effect_fmr"] >= 1
    expected = 30 * row["design_effect_fmr"] / row["nonmated"]
    assert row["lowest_fmr"] == pytest.approx(expected)
    assert 0 < row["upper_if_zero"] < 1
    errors = results.get("fmr", at="FMR 1e-1", group="c").n_errors
    assert row["at"]["FMR 1e-1, fmr"] == errors
    assert "FMR 1e-9, fmr" not in row["at"]


def test_a_single_error_makes_a_group_s_pairs_no_more_independent():
    pairs = scored_pairs(("a", "b"), people=20)
    in_a = (pairs.group == 0).all(axis=1) & ~pairs.mated
    largest = float(pairs.score[in_a].max())
    shared = dict(attribute="group", fmrs=(), resamples=2, level=0.95, seed=0, limits=())
    none, one = (
        measure_comparisons({"": pairs}, thresholds=(threshold,), **shared).arrays["adequacy"][0]
        for threshold in (np.nextafter(largest, 2), largest)
    )
    assert (none["design_effect_fmr"], one["design_effect_fmr"]) == (
        None,
        pytest.approx(1, abs=0.1),
    )
    for name in ("upper_if_zero", "lowest_fmr"):
        assert one[name] == none[name] > 0, name
    assert none["lowest_fmr"] > 30 / none["nonmated"]  # people share pairs
