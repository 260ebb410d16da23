"""The benchmark of all pairs: both ways find the same, at a size that takes no time."""

from benchmarks import all_pairs


def test_both_ways_give_the_same_thresholds_and_counts():
    found = all_pairs.measure(600, 16, 1)
    assert found["pairs"] == 179_700
    assert found["ratio"][0] > 0
