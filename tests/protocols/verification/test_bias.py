"""Readings of the bias degree: where thresholds come from, and whose rates spread."""

import numpy as np
import pytest
from scored_pairs import RACES, benchmark

from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.bias import Bias
from fairjax.protocols.verification.gaps import BiasDegree


def evaluated(columns, pairs, bias):
    embeddings = embedded.embeddings_of(
        columns, attributes={"race": RACES}, group_by="race", pairs=pairs
    )
    return embedded.measure_embeddings(
        embeddings,
        pairs,
        name="rfw",
        attribute="race",
        accuracies=[],
        bias=bias,
        tolerance=0.0,
        fmrs=(1e-1,),
        resamples=30,
        level=0.95,
        seed=0,
        limits=[],
    )


def bias(degree=BiasDegree(), **changes):  # noqa: B008 (frozen)
    settings = {"fmrs": (1e-1, 1e-2), "pool": "all_pairs", "pairs": "protocol"}
    return Bias(**(settings | changes), degree=degree)


def test_thresholds_of_all_pairs_are_read_on_the_list():
    columns, pairs = benchmark()
    results = evaluated(columns, pairs, bias=bias())
    unit = columns["embedding"] / np.linalg.norm(columns["embedding"], axis=1, keepdims=True)
    one, other = np.triu_indices(len(unit), 1)
    apart = columns["cluster"][one] != columns["cluster"][other]
    score = np.sort(np.einsum("pd,pd->p", unit[one[apart]], unit[other[apart]]))[::-1]
    for target in (1e-1, 1e-2):
        at = f"FMR {'1e-1' if target == 0.1 else '1e-2'} of all pairs"
        expected = score[int(np.floor(target * len(score) + 1e-9)) - 1]
        everyone = results.get("fmr", at=at)
        assert everyone.threshold == pytest.approx(expected, abs=1e-6)
        assert f"all {apart.sum():,} non-mated pairs" in everyone.threshold_source
        assert everyone.n == (~pairs.mated).sum()
        rates = [results.get("fmr", at=at, race=race).value for race in RACES]
        degree = results.get("fmr_bias_degree", across="race", at=at)
        assert degree.value == pytest.approx(np.std(rates, ddof=1) / target)
    with pytest.raises(KeyError):
        results.get("fmr_bias_degree", across="race", at="FMR 1e-1")
    assert results.protocol["bias_pool"] == "all_pairs"


def test_rates_of_all_pairs_within_groups():
    columns, pairs = benchmark()
    results = evaluated(columns, pairs, bias=bias(pairs="within_group_all"))
    unit = columns["embedding"] / np.linalg.norm(columns["embedding"], axis=1, keepdims=True)
    cosine, who, race = unit @ unit.T, columns["cluster"], columns["race"]
    at = "FMR 1e-2 of all pairs"
    threshold = results.get("fmr", at=at).threshold
    upper = np.triu(np.ones_like(cosine, bool), 1)
    rates, tmrs = [], []
    for g, name in enumerate(RACES):
        own = upper & (race[:, None] == g) & (race == g)
        mated = own & (who[:, None] == who)
        found = results.get("fmr", at=at, race=name)
        assert found.n == (own & ~mated).sum()
        assert found.n_errors == (own & ~mated & (cosine >= threshold - 1e-9)).sum()
        tmr = results.get("tmr", at=at, race=name)
        assert tmr.n == mated.sum() and tmr.value == pytest.approx(
            (cosine[mated] >= threshold).mean()
        )
        rates.append(found.value)
        tmrs.append(tmr.value)
    degree = results.get("fmr_bias_degree", across="race", at=at)
    assert degree.value == pytest.approx(np.std(rates, ddof=1) / 1e-2)
    assert results.get("tmr_mean", across="race", at=at).value == pytest.approx(np.mean(tmrs))
    assert results.get("tmr_std", across="race", at=at).value == pytest.approx(np.std(tmrs, ddof=1))
    person = results.get("fmr_bias_degree", across="person", at=at)
    apart = who[:, None] != who
    each = [(cosine[who == p][:, who != p] >= threshold).mean() for p in np.unique(who)]
    assert apart.any() and person.value == pytest.approx(np.std(each, ddof=1) / 1e-2, rel=1e-4)


@pytest.mark.parametrize("pool", ["within_group", "protocol"])
def test_other_pools_give_other_thresholds(pool):
    columns, pairs = benchmark()
    at = {"within_group": "FMR 1e-1 of all pairs within groups", "protocol": "FMR 1e-1 (bias)"}
    results = evaluated(columns, pairs, bias=bias(pool=pool))
    found = results.get("fmr", at=at[pool])
    reference = evaluated(columns, pairs, bias=bias()).get("fmr", at="FMR 1e-1 of all pairs")
    assert found.threshold > reference.threshold  # pairs within a group are more alike
    if pool == "protocol":
        assert found.threshold == results.get("fmr", at="FMR 1e-1").threshold
    everywhere = evaluated(columns, pairs, bias=bias(pool=pool, pairs="within_group_all"))
    assert everywhere.get("fmr", at=at[pool]).threshold == found.threshold
    assert everywhere.get("fmr", at=at[pool]).n > found.n


def test_a_fixed_threshold_has_no_target_to_divide_by():
    columns, pairs = benchmark()
    with pytest.raises(ValueError, match="bias_denominator"):
        bias(pool="fixed", threshold=0.5)
    with pytest.raises(ValueError, match="needs bias_threshold"):
        bias(pool="fixed")
    realised = Bias((), "fixed", "protocol", BiasDegree("realised"), 0.5)
    results = evaluated(columns, pairs, bias=realised)
    at = "threshold 0.5 (bias)"
    rates = [results.get("fmr", at=at, race=race).value for race in RACES]
    everyone = results.get("fmr", at=at).value
    degree = results.get("fmr_bias_degree", across="race", at=at).value
    assert degree == pytest.approx(np.std(rates, ddof=1) / everyone)


def test_a_target_below_one_of_all_pairs_is_not_resolved():
    columns, pairs = benchmark()
    for whose in ("protocol", "within_group_all"):
        results = evaluated(columns, pairs, bias=bias(fmrs=(1e-9,), pairs=whose))
        found = results.get("fmr", at="FMR 1e-9 of all pairs", race="Asian")
        assert found.value is None and "insufficient data" in found.note
