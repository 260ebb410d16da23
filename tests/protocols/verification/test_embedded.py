"""What the benchmarks share: predictions checked, embeddings scored, audited like any scores."""

from dataclasses import replace

import numpy as np
import pytest
from scored_pairs import RACES, benchmark

from fairjax.core.comparisons import UNKNOWN, Pairs, compare
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.accuracy import VARIANTS, centred_scores, same_group
from fairjax.protocols.verification.bias import Bias
from fairjax.protocols.verification.gaps import BiasDegree

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


def with_variances():
    """Predictions whose variances differ between images, and their pairs."""
    columns, pairs = benchmark()
    shape = columns["embedding"].shape
    variance = np.random.default_rng(0).uniform(0.01, 1, shape).astype(np.float32)
    return {**columns, "variance": variance}, pairs


def test_variances_are_used_unless_cosines_are_asked_for():
    columns, pairs = with_variances()

    def scores(columns, scorer):
        return compare(
            embedded.embeddings_of(
                columns, attributes=ATTRIBUTES, group_by="race", pairs=pairs, scorer=scorer
            ),
            pairs,
        ).score

    plain = {name: column for name, column in columns.items() if name != "variance"}
    np.testing.assert_array_equal(scores(columns, ""), scores(columns, "mls"))
    np.testing.assert_array_equal(scores(columns, "cosine"), scores(plain, ""))
    assert not np.allclose(scores(columns, "mls"), scores(columns, "cosine"))
    with pytest.raises(ValueError, match="scorer='mls' needs embeddings with variances"):
        scores(plain, "mls")


def of_likelihood(**changes):
    columns, pairs = with_variances()
    embeddings = embedded.embeddings_of(
        columns, attributes=ATTRIBUTES, group_by="race", pairs=pairs, scorer=""
    )
    settings = {
        "name": "rfw",
        "attribute": "race",
        "accuracies": list(VARIANTS),
        "bias": None,
        "tolerance": 0.0,
        "fmrs": (1e-1,),
        "resamples": 5,
        "level": 0.95,
        "seed": 0,
        "limits": [],
    }
    return embedded.measure_embeddings(embeddings, pairs, **(settings | changes))


def test_results_of_likelihoods_say_so_and_leave_out_what_needs_cosines():
    others = [name for name in VARIANTS if name != "exact"]
    found = of_likelihood(accuracies=["exact", *others])
    assert found.protocol["accuracies"] == ["exact", "facexzoo", "single_threshold"]
    assert found.protocol["scorer"] == "mls"
    assert "mutual likelihood" in found.limits[0]
    rules = [m.rule for m in found.measures if m.name.startswith("accuracy")]
    assert rules and not any("cosine" in rule for rule in rules)


def test_what_needs_cosines_is_refused_with_likelihoods():
    with pytest.raises(ValueError, match="'rfw_official' tries cosines .* facexzoo, exact"):
        of_likelihood()
    degree = BiasDegree("target", 1, "ratio")
    for pool, which in (("all_pairs", "protocol"), ("protocol", "within_group_all")):
        bias = Bias(fmrs=(0.1,), pool=pool, pairs=which, degree=degree)
        with pytest.raises(ValueError, match="counts cosines; with scorer='mls' set bias_fmrs"):
            of_likelihood(accuracies=["exact"], bias=bias)
    bias = Bias(fmrs=(0.1,), pool="protocol", pairs="protocol", degree=degree)
    found = of_likelihood(accuracies=["exact"], bias=bias)
    assert any(m.name == "fmr_bias_degree" for m in found.measures)
