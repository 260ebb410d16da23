"""Methods fitted on one table and applied to another."""

import re

import numpy as np
import pytest

from fairjax.audit import calibrated
from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.layout import TableOptions
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.phantom_scores import Size
from fairjax.core.errors import UserError
from fairjax.postprocess import METHODS
from fairjax.postprocess.stored import digests

SIZE = Size(people=60, images=4, nonmated=4000, across=300)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrated") / "scores.csv"
    write_comparisons(path, GAP, seed=0, size=SIZE)
    return path


@pytest.fixture(scope="module")
def loaded(table):
    return load_comparisons(table, TableOptions())["group"]


@pytest.fixture(scope="module")
def parts(loaded):
    return [loaded.take(rows) for rows in calibrated.split_people(loaded, share=0.5, seed=0)]


def test_a_split_shares_nobody_and_keeps_each_groups_share(loaded, parts):
    first, second = (set(np.unique(part.subject).tolist()) for part in parts)
    assert not first & second
    assert len(first) == len(second) == 120
    for g in range(4):
        assert len(np.unique(parts[0].subject[parts[0].group == g])) == 30
    assert len(parts[0]) + len(parts[1]) < len(loaded)


def test_fitting_and_applying_change_the_scores_and_say_how(parts, table):
    fitted = calibrated.fit(parts[0], "score", "group_norm", {}, source=table)
    assert fitted.people == digests(parts[0].names[k] for k in np.unique(parts[0].subject).tolist())
    applied = calibrated.apply(fitted, parts[1], "score", source="use.csv")
    g = parts[1].group[:, 1]
    expected = (parts[1].scores["score"] - fitted.arrays["mean"][g]) / fitted.arrays["std"][g]
    np.testing.assert_array_equal(applied.score, expected)
    assert "120 other people" in applied.sentences[0]
    assert "needs everybody's group label" in applied.sentences[1]


def test_the_same_people_are_refused(parts, table):
    fitted = calibrated.fit(parts[0], "score", "platt", {}, source=table)
    with pytest.raises(UserError, match="120 of 120 people of x.csv were used to fit scores.csv"):
        calibrated.apply(fitted, parts[0], "score", source="x.csv")


def test_groups_are_matched_by_name(parts, table):
    fitted = calibrated.fit(parts[0], "score", "group_norm", {}, source=table)
    other = parts[1]
    turned = type(other)(**{**vars(other), "groups": other.groups[::-1], "group": 3 - other.group})
    one, two = (
        calibrated.apply(fitted, part, "score", source="use.csv").score for part in (other, turned)
    )
    np.testing.assert_array_equal(one, two)
    strange = type(other)(**{**vars(other), "groups": ("amber", "cobalt", "jade", "onyx")})
    with pytest.raises(UserError, match="1 groups were not seen.*'onyx'"):
        calibrated.apply(fitted, strange, "score", source="use.csv")
    with pytest.raises(UserError, match="was read by race. Use --by group"):
        calibrated.apply(fitted, type(other)(**{**vars(other), "by": "race"}), "score", source="u")


def test_z_norm_learns_from_the_probes_people_alone(loaded, table):
    rng = np.random.default_rng(0)
    first = rng.permutation(240) < 120
    cohort = loaded.take(first[loaded.subject[:, 0]] & ~loaded.mated)
    judged = loaded.take(~first[loaded.subject[:, 0]] & loaded.mated)
    fitted = calibrated.fit(cohort, "score", "z_norm", {}, source=table)
    assert len(fitted.settings["images"]) == len(fitted.arrays["mean"])
    known = set(fitted.settings["images"])
    rows = [loaded.images[k] in known for k in judged.image[:, 1].tolist()]
    judged = judged.take(np.array(rows))
    enough = ~np.isnan(fitted.arrays["std"][:, 0])
    sure = {name for name, ok in zip(fitted.settings["images"], enough, strict=True) if ok}
    judged = judged.take(np.array([loaded.images[k] in sure for k in judged.image[:, 1].tolist()]))
    applied = calibrated.apply(fitted, judged, "score", source="use.csv")
    assert len(applied.score) == len(judged) > 20
    with pytest.raises(UserError, match="were used to fit"):
        calibrated.apply(fitted, cohort, "score", source="use.csv")


def test_new_scores_keep_all_other_columns(loaded, table, tmp_path):
    score = np.arange(len(loaded), dtype=np.float64)
    calibrated.write_scores(tmp_path / "new.csv", table, loaded, "score", score)
    again = load_comparisons(tmp_path / "new.csv", TableOptions(any_direction=True))["group"]
    np.testing.assert_array_equal(again.scores["score"], score)
    np.testing.assert_array_equal(again.subject, loaded.subject)
    assert again.has_images
    calibrated.write_scores(tmp_path / "new.parquet", None, loaded, "score", score)
    third = load_comparisons(tmp_path / "new.parquet", TableOptions(any_direction=True))["group"]
    np.testing.assert_array_equal(third.scores["score"], score)
    with pytest.raises(UserError, match="some rows have no score"):
        calibrated.write_scores(tmp_path / "x.csv", table, loaded, "score", score[1:])
    with pytest.raises(UserError, match=r"written as \.csv or \.parquet"):
        calibrated.write_scores(tmp_path / "x.xls", None, loaded, "score", score)


def test_settings_are_typed_and_known():
    assert calibrated.settings_of("fsn", {"clusters": "7", "fmr": "1e-2"}) == {
        "clusters": 7,
        "fmr": 1e-2,
        "seed": 0,
    }
    assert calibrated.settings_of("vmf", {"kappa": "a:4,b:9"})["kappa"] == {"a": 4.0, "b": 9.0}
    for name, given, said in (
        ("magic", {}, "--method magic: there is z_norm"),
        ("platt", {"fmr": "1"}, "settings of platt: none"),
        ("fsn", {"clusters": "many"}, "expected something like 100"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            calibrated.settings_of(name, given)


def test_methods_that_lack_something_say_what(loaded, table):
    with pytest.raises(UserError, match="fsn works on embeddings"):
        calibrated.fit(loaded, "score", "fsn", METHODS["fsn"].defaults, source=table)
    plain = type(loaded)(**{**vars(loaded), "image": None})
    with pytest.raises(UserError, match="name them with --image"):
        calibrated.fit(plain, "score", "z_norm", {}, source=table)
    nobody = type(loaded)(**{**vars(loaded), "has_subjects": False})
    with pytest.raises(UserError, match="does not say who"):
        calibrated.fit(nobody, "score", "platt", {}, source=table)
    assert [row[0] for row in calibrated.LIST.rows] == list(METHODS)
    assert {row[2] for row in calibrated.LIST.rows} == {"never", "to fit", "to fit and to use"}
