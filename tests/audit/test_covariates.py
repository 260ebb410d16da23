"""Is it the group or the picture? On made-up scores whose truth is known."""

import json

import numpy as np
import pytest

from fairjax.audit import demo
from fairjax.audit.api import audit
from fairjax.audit.phantom_scores import GROUPS, Planted, Size, draw, with_quality
from fairjax.audit.tables import InputError
from fairjax.core.results import load_results, save_results
from fairjax.report.verification.covariates import Answer, answers, sentences

SIZE = Size(people=80, images=4, nonmated=4000, across=100)
MEASURED = dict(fmr=1e-2, n_boot=5, random_state=0)


def columns(planted, *, shift, seed=0):
    """A table of pairs and one of images."""
    drawn, quality = with_quality(
        draw(planted, seed=seed, size=SIZE), group=2, shift=shift, effect=0.6, seed=seed
    )
    pairs = drawn.comparisons
    image = [
        [f"{p}_{i}" for p, i in zip(*rows, strict=True)]
        for rows in (
            (pairs.subject[:, side].tolist(), drawn.image[:, side].tolist()) for side in (0, 1)
        )
    ]
    table = {
        "image1": image[0],
        "image2": image[1],
        "subject1": pairs.subject[:, 0].astype(str),
        "subject2": pairs.subject[:, 1].astype(str),
        "group1": np.array(GROUPS)[pairs.group[:, 0]],
        "group2": np.array(GROUPS)[pairs.group[:, 1]],
        "score": pairs.score,
    }
    images = {
        "image": [f"{p}_{i}" for p, i in np.ndindex(*quality.shape)],
        "quality": quality.ravel(),
        "constant": np.ones(quality.size),
    }
    return table, images


@pytest.fixture(scope="module")
def picture():
    table, images = columns(Planted(), shift=1.2)
    return table, images, audit(table, covariates=images, **MEASURED)


def test_a_gap_of_picture_quality_alone_goes_with_the_picture(picture):
    found = answers(picture[2].results)
    assert [(a.rate, a.answer) for a in found] == [("fmr", "picture"), ("fnmr", "picture")]
    assert all(a.groups[a.worst] == "jade" for a in found)
    assert all(a.found_ratio[1] > 1.2 and a.held_ratio[1] < 1 for a in found)


def test_a_gap_in_likeness_alone_stays():
    table, images = columns(Planted(fmr_ratio=4.0, fnmr_ratio=3.0), shift=0.0)
    found = answers(audit(table, covariates=images, **MEASURED).results)
    assert [a.answer for a in found] == ["group", "group"]
    assert all(abs(a.share) < 0.2 and a.held_ratio[1] > 1.2 for a in found)


def test_a_gap_of_both_is_called_both():
    table, images = columns(Planted(fmr_ratio=6.0, fnmr_ratio=5.0), shift=1.0)
    found = answers(audit(table, covariates=images, **MEASURED).results)
    assert [a.answer for a in found] == ["both", "both"]


