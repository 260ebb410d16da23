"""Kinds of scores by hand: range, direction, turning into cosines, failures, units."""

import numpy as np
import pytest

from fairjax.audit.kinds import (
    KINDS,
    check_calibration,
    check_kind,
    check_threshold,
    cosines,
    failure_hint,
    guess_kind,
    usable_variants,
)
from fairjax.audit.tables import InputError
from fairjax.protocols.verification import accuracy

GRIDS = [name for name, variant in accuracy.VARIANTS.items() if variant.grid is not None]
FREE = [name for name in accuracy.VARIANTS if name not in GRIDS]


def test_kinds_turn_into_the_cosine_of_unit_vectors():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 8))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    cosine = (a * b).sum(axis=1)
    distance = np.linalg.norm(a - b, axis=1)
    held = {  # distances are held as minus themselves
        "cosine": cosine,
        "l2": -distance,
        "squared_l2": -(distance**2),
        "cosine_distance": -(1 - cosine),
    }
    for kind, score in held.items():
        np.testing.assert_allclose(cosines(score, kind), cosine, atol=1e-12, err_msg=kind)
    for kind in set(KINDS) - set(held):
        assert cosines(cosine, kind) is None
    assert cosines(cosine, "") is None


def test_rounding_beyond_the_ends_is_cut_off():
    np.testing.assert_array_equal(
        cosines(np.array([1.00005, -1.00005], np.float32), "cosine"), [1, -1]
    )
    assert cosines(np.array([0.5], np.float32), "cosine").dtype == np.float64


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("cosine", -1, 1),
        ("l2", 0, 2),
        ("squared_l2", 0, 4),
        ("cosine_distance", 0, 2),
        ("percent", 0, 100),
        ("probability", 0, 1),
        ("probability_not_same", 0, 1),
    ],
)
def test_a_kind_has_its_range_and_no_more_slack_than_rounding(kind, low, high):
    distance = KINDS[kind].distance

    def check(*values):
        score = np.array([low, high, *values], float)
        check_kind(kind, "s", -score if distance else score, distance=distance, where="t.csv")

    slack = (high - low) * 1e-4
    check(low - 0.9 * slack, high + 0.9 * slack, np.nan)
    for outside in (low - 1.1 * slack, high + 1.1 * slack):
        with pytest.raises(InputError) as caught:
            check(outside)
        said = str(caught.value)
        assert said.startswith(f"t.csv, data row 3: s is {outside:g}, but {KINDS[kind].name}")
        assert f"{low:g} and {high:g} (1 such row)" in said and "\n" not in said


def test_any_number_is_of_another_kind():
    for distance in (False, True):
        check_kind("other", "s", np.array([-1e9, 1e9]), distance=distance, where="t.csv")


def test_a_hint_is_said_at_the_end():
    with pytest.raises(InputError, match=r"--kind\. Look here\.$"):
        check_kind("cosine", "s", np.array([3.0]), distance=False, where="t", hint="Look here.")


@pytest.mark.parametrize(
    ("kind", "distance", "flag"),
    [("l2", False, "name s with --distance"), ("cosine", True, "name s with --score")],
)
def test_the_direction_of_a_kind_is_known(kind, distance, flag):
    with pytest.raises(InputError, match=flag):
        check_kind(kind, "s", np.array([0.5]), distance=distance, where="t.csv")


@pytest.mark.parametrize(
    ("column", "score", "distance", "kind"),
    [
        ("score", [-0.2, 0.9], False, "cosine"),
        ("score", [-1.0001, 1.0001], False, "cosine"),
        ("score", [0.0, 0.9], False, ""),  # a probability, a cosine, a rescaled cosine
        ("Cosine", [0.0, 0.9], False, "cosine"),
        ("cosine", [0.0, 1.5], False, ""),
        ("score", [-0.2, 1.5], False, ""),
        ("score", [-1.5, 0.9], False, ""),
        ("score", [-0.2, 0.9], True, ""),
        ("score", [np.nan, -0.2, np.inf], False, "cosine"),
        ("score", [np.nan], False, ""),
        ("score", [], False, ""),
    ],
)
def test_cosines_are_guessed_from_a_range_that_nothing_else_has(column, score, distance, kind):
    assert guess_kind(column, np.array(score, float), distance=distance) == kind


def scores(code, times, *, high=1.0):
    """Forty scores spread over [0, high], mated and non-mated in turn, and a repeated code."""
    rest = np.linspace(0.01, high, 40)
    score = np.concatenate([rest, np.full(times, code, float)])
    return score, np.arange(len(score)) % 2 == 0


