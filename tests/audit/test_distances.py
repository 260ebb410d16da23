"""Results of distances: measured as minus distances, shown as distances."""

import copy

import pytest

from fairjax.audit.distances import in_own_unit
from fairjax.core.results import Measure, Results

RULE = "a score of at least the threshold is a match; smallest score whose FMR is at most 1e-3"


def plots():
    """Plot data of one system over minus distances, ascending."""
    return {
        "det": {"groups": {"A": {"threshold": [-3.0, None, -1.0], "fmr": [1, 2, 3]}}, "x": 1},
        "rates": {
            "threshold": [-3.0, -2.0, -0.0],
            "fmr": {"A": [0.9, 0.5, 0.1]},
            "fnmr": {"A": [0.0, 0.2, 0.7]},
            "operating": {"FMR 1e-3": -2.0, "none": None},
        },
        "histograms": {
            "edges": [-3.0, -2.0, -1.0],
            "mated": {"A": [1, 5]},
            "nonmated": {"A": [7, 2]},
        },
        "matrix": {"threshold": -2.0, "fmr": [[1.0]]},
        "other": [1, 2],
    }


def results(*systems, arrays):
    measures = [
        Measure(name, 0.1, "fraction", 10, system=system, threshold=-2.0, rule=RULE)
        for system in systems
        for name in ("fmr", "accuracy")
    ]
    protocol = {"systems": list(systems), "threshold_rule": "smallest score whose FMR is small"}
    return Results("verification", protocol, measures, arrays, [], {})


def test_results_of_scores_stay_as_they_are():
    before = results("a", arrays=plots())
    assert in_own_unit(before, []) is before


def test_thresholds_curves_and_histograms_are_in_distances_and_ascend():
    before = results("", arrays=plots())
    kept = copy.deepcopy(before.arrays)
    after = in_own_unit(before, [""])
    assert before.arrays == kept  # the input is not changed
    arrays = after.arrays
    assert arrays["det"]["groups"]["A"]["threshold"] == [3.0, None, 1.0]
    assert arrays["det"]["groups"]["A"]["fmr"] == [1, 2, 3] and arrays["det"]["x"] == 1
    rates = arrays["rates"]
    assert rates["threshold"] == [0.0, 2.0, 3.0] and str(rates["threshold"][0]) == "0.0"
    assert rates["fmr"] == {"A": [0.1, 0.5, 0.9]} and rates["fnmr"] == {"A": [0.7, 0.2, 0.0]}
    assert rates["operating"] == {"FMR 1e-3": 2.0, "none": None}
    assert arrays["histograms"] == {
        "edges": [1.0, 2.0, 3.0],
        "mated": {"A": [5, 1]},
        "nonmated": {"A": [2, 7]},
    }
    assert arrays["matrix"] == {"threshold": 2.0, "fmr": [[1.0]]}
    assert arrays["other"] == [1, 2]
    assert {m.threshold for m in after.measures} == {2.0}
    assert after.protocol["distances"] == [""]


def test_rules_read_as_rules_of_a_distance():
    after = in_own_unit(results("", arrays={}), [""])
    assert after.measures[0].rule.startswith("a distance of at most the threshold is a match")
    assert after.protocol["threshold_rule"] == "largest distance whose FMR is small"


def test_of_two_systems_the_one_of_distances_alone_is_turned():
    arrays = {**plots(), "systems": {"cosine": plots(), "l2": plots()}}
    after = in_own_unit(results("cosine", "l2", arrays=arrays), ["l2"])
    assert {m.system: m.threshold for m in after.measures} == {"cosine": -2.0, "l2": 2.0}
    assert after.arrays["matrix"]["threshold"] == -2.0  # those of the first system
    assert after.arrays["systems"]["cosine"] == plots()
    assert after.arrays["systems"]["l2"]["matrix"]["threshold"] == 2.0
    assert after.protocol["threshold_rule"].startswith("smallest score")  # one still is a score
    first = in_own_unit(results("cosine", "l2", arrays=arrays), ["cosine"])
    assert first.arrays["matrix"]["threshold"] == 2.0


@pytest.mark.parametrize(("as_cosines", "threshold"), [((), 2.0), (("l2",), -2.0)])
def test_accuracies_that_were_measured_on_cosines_keep_their_thresholds(as_cosines, threshold):
    after = in_own_unit(results("l2", arrays={}), ["l2"], as_cosines=as_cosines)
    values = {m.name: m.threshold for m in after.measures}
    assert values == {"fmr": 2.0, "accuracy": threshold}
