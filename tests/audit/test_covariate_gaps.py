"""Covariates of audited rows, and the answers at one point: what is held, left out and decided."""

from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import covariate_gaps
from fairjax.audit.covariate_gaps import Held, Unit, answer_at, decide, hold
from fairjax.audit.covariate_tables import Covariates
from fairjax.audit.tables import InputError
from fairjax.metrics.covariates import Contrast
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


def rows_of(mean, apart=None, is_word=None):
    """Covariates of rows, given their means."""
    mean = np.array(mean, float)
    rows, count = mean.shape
    apart = np.zeros_like(mean) if apart is None else np.array(apart, float)
    return Held(
        tuple(f"c{k}" for k in range(count)),
        mean,
        apart,
        tuple(is_word or [False] * count),
        np.arange(rows),
        np.arange(rows) % 2,
        ("X", "Y"),
        np.stack([np.arange(rows)] * 2, axis=1),
    )


TWO = rows_of(
    [[0, 0], [1, 10], [2, 5], [3, 1], [4, 7]], apart=[[0, 1], [1, 2], [0, 1], [1, 1], [0, 0]]
)


@pytest.mark.parametrize(
    ("most", "columns"), [(1, 0), (2, 2), (3, 2), (4, 4), (5, 4), (6, 6), (9, 6)]
)
def test_means_come_first_then_distances_then_squares_all_or_none(most, columns):
    variables, quartiles, names = covariate_gaps._variables(TWO, np.arange(5), most)
    assert variables.shape == (5, columns) and names == [0, 1]
    assert len(quartiles) == (2 if columns else 0)
    assert [len(q.columns) for q in quartiles] == ([] if not columns else [1 + (columns == 6)] * 2)