def test_pictures_that_are_apart_are_not_compared(picture):
    table, images, _ = picture
    apart = dict(
        images,
        quality=np.asarray(images["quality"])
        - 50 * np.repeat(np.arange(4) == 2, len(images["quality"]) // 4),
    )
    results = audit(table, covariates=apart, **MEASURED).results
    assert {a.answer for a in answers(results)} == {"no overlap"}
    assert "too unlike" in sentences(results)[0]


def test_the_numbers_are_in_the_results_and_are_read_back(picture, tmp_path):
    results = picture[2].results
    save_results(tmp_path / "results.json", results)
    again = load_results(tmp_path / "results.json")
    one, other = answers(again), answers(results)
    assert [a.answer for a in one] == [a.answer for a in other]
    held = [m for m in again.measures if m.name == "fnmr_covariates_held"]
    assert [m.value for m in held] == list(other[1].held) and len(held) == 4
    assert all(m.interval[0] < m.value < m.interval[1] for m in held)
    assert again.protocol["covariates"]["names"] == ["quality"]  # a constant holds nothing
    json.dumps(results.arrays["covariates"], allow_nan=False)


def test_the_audit_itself_does_not_change(picture):
    table, _, found = picture
    plain = audit(table, **MEASURED).results
    assert list(plain.measures) == list(found.results.measures)[: len(plain.measures)]


def test_covariates_of_both_sides_of_the_table_do_as_well(picture):
    table, images, found = picture
    of = dict(zip(images["image"], images["quality"], strict=True))
    wide = dict(
        table, quality1=[of[i] for i in table["image1"]], quality2=[of[i] for i in table["image2"]]
    )
    same = answers(audit(wide, covariate="quality", **MEASURED).results)
    np.testing.assert_allclose(
        [a.held for a in same], [a.held for a in answers(found.results)], rtol=1e-6
    )
    wide["quality1"] = [value + (k == 7) for k, value in enumerate(wide["quality1"])]
    with pytest.raises(InputError, match="here and .* elsewhere"):
        audit(wide, covariate="quality", **MEASURED)


def test_words_and_people_have_covariates_too(picture):
    table, _, _ = picture
    people = sorted(set(table["subject1"]))
    of = {
        "subject": people,
        "camera": ["old" if int(p) % 3 else "new" for p in people],
        "age": [20.0 + int(p) % 40 for p in people],
    }
    found = audit(table, covariates=of, covariate=["camera", "age"], **MEASURED).results
    assert list(answers(found)[1].covariates) == ["camera new", "age"]


@pytest.mark.parametrize(
    ("change", "covariate", "said"),
    [
        ({}, "sharpness", "has no covariate 'sharpness'; it has 'quality', 'constant'"),
        ({"image": None}, (), "lacks"),
        ({"quality": "x"}, "quality", "values in words"),
    ],
)
def test_what_cannot_be_held_is_refused_in_one_line(picture, change, covariate, said):
    table, images, _ = picture
    changed = dict(images)
    if "image" in change:
        changed["image"] = [f"other{k}" for k in range(len(images["image"]))]
    if "quality" in change:
        changed["quality"] = [f"x{k}" for k in range(len(images["image"]))]
    with pytest.raises(InputError, match=said):
        audit(table, covariates=changed, covariate=covariate, **MEASURED)


def test_images_without_a_value_are_left_out_and_counted(picture):
    table, images, _ = picture
    few = dict(
        images, quality=[None if k % 10 == 0 else v for k, v in enumerate(images["quality"])]
    )
    results = audit(table, covariates=few, **MEASURED).results
    assert any("have no value of a covariate" in limit for limit in results.limits)
    assert sum(answers(results)[1].trials) < sum(answers(picture[2].results)[1].trials)


def test_a_group_whose_pairs_all_show_one_person_is_left_out(picture):
    table, images, _ = picture
    sides = [np.array(table[f"subject{side}"]) for side in (1, 2)]
    is_jade = np.array(table["group1"]) == "jade"
    first = sides[0][is_jade][0]
    kept = ~is_jade | (sides[0] == sides[1]) | (sides[0] == first) | (sides[1] == first)
    few = {name: np.array(column)[kept] for name, column in table.items()}
    results = audit(few, covariates=images, fmr=0.3, n_boot=5).results
    assert answers(results)[0].left_out == ["jade"]
    json.dumps([one.as_json() for one in answers(results)], allow_nan=False)


def test_too_few_errors_are_said():
    table, images = columns(Planted(fnmr=0.001, fmr=0.0005), shift=0.0)
    results = audit(table, covariates=images, fmr=1e-3, n_boot=5).results
    assert any(a.why and a.answer == "too few data" for a in answers(results))
    assert "too few" in " ".join(sentences(results)).lower()


def test_the_demonstration_of_pictures_leaves_both_tables(tmp_path):
    demo.write_pictures(tmp_path, seed=0, size=Size(people=3, images=2, nonmated=5, across=5))
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 1 + 4 * 3 * 2
    assert (tmp_path / "comparisons.csv").read_text().startswith("image1,image2")


def test_an_answer_is_the_same_out_of_json():
    one = Answer("fmr", "", "FMR 1e-2", ["a"], [], [3], [9], ["x"], why="few")
    kept = json.dumps(one.as_json())
    assert json.dumps(Answer(**json.loads(kept)).as_json()) == kept


def predictions(path, *, like, seed=0):
    """3,000 predictions: pictures of group B are blurred, and errors grow with blur or with B."""
    rng = np.random.default_rng(seed)
    count = 3000
    group, label = rng.integers(0, 2, (2, count))
    blur = rng.normal(group)
    strength = 0.9 * (group - 0.5) * 2 if like else 0.9 * blur
    wrong = rng.random(count) < 1 / (1 + np.exp(2.2 - strength))
    rows = zip(group, label, label ^ wrong, blur, strict=True)
    lines = [
        f"{k}.jpg,p{k // 2},{'mf'[y]},{'mf'[said]},{'AB'[g]},{b:.4f}"
        for k, (g, y, said, b) in enumerate(rows)
    ]
    path.write_text("\n".join(["file,subject,gender,said,race,blur", *lines]))
    return group, label, wrong, blur


ATTRIBUTES = dict(
    y_true="gender", y_pred="said", pos_label="f", sensitive_features="race", n_boot=20
)


def test_a_gap_of_an_attribute_model_is_told_apart(tmp_path):
    path = tmp_path / "predictions.csv"
    said = {}
    for like in (False, True):
        group, label, wrong, _ = predictions(path, like=like)
        results = audit(path, covariate="blur", **ATTRIBUTES).results
        said[like] = [answer.answer for answer in answers(results)]
    assert said == {False: ["picture", "picture"], True: ["group", "group"]}
    for name, kind in (("fpr", 0), ("fnr", 1)):
        for place, letter in enumerate("AB"):
            m = results.get(f"gender_{name}_as_found", race=letter)
            rows = (group == place) & (label == kind)
            assert m.value == pytest.approx(wrong[rows].mean(), abs=1e-6)
            assert (m.n_errors, m.n) == (wrong[rows].sum(), rows.sum())
    assert "clustered by person" in results.protocol["covariates"]["method"]
    assert "false negatives" in sentences(results)[1].lower()


def test_covariates_of_images_in_a_table_are_those_of_the_rows(tmp_path):
    path, images = tmp_path / "predictions.csv", tmp_path / "images.csv"
    *_, blur = predictions(path, like=False)
    images.write_text("\n".join(["image,blur", *(f"{k}.jpg,{b:.4f}" for k, b in enumerate(blur))]))
    one = audit(path, covariate="blur", **ATTRIBUTES).results
    other = audit(path, covariates=images, **ATTRIBUTES).results
    assert answers(one) == answers(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(covariate="shoe"), "has no covariate 'shoe'"),
        (dict(covariates="people"), "the predictions name no subjects"),
    ],
)
def test_unfit_covariates_of_predictions_are_refused(tmp_path, change, said):
    path, people = tmp_path / "predictions.csv", tmp_path / "people.csv"
    predictions(path, like=False)
    path.write_text(path.read_text().replace("file,subject", "file,whom", 1))
    people.write_text("subject,age\np1,3\np2,4")
    if "covariates" in change:
        change = dict(covariates=people)
    with pytest.raises(InputError, match=said):
        audit(path, **change, **ATTRIBUTES)
