"""BFW from embeddings to results: subgroups, and what they are subgroups of."""

import numpy as np
from protocol_example import measured
from scored_pairs import benchmark

SUBGROUPS = tuple(f"{a}_{b}" for a in ("asian", "white") for b in ("females", "males"))
SETTINGS = {
    "group_by": "subgroup",
    "accuracy": "insightface",
    "fmrs": (1e-1,),
    "tolerance": 0.0,
    "bias_fmrs": (1e-1, 1e-2),
    "bias_pool": "all_pairs",
    "bias_threshold": 0.0,
    "bias_pairs": "within_group_all",
    "bias_denominator": "target",
    "bias_ddof": 1,
    "bias_scale": "ratio",
    "resamples": 30,
    "level": 0.95,
    "seed": 0,
    "limits": (),
}


def evaluated(groups):
    columns, pairs = benchmark(groups, attribute="subgroup")
    attributes = {"subgroup": groups}
    return measured("bfw", columns, pairs=pairs, attributes=attributes, **SETTINGS)


def test_subgroups_are_also_taken_together_by_ethnicity_and_gender():
    results = evaluated(SUBGROUPS)
    whole = results.get("fnmr", at="FMR 1e-1", ethnicity="asian")
    parts = [results.get("fnmr", at="FMR 1e-1", subgroup=s) for s in SUBGROUPS[:2]]
    assert whole.n_errors == sum(m.n_errors for m in parts)
    assert whole.n == sum(m.n for m in parts)
    males = results.get("fnmr", at="FMR 1e-1", gender="males")
    parts = [results.get("fnmr", at="FMR 1e-1", subgroup=s) for s in SUBGROUPS[1::2]]
    assert males.n_errors == sum(m.n_errors for m in parts)
    assert results.get("fmr_difference", across="gender", at="FMR 1e-1").value is not None
    everyone = [m for m in results.measures if m.name == "fmr" and not m.group]
    assert len({m.at for m in everyone}) == len(everyone)  # nothing twice


def test_true_match_rates_over_all_pairs_have_their_mean_and_deviation():
    results = evaluated(SUBGROUPS)
    for at in ("FMR 1e-1 of all pairs", "FMR 1e-2 of all pairs"):
        rates = [results.get("tmr", at=at, subgroup=s).value for s in SUBGROUPS]
        std = results.get("tmr_std", across="subgroup", at=at)
        assert std.ddof == 1 and abs(std.value - np.std(rates, ddof=1)) < 1e-12
        assert results.get("fmr_bias_degree", across="subgroup", at=at).value > 0


def test_names_of_one_word_have_nothing_to_be_taken_together_by():
    results = evaluated(("AF", "AM"))
    assert {key for m in results.measures for key in m.group} == {"subgroup"}
