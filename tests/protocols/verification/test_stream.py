from dataclasses import replace

import numpy as np
import pytest

from fairjax.core.comparisons import Comparisons
from fairjax.core.verdict import verdict
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification import stream as verification_stream


@pytest.fixture(scope="module")
def comparisons() -> Comparisons:
    rng = np.random.default_rng(0)
    subject = rng.integers(60, size=(6000, 2))
    mated = rng.random(6000) < 0.3
    subject[mated, 1] = subject[mated, 0]
    mated = subject[:, 0] == subject[:, 1]
    score = rng.normal(np.where(mated, 2.0, 0.0) + 0.3 * (subject[:, 0] % 3 == 0))
    return Comparisons(
        score.round(2), mated, subject, subject % 3, ("a", "b", "c"), np.zeros(6000, np.int64)
    )


def streamed(c: Comparisons, sizes: int, **more):
    cuts = [np.arange(len(c))[k : k + sizes] for k in range(0, len(c), sizes)]
    settings = {"fmrs": [1e-2, 1e-9], "thresholds": [1.0], "level": 0.95, "limits": []}
    return verification_stream.measure_stream(
        verification_stream.InChunks(lambda: (c.take(rows) for rows in cuts), len(c.groups)),
        groups=c.groups,
        attribute="race",
        **{**settings, **more},
    )


def test_every_rate_is_that_of_the_whole(comparisons):
    whole = verification.measure_comparisons(
        {"": comparisons},
        attribute="race",
        fmrs=[1e-2, 1e-9],
        thresholds=[1.0],
        resamples=2,
        level=0.95,
        seed=0,
        limits=[],
    )
    found = streamed(comparisons, 700)
    shared = 0
    for m in found.measures:
        if m.value is None or m.name.endswith("_multiplier") and m.across:
            continue
        if m.name.endswith(("_p_value", "_p_value_holm")):
            continue  # here both nulls are drawn, there people exchange their groups for FNMR
        other = whole.get(m.name, across=m.across, at=m.at, **m.group)
        assert m.value == pytest.approx(other.value), m
        assert (m.threshold, m.n) == (other.threshold, other.n), m
        if m.at == "threshold 1" and not m.across:
            assert m.interval == pytest.approx(other.interval), m
            assert (m.n_errors, m.n_clusters) == (other.n_errors, other.n_clusters), m
            shared += 1
    assert shared == 15  # three rates of everyone and three groups, three cells across
    np.testing.assert_array_equal(
        found.arrays["matrix"]["errors"], whole.arrays["matrix"]["errors"]
    )


def test_the_chunks_sizes_play_no_part(comparisons):
    one, other = streamed(comparisons, 6000), streamed(comparisons, 137)
    assert one.measures == other.measures
    assert one.arrays == other.arrays


def test_what_is_not_resolved_is_none_and_says_so(comparisons):
    found = streamed(comparisons, 6000).get("fmr", at="FMR 1e-9")
    assert found.value is None and "insufficient data" in found.note


def test_a_group_without_pairs_keeps_its_cell(comparisons):
    c = comparisons
    kept = c.take(~((c.group == 2).any(axis=1) & c.mated))
    found = streamed(kept, 1000).get("fnmr", at="threshold 1", race="c")
    assert found.value is None and found.note == "no pairs" and found.n == 0


def test_primary_tests_need_no_resamples_and_decide(comparisons):
    found = streamed(comparisons, 6000)
    said = verdict(found)
    assert {c.measure for c in said.claims} == {"fmr", "fnmr"} and len(said.claims) == 4
    assert said.get("fmr", "threshold 1").answer == "shown"  # a third of the people score higher
    c = comparisons
    rng = np.random.default_rng(1)
    alike = replace(c, score=rng.normal(np.where(c.mated, 2.0, 0.0)).round(2))
    assert verdict(streamed(alike, 6000)).answer == "not shown"
