"""Covariates of audited rows, and the answers at one point: what is held, left out and decided."""

from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit.covariate_gaps import Unit, answer_at, decide, hold
from fairjax.audit.covariate_tables import Covariates
from fairjax.audit.tables import InputError
from fairjax.report.verification.covariates import Answer

NAMES = ("a", "b", "c", "d")
PAIRS = np.array([[0, 1], [1, 2], [2, 3]])


def held(code=PAIRS, names=NAMES, group=None, unit=Unit.PAIRS, **values):
    rows = len(code)
    covariates = Covariates("i.csv", "image", values)
    return hold(
        covariates,
        names,
        code,
        np.zeros(rows, int) if group is None else group,
        ("X", "Y"),
        np.stack([np.arange(rows), np.arange(rows)], axis=1),
        unit=unit,
    )


def words(*column):
    return dict(zip(NAMES, column, strict=True))


def test_numbers_of_pairs_are_the_mean_and_distance_of_both_images():
    covariates, note = held(blur=words("1", "3", "8", "0"))
    assert covariates.names == ("blur",) and covariates.is_word == (False,) and note == ""
    assert covariates.mean.tolist() == [[2.0], [5.5], [4.0]]
    assert covariates.apart.tolist() == [[2.0], [5.0], [8.0]]


def test_words_are_a_share_for_each_value_but_the_commonest():
    covariates, _ = held(light=words("dark", "dark", "lamp", "sun"))
    assert covariates.names == ("light lamp", "light sun") and covariates.is_word == (True, True)
    assert covariates.mean.tolist() == [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]
    assert not covariates.apart.any()


def test_rows_without_a_value_are_left_out_and_counted():
    group = np.array([0, 1, 1])
    covariates, note = held(group=group, blur=words("1", "3", "", "0"))
    assert covariates.rows.tolist() == [0] and covariates.group.tolist() == [0]
    assert note.startswith("2 of 3 pairs have no value of a covariate and are left out")
    images, note = held(
        np.arange(4)[:, None], unit=Unit.IMAGES, light=words("dark", "sun", "nan", "sun")
    )
    assert images.rows.tolist() == [0, 1, 3] and note.startswith("1 of 4 images have no value")


def test_single_images_have_no_distance():
    covariates, _ = held(np.arange(4)[:, None], unit=Unit.IMAGES, blur=words("1", "3", "8", "0"))
    assert covariates.mean.ravel().tolist() == [1, 3, 8, 0] and not covariates.apart.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blur": {"a": "1"}}, "i.csv lacks 3 of the 4 images: 'b', 'c', 'd'"),
        ({"light": words(*["sun"] * 4)}, "no covariate takes two values"),
        ({"note": {f"x{k}": f"w{k}" for k in range(9)}}, "'note' has 9 values in words; a cov"),
    ],
)
def test_what_cannot_be_held_is_refused(values, message):
    names = tuple(values["note"]) if "note" in values else NAMES
    with pytest.raises(InputError, match=message):
        held(PAIRS, names, **values)


def answer(wrong_of_x, *, rows=40, people=20, **values):
    """The answer over rows of two groups in turn; every third of Y is wrong."""
    code = np.arange(rows)[:, None]
    k = np.arange(rows)
    covariates, _ = hold(
        Covariates(
            "i.csv", "image", {n: dict(zip(map(str, k), v, strict=True)) for n, v in values.items()}
        ),
        list(map(str, k)),
        code,
        k % 2,
        ("X", "Y"),
        np.stack([k % people, k % people], axis=1),
        unit=Unit.IMAGES,
    )
    error = np.where(k % 2 == 0, k // 2 < wrong_of_x, k // 2 % 3 == 0)
    return answer_at("error_rate", "", "", error, np.ones(rows, bool), covariates, 0.95)


def test_groups_with_fewer_than_five_errors_are_not_compared():
    blur = [str(k * 7 % 11) for k in range(40)]
    few = answer(4, blur=blur)
    assert (few.groups, few.left_out, few.held) == (["Y"], ["X"], ())
    assert few.why.startswith("fewer than two groups have 5 errors and 5 trials without one")
    enough = answer(5, blur=blur)
    assert enough.groups == ["X", "Y"] and enough.errors == [5, 7] and enough.trials == [20, 20]
    assert len(enough.held) == 2 and enough.found == pytest.approx([5 / 20, 7 / 20])


def test_more_covariates_than_errors_allow_are_refused():
    several = {f"c{n}": [str((k * (n + 3)) % 13) for k in range(40)] for n in range(3)}
    none = answer(5, **several)  # 12 errors hold two variables
    assert none.why == "12 errors for 3 covariates; name fewer with --covariate"
    assert none.held == () and none.covariates == ["c0", "c1", "c2"]


def test_a_covariate_that_does_not_vary_is_no_covariate():
    constant = answer(5, blur=["1"] * 40)
    assert constant.why == "no covariate varies where this rate is measured"


FITTED = Answer(
    rate="fmr",
    system="",
    at="",
    groups=["X", "Y"],
    left_out=[],
    errors=[9, 9],
    trials=[99, 99],
    covariates=["blur"],
    held=[0.1, 0.1],
    overlap=[1.0, 1.0],
    smaller=True,
    share=0.8,
    p_found=0.001,
    p_held=0.5,
    p_share=0.001,
)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "picture"),
        ({"share": 0.4}, "too few data"),
        ({"share": None}, "too few data"),
        ({"smaller": False}, "too few data"),
        ({"p_share": 0.5}, "too few data"),
        ({"p_held": 0.001}, "both"),
        ({"p_held": 0.001, "smaller": False}, "group"),
        ({"p_held": 0.001, "p_share": 0.5}, "group"),
        ({"p_found": 0.5}, "no gap"),
        ({"p_found": 0.5, "p_held": 0.001}, "hidden"),
        ({"overlap": [1.0, 0.79]}, "no overlap"),
        ({"overlap": [1.0, 0.79], "p_found": 0.5}, "no gap"),
    ],
)
def test_an_answer_follows_the_tests_before_and_after(changes, word):
    answers = [replace(FITTED, **changes)]
    decide(answers)
    assert answers[0].answer == word


def test_tests_are_adjusted_for_each_other_and_unfitted_answers_stay():
    answers = [replace(FITTED, p_found=0.03), replace(FITTED, held=(), why="few"), FITTED]
    decide(answers)
    assert [a.p_found_adjusted for a in answers] == [pytest.approx(0.03), None, 0.002]
    assert answers[1].answer == "too few data"
    doubled = [replace(FITTED, p_found=0.03), replace(FITTED, p_found=0.03)]
    decide(doubled)
    assert [a.p_found_adjusted for a in doubled] == [0.06, 0.06]
    assert [a.answer for a in doubled] == ["no gap", "no gap"]
