"""Methods fitted on one table and applied to another."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import csv, parquet

from fairjax.audit import calibrated
from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.embeddings import load_embeddings
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.phantom_scores import Size
from fairjax.core.errors import UserError
from fairjax.postprocess import METHODS
from fairjax.postprocess.stored import Fitted, digests

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


def few(**changes):
    """Five pairs of six people in two groups and none, with images."""
    subject = np.array([[0, 0], [1, 2], [3, 3], [4, 5], [0, 3]])
    home = np.array([0, 0, 0, 1, 1, -1])
    whole = dict(
        by="group",
        groups=("a", "b"),
        scores={"s": np.array([0.9, 0.1, 0.8, 0.2, 0.3])},
        mated=subject[:, 0] == subject[:, 1],
        subject=subject,
        group=home[subject],
        fold=np.zeros(5, np.int64),
        has_subjects=True,
        has_images=True,
        names=tuple("ABCDEF"),
        image=np.array([[0, 1], [2, 3], [4, 5], [6, 7], [1, 5]]),
        images=tuple(f"{k}.jpg" for k in range(8)),
    )
    return Loaded(**{**whole, **changes})


@pytest.mark.parametrize(
    ("share", "a", "b", "none"), [(0.5, 30, 1, 1), (0.25, 15, 1, 0), (0.9, 54, 2, 1)]
)
def test_a_share_of_each_groups_people_goes_to_the_first_part(share, a, b, none):
    """Sixty people of a, two of b, and one of no group; one mated pair each."""
    person = np.arange(63)
    home = np.repeat([0, 1, -1], [60, 2, 1])
    subject = np.stack([person, person], axis=1)
    loaded = few(
        scores={"s": person * 1.0},
        mated=np.ones(63, bool),
        subject=subject,
        group=home[subject],
        fold=person * 0,
        image=subject,
    )
    first, second = calibrated.split_people(loaded, share=share, seed=0)
    assert sorted([*first, *second]) == person.tolist()
    expected = [a, b if share != 0.25 else round(0.25 * 2), round(share * 1)]
    assert [int((home[first] == g).sum()) for g in (0, 1, -1)] == expected


def test_the_seed_decides_who_is_where_and_a_pair_of_both_parts_is_in_neither(loaded):
    same, again, other = (
        calibrated.split_people(loaded, share=0.5, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(same[0], again[0])
    assert set(same[0]) != set(other[0])
    left = np.setdiff1d(np.arange(len(loaded)), np.concatenate(same))
    people = [set(loaded.subject[rows].ravel().tolist()) for rows in same]
    assert len(left) and not loaded.mated[left].any()
    for one, two in loaded.subject[left].tolist():
        assert {one, two} & people[0] and {one, two} & people[1]


def test_a_distance_becomes_a_score_and_other_columns_stay(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("note,d,subject1\nx,0.1,A\n,0.2,B\n")
    two = few(distances=("d",), scores={"d": np.zeros(2)})
    calibrated.write_scores(tmp_path / "n.csv", table, two, "d", np.array([0.5, 0.25]))
    assert csv.read_csv(tmp_path / "n.csv").to_pydict() == {
        "note": ["x", ""],
        "subject1": ["A", "B"],
        "score": [0.5, 0.25],
    }
    calibrated.write_scores(tmp_path / "s.csv", table, few(), "d", np.array([0.5, 0.25]))
    assert csv.read_csv(tmp_path / "s.csv").column_names == ["note", "d", "subject1"]


def test_pairs_without_a_table_are_written_with_all_that_is_known(tmp_path):
    score = np.arange(5.0)
    calibrated.write_scores(tmp_path / "n.parquet", None, few(), "s", score)
    assert parquet.read_table(tmp_path / "n.parquet").to_pydict() == {
        "image1": ["0.jpg", "2.jpg", "4.jpg", "6.jpg", "1.jpg"],
        "image2": ["1.jpg", "3.jpg", "5.jpg", "7.jpg", "5.jpg"],
        "subject1": ["A", "B", "D", "E", "A"],
        "subject2": ["A", "C", "D", "F", "D"],
        "group1": ["a", "a", "b", "b", "a"],
        "group2": ["a", "a", "b", "", "b"],
        "score": score.tolist(),
    }
    folds = few(by="race", image=None, fold=np.array([0, 1, 0, 1, 0]))
    calibrated.write_scores(tmp_path / "f.parquet", None, folds, "s", score)
    names = parquet.read_table(tmp_path / "f.parquet").column_names
    assert names == ["subject1", "subject2", "race1", "race2", "score", "fold"]


def test_embeddings_of_shown_images_are_written_with_people_and_groups(tmp_path):
    source = tmp_path / "v.npz"
    np.savez(
        source,
        embedding=np.eye(5, 3) + 1,
        id=np.array(list("abcde")),
        subject=np.array(["A", "A", "B", "C", "D"]),
        race=np.array(["x", "x", "y", "y", "x"]),
    )
    (tmp_path / "p.csv").write_text("image1,image2\na,b\nc,d\nd,a\n")
    options = TableOptions(by=["race"], any_direction=True)
    loaded = load_embeddings(
        {"v": source}, options, people=None, pairs=tmp_path / "p.csv", sample=None, seed=0
    )["race"]
    new = np.arange(10.0).reshape(5, 2)
    out = tmp_path / "new" / "after.npz"
    calibrated.write_embeddings(out, source, loaded, "v", new)
    with np.load(out) as written:
        assert written["id"].tolist() == list("abcd")  # nobody compares e
        assert written["subject"].tolist() == ["A", "A", "B", "C"]
        assert written["race"].tolist() == ["x", "x", "y", "y"]
        assert written["embedding"].dtype == np.float32
        np.testing.assert_array_equal(written["embedding"], new[:4])
    with pytest.raises(UserError, match=r"after\.npy: embeddings are written as \.npz"):
        calibrated.write_embeddings(tmp_path / "after.npy", source, loaded, "v", new)


def test_folders_are_made_and_other_names_refused(tmp_path):
    calibrated.write_table(tmp_path / "a" / "b" / "t.csv", {"n": [1, 2]})
    assert csv.read_csv(tmp_path / "a" / "b" / "t.csv").to_pydict() == {"n": [1, 2]}
    calibrated.write_table(tmp_path / "t.parquet", {"n": [1, 2]})
    assert parquet.read_table(tmp_path / "t.parquet").to_pydict() == {"n": [1, 2]}
    for name in ("t.tsv", "t.CSV", "t"):
        with pytest.raises(UserError, match=r"tables are written as \.csv or \.parquet"):
            calibrated.write_table(tmp_path / name, {"n": [1]})
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("sides", "names"), [((0, 1), "ABCDEF"), ((0,), "ABDE"), ((1,), "ACDF")])
def test_people_of_the_sides_that_a_method_learns_from(sides, names):
    assert calibrated._people(few(), sides) == list(names)


def fitted(name="platt", **changes):
    whole = dict(settings={}, by="group", groups=("a", "b"), people=digests(["Z"]), arrays={})
    return Fitted(**{"name": name, **whole, "source": {"name": "fit.csv"}, **changes})


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("never", "It needs no group labels."),
        ("to fit", "It needed group labels to be fitted; to use it needs none."),
        ("to fit and to use", "It needs everybody's group label when it is used: say who"),
    ],
)
def test_what_is_said_of_group_labels_is_true_of_the_method(monkeypatch, groups, said):
    method = replace(
        METHODS["platt"], groups=groups, apply=lambda arrays, settings, scores: scores.score
    )
    monkeypatch.setitem(METHODS, "platt", method)
    applied = calibrated.apply(fitted(), few(), "s", source="u.csv")
    first, second = applied.sentences
    assert second.startswith(said) and first.endswith("fitted on 1 other people.")
    assert first[0].isupper() and applied.embedding is None
    np.testing.assert_array_equal(applied.score, few().scores["s"])


def test_scores_that_are_not_finite_are_refused(monkeypatch):
    broken = replace(METHODS["platt"], apply=lambda *_: np.array([0.1, np.nan, np.inf, 1, 2]))
    monkeypatch.setitem(METHODS, "platt", broken)
    with pytest.raises(UserError, match=r"^u\.csv: 2 new scores are not finite\."):
        calibrated.apply(fitted(), few(), "s", source="u.csv")


def test_one_person_of_the_fit_is_refused_by_name():
    with pytest.raises(UserError) as caught:
        calibrated.apply(fitted(people=digests(["D", "Z"])), few(), "s", source="u.csv")
    said = str(caught.value)
    assert said.startswith("1 of 6 people of u.csv were used to fit fit.csv, such as 'D': ")
    with pytest.raises(UserError, match="u.csv does not say who is on its pairs"):
        calibrated.apply(fitted(), few(has_subjects=False), "s", source="u.csv")


def test_groups_keep_their_number_whatever_their_order(monkeypatch):
    seen = []
    method = replace(
        METHODS["group_norm"],
        apply=lambda arrays, settings, scores: (seen.append(scores), scores.score)[1],
    )
    monkeypatch.setitem(METHODS, "group_norm", method)
    ask = fitted("group_norm", groups=("b", "c", "a"))
    calibrated.apply(ask, few(), "s", source="u.csv")
    (scores,) = seen
    assert scores.groups == ("b", "c", "a")
    assert scores.group.tolist() == [[2, 2], [2, 2], [0, 0], [0, -1], [2, 0]]  # unknown stays


def test_settings_may_be_typed_with_hyphens_and_are_of_the_defaults_type():
    defaults = dict(METHODS["vmf"].defaults)
    assert calibrated.settings_of("vmf", {}) == defaults
    key = next(name for name, value in defaults.items() if type(value) is int)
    assert type(calibrated.settings_of("vmf", {key: "7"})[key]) is int
    with pytest.raises(UserError, match=f"--set {key}=7.5: expected something like"):
        calibrated.settings_of("vmf", {key: "7.5"})
    with pytest.raises(UserError, match="--set kappa=a: expected something like"):
        calibrated.settings_of("vmf", {"kappa": "a"})
    hyphens = [name for m in METHODS.values() for name in m.defaults if "_" in name]
    for name, method in METHODS.items():
        for setting in set(hyphens) & set(method.defaults):
            text = str(method.defaults[setting])
            assert calibrated.settings_of(name, {setting.replace("_", "-"): text})


def test_the_source_and_its_hash_are_kept(parts, table):
    found = calibrated.fit(parts[0], "score", "platt", {}, source=table)
    assert found.source["name"] == "scores.csv" and found.source["hash"].startswith("sha256:")
    assert (found.name, found.by, found.groups) == ("platt", "group", parts[0].groups)
    assert "images" not in found.settings


def test_the_order_of_rows_changes_nothing_that_is_learned(parts, table):
    order = np.random.default_rng(2).permutation(len(parts[0]))
    one, two = (
        calibrated.fit(part, "score", "group_norm", {}, source=table)
        for part in (parts[0], parts[0].take(order))
    )
    for name in one.arrays:
        np.testing.assert_allclose(one.arrays[name], two.arrays[name])
    assert one.people == two.people


def test_few_pairs_are_refused_with_the_tables_name(parts, table):
    few_pairs = replace(parts[0], notes=()).take(np.arange(1))
    with pytest.raises(UserError, match=r"^scores\.csv: "):
        calibrated.fit(few_pairs, "score", "group_norm", {}, source=table)