def test_variables_are_centred_and_quartiles_are_those_of_the_means():
    variables, (first, _), _ = covariate_gaps._variables(TWO, np.arange(5), 6)
    np.testing.assert_allclose(variables[:, :2].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(variables[:, :2].std(axis=0), 1)
    np.testing.assert_array_equal(variables[:, 2:4], TWO.apart)
    np.testing.assert_allclose(variables[:, 4:], variables[:, :2] ** 2)
    spread = np.std([0, 1, 2, 3, 4])
    assert first.columns == (0, 4)
    np.testing.assert_allclose(first.low, [-1 / spread, 1 / spread**2])  # quartiles 1 and 3
    np.testing.assert_allclose(first.high, [1 / spread, 1 / spread**2])


def test_some_rows_have_the_variables_of_these_rows():
    variables, _, names = covariate_gaps._variables(TWO, np.array([0, 2, 4]), 9)
    np.testing.assert_allclose(variables[:, 0], np.array([-2, 0, 2]) / np.std([0, 2, 4]))
    assert names == [0, 1] and variables.shape == (3, 2 + 1 + 2)  # c0 is nowhere apart
    constant = rows_of([[1, 0], [1, 1], [1, 2]])
    _, quartiles, names = covariate_gaps._variables(constant, np.arange(3), 9)
    assert names == [1] and len(quartiles) == 1
    _, none, names = covariate_gaps._variables(rows_of([[1], [1]]), np.arange(2), 9)
    assert (none, names) == ([], [])


def test_words_and_pairs_of_values_have_no_square():
    held = rows_of([[0, 0], [1, 0], [0.5, 1], [0, 1]], is_word=[True, False])
    variables, (word, two), _ = covariate_gaps._variables(held, np.arange(4), 9)
    assert variables.shape == (4, 2) and word.columns == (0,) and two.columns == (1,)
    share = np.array([0, 1, 0.5, 0])
    np.testing.assert_allclose(word.low, (0 - share.mean()) / share.std())
    np.testing.assert_allclose(word.high, (1 - share.mean()) / share.std())


def test_means_of_each_group_by_hand():
    group = np.array([0, 0, 1, 1, 1])
    means = covariate_gaps._means(TWO, np.arange(5), group, [0, 1])
    assert means == [[0.5, 3.0], [5.0, pytest.approx(13 / 3)]]
    assert covariate_gaps._means(TWO, np.array([0, 4]), np.array([0, 1]), [1]) == [[0.0, 7.0]]


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_groups_that_err_often_enough_are_compared_and_the_others_named(groups):
    rows = 40 * groups
    k = np.arange(rows)
    held = replace(
        rows_of((k * 7 % 11)[:, None].astype(float)),
        group=k % groups,
        groups=tuple("ABCDEFGH"[:groups]),
    )
    wrong = k // groups < 5 + k % groups
    answer = answer_at("fmr", "s", "FMR 1e-2", wrong, np.ones(rows, bool), held, 0.9)
    assert answer.groups == list("ABCDEFGH"[:groups]) and answer.left_out == []
    assert answer.errors == [5 + g for g in range(groups)] and answer.trials == [40] * groups
    assert answer.found == pytest.approx([(5 + g) / 40 for g in range(groups)])
    assert (answer.worst, answer.best) == (groups - 1, 0)
    assert answer.found_ratio[0] == pytest.approx((4 + groups) / 5)
    assert (answer.rate, answer.system, answer.at) == ("fmr", "s", "FMR 1e-2")
    fewer = answer_at(
        "fmr", "s", "", wrong & ~((k % groups == 0) & (k == 0)), np.ones(rows, bool), held, 0.9
    )
    assert fewer.left_out == ["A"] and len(fewer.groups) == groups - 1
    assert bool(fewer.held) is (groups > 2)


def test_errors_alone_are_no_group_either_and_unknown_groups_are_in_none():
    k = np.arange(40)
    held = replace(rows_of((k * 7 % 11)[:, None].astype(float)), group=np.where(k < 20, k % 2, -1))
    wrong = (k % 2 == 0) | (k % 3 == 0)
    few = answer_at("fnmr", "", "", wrong, np.ones(40, bool), held, 0.9)
    assert few.groups == [] and few.why.startswith("fewer than two groups have 5 errors and 5")
    trials = answer_at("fnmr", "", "", wrong, k < 12, held, 0.9)
    assert trials.groups == [] and trials.left_out == ["X", "Y"]


def test_people_who_are_one_are_no_group():
    k = np.arange(40)
    held = replace(rows_of((k * 7 % 11)[:, None].astype(float)), subject=np.zeros((40, 2), int))
    one = answer_at("fmr", "", "", k % 4 < 2, np.ones(40, bool), held, 0.9)
    assert one.groups == [] and one.why.endswith("of several people")


def test_a_group_by_another_name_gives_the_same_answer():
    k = np.arange(60)
    held = rows_of((k * 7 % 11)[:, None].astype(float))
    wrong = (k // 2) % 5 < 1 + k % 2
    one = answer_at("fmr", "", "", wrong, np.ones(60, bool), held, 0.9)
    turned = replace(held, group=1 - held.group, groups=("Y", "X"))
    two = answer_at("fmr", "", "", wrong, np.ones(60, bool), turned, 0.9)
    assert (one.groups[one.worst], two.groups[two.worst]) == ("Y", "Y")
    assert two.held[::-1] == pytest.approx(one.held) and two.p_held == pytest.approx(one.p_held)
    assert two.share == pytest.approx(one.share)


def test_a_ratio_that_no_number_holds_is_cut():
    assert covariate_gaps._ratio(Contrast(0.0, (-1.0, 1.0), 0.5)) == (
        1.0,
        pytest.approx(np.exp(-1)),
        pytest.approx(np.e),
    )
    _, low, high = covariate_gaps._ratio(Contrast(1.0, (-2000.0, 2000.0), 0.5))
    assert low == 0.0 and np.isfinite(high)


@pytest.mark.parametrize(("missing", "held_back"), [(2, False), (3, True)])
def test_up_to_half_of_the_images_may_lack_a_value(missing, held_back):
    values = dict(zip(NAMES[missing:], "1234", strict=False))
    if held_back:
        with pytest.raises(InputError, match="i.csv lacks 3 of the 4 images"):
            held(blur=values)
        return
    covariates, note = held(np.arange(4)[:, None], unit=Unit.IMAGES, blur=values)
    assert covariates.rows.tolist() == [2, 3] and note.startswith("2 of 4 images have no value")


@pytest.mark.parametrize(("values", "fits"), [(8, True), (9, False)])
def test_so_many_words_may_a_covariate_have(values, fits):
    names = tuple(f"x{k}" for k in range(values + 2))
    words = {"note": {name: f"w{k % values}" for k, name in enumerate(names)}}
    if fits:
        covariates, _ = held(np.arange(len(names))[:, None], names, unit=Unit.IMAGES, **words)
        assert len(covariates.names) == values - 1
        return
    with pytest.raises(InputError, match="'note' has 9 values in words; a covariate has numbers"):
        held(np.arange(len(names))[:, None], names, unit=Unit.IMAGES, **words)


def test_units_say_how_covariates_enter():
    assert (Unit.PAIRS.plural, Unit.IMAGES.plural) == ("pairs", "images")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"share": 0.5}, "picture"),
        ({"p_found": 0.05}, "picture"),
        ({"p_found": 0.0501}, "no gap"),
        ({"p_held": 0.05, "p_share": 0.9}, "group"),
        ({"p_held": 0.051}, "picture"),
        ({"overlap": [0.8, 1.0]}, "picture"),
        ({"overlap": [0.79, 1.0]}, "no overlap"),
        ({"overlap": [0.79, 1.0], "p_found": 0.5, "p_held": 0.001}, "no overlap"),
        ({"p_share": 0.051}, "too few data"),
        ({"p_share": 0.05}, "picture"),
    ],
)
def test_the_ends_of_what_decides(changes, word):
    answers = [replace(FITTED, **changes)]
    decide(answers)
    assert answers[0].answer == word