@pytest.mark.parametrize(
    ("code", "times", "hint"),
    [
        (-1.0, 3, True),
        (-1.0, 2, False),  # twice may be chance
        (-0.2, 3, False),  # near, and no customary code
        (0.0, 3, False),  # customary, and too near
        (-5.0, 3, True),
        (999.0, 3, True),
        (1.5, 5, False),
        (-1.0, 41, False),  # more than all others
    ],
)
def test_a_repeated_score_far_from_all_others_is_a_failures_code(code, times, hint):
    said = failure_hint("s", *scores(code, times), distance=False)
    assert bool(said) is hint
    if hint:
        assert said.startswith(f"s is {code:g} in {times} rows, apart from all others (0.01 to 1)")
        assert said.endswith(f"--failure-score {code:g}.")


def test_a_customary_code_may_lie_nearer_than_another():
    near = {code: failure_hint("s", *scores(code, 3), distance=False) for code in (-1.0, -1.1)}
    assert all(near.values())  # both farther than the span of all others
    wide = {code: failure_hint("s", *scores(code, 3, high=5), distance=False) for code in (-1, -2)}
    assert wide[-1] and not wide[-2]  # 1.01 is a fifth of the span, 2.01 two fifths


def test_a_negative_code_among_scores_that_are_not_stands_out_however_near():
    wide = failure_hint("s", *scores(-1.0, 3, high=99), distance=False)
    assert wide.endswith("--failure-score -1.")
    score, mated = scores(-1.0, 3, high=99)
    assert not failure_hint("s", np.append(score, -0.5), np.append(mated, True), distance=False)


def test_distances_are_named_as_the_table_has_them():
    score, mated = scores(99.0, 4)
    said = failure_hint("d", -score, mated, distance=True)
    assert said.startswith("d is 99 in 4 rows") and "0.01 to 1" in said


def test_grades_and_all_mated_rests_are_no_reason_for_a_hint():
    grades = np.array([*[1.0, 2, 3] * 10, *[-99.0] * 5])
    assert not failure_hint("s", grades, np.arange(35) % 2 == 0, distance=False)
    score, mated = scores(-1.0, 5)
    assert not failure_hint("s", score, np.arange(len(score)) >= 40, distance=False)
    assert not failure_hint("s", score, np.arange(len(score)) < 40, distance=False)
    assert failure_hint("s", np.append(score, np.nan), np.append(mated, True), distance=False)


def test_variants_on_a_grid_need_cosines_of_every_system():
    every = [*GRIDS, *FREE]
    assert GRIDS and FREE
    assert usable_variants(every, ["cosine", "l2"]) == (every, "")
    kept, why = usable_variants(every, ["cosine", "percent"])
    assert kept == FREE
    assert "the scores are percentages" in why and "--kind" not in why
    kept, why = usable_variants(every, ["", "cosine"])
    assert kept == FREE
    assert "nobody says what the scores are" in why and "Say it with --kind cosine" in why
    assert all(name in why for name in GRIDS)
    assert usable_variants(FREE, [""]) == (FREE, "")
    assert usable_variants([], [""]) == ([], "")


@pytest.mark.parametrize(
    ("threshold", "distance", "inside"),
    [
        (0.1, False, True),
        (0.9, False, True),
        (0.95, False, False),
        (0.05, False, False),
        (0.5, True, True),  # held as -0.9 to -0.1
        (-0.5, True, False),
    ],
)
def test_a_threshold_lies_among_the_scores(threshold, distance, inside):
    score = np.array([0.1, np.nan, 0.9])
    score = -score if distance else score
    if inside:
        check_threshold(threshold, "s", score, distance=distance)
        return
    with pytest.raises(InputError) as caught:
        check_threshold(threshold, "s", score, distance=distance)
    what = "distances" if distance else "scores"
    assert f"outside the {what} of s, 0.1 to 0.9" in str(caught.value)


@pytest.mark.parametrize(
    ("shift", "scale", "fits"),
    [
        (0.0, 1.0, True),
        (1.9, 1.0, True),  # spreads between medians; two are too many
        (2.1, 1.0, False),
        (-2.1, 1.0, False),
        (0.0, 3.9, True),
        (0.0, 4.1, False),
        (0.0, 1 / 4.1, False),
        (50.0, 100.0, False),  # percentages
    ],
)
def test_calibration_scores_are_in_the_unit_of_the_audited(shift, scale, fits):
    audited = np.linspace(-1.0, 1.0, 101)  # median 0, and a middle half of width 1
    calibration = shift + scale * audited
    if fits:
        check_calibration("s", audited, calibration, "c.csv")
        return
    with pytest.raises(InputError) as caught:
        check_calibration("s", audited, calibration, "c.csv")
    said = str(caught.value)
    assert said.startswith(f"c.csv: its non-mated s have a median of {shift:.4g}")
    assert "those audited" in said and "another unit" in said


def test_few_scores_are_not_judged():
    audited, other = np.linspace(0, 1, 50), np.linspace(500, 600, 9)
    check_calibration("s", audited, other, "c.csv")
    with pytest.raises(InputError):
        check_calibration("s", audited, np.linspace(500, 600, 10), "c.csv")
