"""LFW-style lists, with groups and without."""

import numpy as np
import pytest
from protocol_example import measured
from scored_pairs import RACES, benchmark

SETTINGS = {
    "accuracy": "insightface",
    "fmrs": (1e-1,),
    "tolerance": 0.0,
    "bias_fmrs": (),
    "resamples": 30,
    "level": 0.95,
    "seed": 0,
    "limits": (),
}


@pytest.mark.parametrize("accuracy", ["insightface", "rfw_official"])
def test_without_groups_there_is_one_accuracy(accuracy):
    columns, pairs = benchmark()
    results = measured(
        "lfw",
        columns,
        pairs=pairs,
        attributes={},
        group_by="",
        **(SETTINGS | {"accuracy": accuracy}),
    )
    found = results.get("accuracy")
    assert found.n == len(pairs) and found.value > 0.7
    assert "std" in found.note
    assert not [m for m in results.measures if m.group or m.across]


def test_with_groups_everyone_and_each_group_have_one():
    columns, pairs = benchmark()
    results = measured(
        "lfw", columns, pairs=pairs, attributes={"race": RACES}, group_by="race", **SETTINGS
    )
    assert results.get("accuracy").n == sum(results.get("accuracy", race=r).n for r in RACES)
    assert (
        results.get(
            "accuracy_worst",
            across="race",
            race=min(RACES, key=lambda r: results.get("accuracy", race=r).value),
        ).value
        is not None
    )


def test_the_spread_over_people_is_counted_over_all_pairs_where_it_is_asked_for():
    columns, pairs = benchmark()
    results = measured(
        "lfw",
        columns,
        pairs=pairs,
        attributes={"race": RACES},
        group_by="race",
        **(SETTINGS | {"bias_fmrs": (1e-2,)}),
    )
    at = "FMR 1e-2 of all pairs"
    person = columns["cluster"]
    same = person[:, None] == person[None]
    unit = columns["embedding"] / np.linalg.norm(columns["embedding"], axis=1, keepdims=True)
    score = unit @ unit.T
    accepted = (score >= results.get("fmr", at=at).threshold) & ~same
    everyone = results.get("fmr", at=at)
    assert everyone.n == (~same).sum() // 2 and everyone.n_errors == accepted.sum() // 2
    assert everyone.value <= 1e-2
    rates = [
        accepted[person == p].sum() / (~same)[person == p].sum() for p in np.unique(person)
    ]  # of a person: all pairs that show them
    bias = results.get("fmr_bias_degree", across="person", at=at)
    np.testing.assert_allclose(bias.value, np.std(rates, ddof=1) / 1e-2, rtol=1e-6)
