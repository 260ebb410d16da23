"""LFW-style lists, with groups and without."""

import pytest
from scored_pairs import RACES, benchmark

from fairjax.protocols import PROTOCOLS

SETTINGS = {
    "accuracy": "insightface", "fmrs": (1e-1,), "tolerance": 0.0, "resamples": 30, "level": 0.95,
    "seed": 0, "limits": (),
}  # fmt: skip


@pytest.mark.parametrize("accuracy", ["insightface", "rfw_official"])
def test_without_groups_there_is_one_accuracy(accuracy):
    columns, pairs = benchmark()
    results = PROTOCOLS["lfw"].evaluate(
        columns, pairs=pairs, attributes={}, group_by="", **(SETTINGS | {"accuracy": accuracy})
    )
    found = results.get("accuracy")
    assert found.n == len(pairs) and found.value > 0.7
    assert "std" in found.note
    assert not [m for m in results.measures if m.group or m.across]


def test_with_groups_everyone_and_each_group_have_one():
    columns, pairs = benchmark()
    results = PROTOCOLS["lfw"].evaluate(
        columns, pairs=pairs, attributes={"race": RACES}, group_by="race", **SETTINGS
    )
    assert results.get("accuracy").n == sum(results.get("accuracy", race=r).n for r in RACES)
    assert results.get("accuracy_worst", across="race", race=min(
        RACES, key=lambda r: results.get("accuracy", race=r).value
    )).value is not None  # fmt: skip
