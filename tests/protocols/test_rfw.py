"""RFW from embeddings to tables."""

import numpy as np
import pytest
from protocol_example import measured
from scored_pairs import RACES, benchmark

from fairjax.protocols.verification.accuracy import VARIANTS

SETTINGS = {
    "attributes": {"race": RACES},
    "group_by": "race",
    "accuracy": "rfw_official",
    "all_accuracies": False,
    "fmrs": (1e-1, 1e-2),
    "tolerance": 2.0,
    "bias_fmrs": (1e-2,),
    "bias_pool": "all_pairs",
    "bias_threshold": 0.0,
    "bias_pairs": "protocol",
    "bias_denominator": "target",
    "bias_ddof": 1,
    "bias_scale": "ratio",
    "resamples": 30,
    "level": 0.95,
    "seed": 0,
    "limits": ["Races are other people's guesses."],
}


def evaluated(columns, pairs, **changes):
    return measured("rfw", columns, pairs=pairs, **(SETTINGS | changes))


def test_the_official_accuracy_has_the_uncentred_one_beside_it():
    columns, pairs = benchmark()
    results = evaluated(columns, pairs)
    assert results.kind == "verification" and results.protocol["name"] == "rfw"
    for race in RACES:
        official = results.get("accuracy", race=race)
        assert official.n == 160 and official.rule.startswith("rfw_official: ")
        assert official.interval is not None
        assert results.get("accuracy_uncentred", race=race).value is not None
    rates = [results.get("accuracy", race=race).value for race in RACES]
    std = results.get("accuracy_std", across="race")
    assert std.ddof == 1 and std.value == pytest.approx(np.std(rates, ddof=1))
    assert "Races are other people's guesses." in results.limits


def test_all_variants_stand_side_by_side_on_request():
    columns, pairs = benchmark()
    results = evaluated(columns, pairs, all_accuracies=True, bias_fmrs=())
    assert results.protocol["accuracies"] == list(VARIANTS)
    for variant in list(VARIANTS)[1:]:
        assert results.get(f"accuracy_{variant}_mean", across="race").value > 0.5
    assert not [m for m in results.measures if m.name == "fmr_bias_degree"]


def test_a_name_in_two_races_is_one_person_and_no_impostor():
    columns, pairs = benchmark()
    shared = columns["id"].copy()
    one = "faces/Asian/0/"  # person 0 of the first race, found again as person 20 of the second
    for row in np.flatnonzero(columns["cluster"] == 20):
        shared[row] = f"{one}{row}.jpg"
    everyone, without = (
        evaluated(columns | {"id": ids}, pairs, bias_pairs="within_group_all").get(
            "fmr", at="FMR 1e-2 of all pairs"
        )
        for ids in (columns["id"], shared)
    )
    assert without.n == everyone.n - 16


def test_ids_without_folders_name_nobody_twice():
    columns, pairs = benchmark()
    flat = columns | {"id": np.arange(len(columns["id"])).astype(str)}
    found = evaluated(flat, pairs, bias_pairs="within_group_all")
    assert found.get("fmr", at="FMR 1e-2 of all pairs").n == 320 * 319 // 2 - 80 * 6
