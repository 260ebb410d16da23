"""What the benchmarks share: predictions checked, embeddings scored, audited like any scores."""

from dataclasses import replace

import numpy as np
import pytest
from scored_pairs import RACES, benchmark

from fairjax.core.comparisons import UNKNOWN, Pairs, compare
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.accuracy import centred_scores, same_group

ATTRIBUTES = {"identity": (), "race": RACES}


def made(columns, pairs, group_by="race"):
    return embedded.embeddings_of(columns, attributes=ATTRIBUTES, group_by=group_by, pairs=pairs)


def evaluated(columns, pairs, **changes):
    settings = {
        "name": "rfw",
        "attribute": "race",
        "accuracies": ["rfw_official", "uncentred"],
        "bias": None,
        "tolerance": 0.0,
        "fmrs": (1e-1,),
        "resamples": 30,
        "level": 0.95,
        "seed": 0,
        "limits": ["said"],
    }
    return embedded.measure_embeddings(made(columns, pairs), pairs, **(settings | changes))


def test_a_run_and_an_audit_of_its_scores_give_the_same_numbers():
    columns, pairs = benchmark()
    embeddings = made(columns, pairs)
    comparisons = compare(embeddings, pairs)
    scores = centred_scores(embeddings, pairs, same_group(comparisons))
    audited = verification.measure_comparisons(
        {"": comparisons},
        attribute="race",
        accuracies=["rfw_official", "uncentred"],
        centred={"": scores},
        fmrs=(1e-1,),
        resamples=30,
        level=0.95,
        seed=0,
        limits=["said"],
        name="rfw",
    )
    run = evaluated(columns, pairs)
    assert run.measures == audited.measures
    assert run.protocol == audited.protocol and run.limits == audited.limits


def test_a_tolerance_is_of_the_ratio_of_both_rates():
    columns, pairs = benchmark()
    found = evaluated(columns, pairs, tolerance=1.5).arrays["verdicts"]
    assert [v["measure"] for v in found] == ["fmr_max_over_min", "fnmr_max_over_min"]
    assert evaluated(columns, pairs).arrays["verdicts"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embedding": None}, "lack the column 'embedding'"),
        ({"cluster": np.arange(3)}, "'cluster'.* has 3 rows"),
        ({"embedding": np.ones(320, np.float32)}, "one vector a row"),
        ({"race": np.full(320, 4)}, "labels in 0 .. 3"),
        ({"embedding": np.zeros((320, 4), np.float32)}, "zero or not finite"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(change, said):
    columns, pairs = benchmark()
    broken = {k: v for k, v in (columns | change).items() if v is not None}
    with pytest.raises(ValueError, match=said):
        evaluated(broken, pairs)


def test_settings_and_pairs_that_do_not_fit_are_refused():
    columns, pairs = benchmark()
    with pytest.raises(ValueError, match="'arcface' must be one of rfw_official"):
        evaluated(columns, pairs, accuracies=["arcface"])
    with pytest.raises(ValueError, match="tolerance=0.5 is a ratio"):
        evaluated(columns, pairs, tolerance=0.5)
    with pytest.raises(ValueError, match="one of race"):
        made(columns, pairs, group_by="gender")
    with pytest.raises(ValueError, match="a pair names row 9999"):
        evaluated(columns, replace(pairs, first=np.full(len(pairs), 9999)))
    with pytest.raises(ValueError, match="no pairs"):
        none = np.zeros(0, int)
        evaluated(columns, Pairs(none, none, np.zeros(0, bool), none))


def test_without_groups_everybody_is_of_unknown_group():
    columns, pairs = benchmark()
    embeddings = made(columns, pairs, group_by="")
    assert embeddings.groups == () and (embeddings.group == UNKNOWN).all()
