"""Readings of the bias degree, adjusted p-values and verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from scored_pairs import scored_pairs

from fairjax.core.results import Measure
from fairjax.metrics import gap_tests
from fairjax.protocols.gaps import Number
from fairjax.protocols.verification.gaps import BiasDegree, accuracy_spread, adjusted, verdicts
from fairjax.protocols.verification.scene import make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene(scored_pairs(), attribute="group", resamples=40, level=0.95, seed=0)


def measure(name, value=0.5, **more):
    return Measure(name, value, "fraction", 100, across="group", **more)


@pytest.mark.parametrize(
    ("degree", "value"),
    [
        (BiasDegree(), 1.414214),
        (BiasDegree(ddof=0), 1.224745),
        (BiasDegree(scale="percent"), 141.4214),
        (BiasDegree(denominator="realised"), 0.707107),
        (BiasDegree(denominator="mean_group"), 0.707107),
    ],
)
def test_readings_of_the_bias_degree(degree, value):
    rates = np.array([1, 2, 4, 1]) * 1e-4
    assert degree.value(rates, target=1e-4, realised=2e-4) == pytest.approx(value, abs=1e-4)
    assert f"ddof {degree.ddof}" in degree.rule


def test_p_values_keep_their_place_and_undefined_ones_are_no_test():
    numbers = [
        Number(measure(name, value))
        for name, value in [
            ("a", 1.0),
            ("a_p_value", 0.01),
            ("b_p_value", None),
            ("c_p_value", 0.04),
        ]
    ]
    found = [(n.measure.name, n.measure.value) for n in adjusted(numbers, "holm")]
    assert found == [
        ("a", 1.0),
        ("a_p_value", 0.01),
        ("a_p_value_holm", 0.02),
        ("b_p_value", None),
        ("b_p_value_holm", None),
        ("c_p_value", 0.04),
        ("c_p_value_holm", 0.04),
    ]


def test_a_gap_without_an_interval_decides_nothing(scene):
    gap = Number(measure("fmr_max_over_min", 3.0, note="no interval: too few errors"))
    (found,) = verdicts([gap], {"fmr_max_over_min": 2.0}, scene)
    assert found["verdict"] == "inconclusive" and found["interval"] is None
    assert "too few errors" in found["words"]
    clear = Number(replace(gap.measure, interval=(2.5, 4.0)))
    (found,) = verdicts([clear], {"fmr_max_over_min": 2.0}, scene)
    assert found["verdict"] == "exceeds" and found["interval"] == [2.5, 4.0]


def accuracies(rates, resampled=None):
    """The accuracy of each group, with its resampled values."""
    return [
        Number(
            replace(measure("accuracy", rate), group={"group": group}, across=""),
            None if resampled is None else resampled[:, k],
        )
        for k, (group, rate) in enumerate(zip("abcdefgh", rates, strict=False))
    ]


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_accuracies_of_any_number_of_groups_have_a_spread(scene, groups):
    rates = [0.9, 0.8, *[0.85] * (groups - 2)]
    names = "abcdefgh"[:groups]
    scene = replace(scene, groups=tuple(names))
    found = {n.measure.name: n.measure for n in accuracy_spread("acc", accuracies(rates), scene)}
    assert found["acc_mean"].value == pytest.approx(np.mean(rates))
    assert found["acc_difference"].value == pytest.approx(0.1)
    assert found["acc_std"].value == pytest.approx(np.std(rates, ddof=found["acc_std"].ddof))
    assert found["acc_ser"].value == pytest.approx(2.0)
    assert found["acc_worst"].group == {"group": "b"}
    assert all(m.interval is None for m in found.values())  # nothing was resampled
    unknown = [rates[0], *[None] * (groups - 1)]
    assert accuracy_spread("acc", accuracies(unknown), scene) == []


def test_spread_of_accuracies_with_the_intervals_of_gaps(scene):
    rates = np.array([0.9, 0.95, 0.8])
    resampled = rates + 0.01 * np.random.default_rng(0).normal(size=(40, 3))
    own = accuracies(rates, resampled)
    found = {n.measure.name: n.measure for n in accuracy_spread("accuracy", own, scene)}
    assert found["accuracy_ser"].value == pytest.approx(4.0)
    assert found["accuracy_worst"].group == {"group": "c"}
    assert found["accuracy_worst"].value == 0.8
    expected = gap_tests.GAPS["difference"].interval([rates], [resampled], level=0.95)
    assert found["accuracy_difference"].interval == expected
    perfect = [replace(own[0], measure=replace(own[0].measure, value=1.0)), *own[1:]]
    ser = {n.measure.name: n.measure for n in accuracy_spread("accuracy", perfect, scene)}
    assert ser["accuracy_ser"].value is None and "0 errors" in ser["accuracy_ser"].note
