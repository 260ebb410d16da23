"""Which column is what: customary names, names as asked, and what is ambiguous or missing."""

import pytest

from fairjax.audit.layout import (
    People,
    TableOptions,
    bin_edges,
    default_by,
    find_attribute,
    find_layout,
    known_as,
)
from fairjax.audit.tables import InputError

PEOPLE = People("p.csv", "subject", {}, {"race": {"a": "X"}, "sex": {"a": "f"}})
IMAGES = People("i.csv", "image", {"1.jpg": "a"}, {"group": {"1.jpg": "X"}})


def layout(folder, columns, people=None, *, scored=True, **options):
    path = folder / "t.csv"
    path.write_text(f"{columns}\n")
    return find_layout(path, TableOptions(**options), people, scored=scored)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("subject1", "subject2"),
        ("subject_1", "subject_2"),
        ("subject_a", "subject_b"),
        ("id_left", "id_right"),
        ("person_probe", "person_gallery"),
        ("person_probe", "person_reference"),
        ("left_identity", "right_identity"),
        ("probe_subject", "gallery_subject"),
        ("probe_subject_id", "bio_ref_subject_id"),
        ("query_person", "target_person"),
        ("Subject 1", "Subject 2"),
        ("SUBJECT1", "subject2"),
    ],
)
def test_the_sides_of_a_pair_are_told_by_customary_names(tmp_path, left, right):
    found = layout(tmp_path, f"score,group,{left},{right}")
    assert found.subject == (left, right)
    assert (found.scores, found.distances, found.mated) == (("score",), (), None)
    assert found.attributes[0].columns == {"group": ("group", "group")}


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        ("image1,image2", ("image1", "image2")),
        ("img_1,img_2", ("img_1", "img_2")),
        ("p1,p2", ("p1", "p2")),
        ("probe,gallery", ("probe", "gallery")),
        ("query,target", ("query", "target")),
        ("probe_reference_id,bio_ref_reference_id", ("probe_reference_id", "bio_ref_reference_id")),
    ],
)
def test_images_have_customary_names_too(tmp_path, columns, pair):
    assert layout(tmp_path, f"same,score,group,{columns}").image == pair


@pytest.mark.parametrize(
    ("score", "scores", "distances"),
    [
        ("score", ("score",), ()),
        ("Similarity", ("Similarity",), ()),
        ("cosine", ("cosine",), ()),
        ("distance", (), ("distance",)),
        ("DIST", (), ("DIST",)),
        ("score,distance", ("score",), ()),  # likeness comes first
    ],
)
def test_scores_and_distances_have_customary_names(tmp_path, score, scores, distances):
    found = layout(tmp_path, f"same,group,{score}")
    assert (found.scores, found.distances) == (scores, distances)
    assert found.systems == scores + distances


@pytest.mark.parametrize("mated", ["mated", "same", "is_same", "issame", "Genuine", "label"])
def test_marks_of_mated_pairs_have_customary_names(tmp_path, mated):
    found = layout(tmp_path, f"score,group,fold,{mated}")
    assert (found.mated, found.fold, found.subject) == (mated, "fold", None)
    assert found.text == [mated, "fold", "group"]


def test_names_as_asked_come_before_customary_ones(tmp_path):
    found = layout(
        tmp_path,
        "score,mine,theirs,same,ok,subject1,subject2,who1,who2,pic_l,pic_r,part,race",
        scores=["mine"],
        distances=["theirs"],
        mated="ok",
        subject="who",
        image="pic_l,pic_r",
        fold="part",
        by=["race"],
    )
    assert found.systems == ("mine", "theirs")
    assert (found.mated, found.fold) == ("ok", "part")
    assert (found.subject, found.image) == (("who1", "who2"), ("pic_l", "pic_r"))
    assert found.text == ["ok", "part", "who1", "who2", "pic_l", "pic_r", "race"]


def test_decisions_stand_in_place_of_scores(tmp_path):
    found = layout(tmp_path, "same,group,verdict,score", decision="verdict")
    assert (found.scores, found.decision, found.systems) == ((), "verdict", ("verdict",))
    assert "verdict" in found.text
    with pytest.raises(InputError, match="--decision stands alone"):
        layout(tmp_path, "same,group,verdict,score", decision="verdict", scores=["score"])


def test_a_list_of_pairs_needs_no_score(tmp_path):
    found = layout(tmp_path, "image1,image2,fold", IMAGES, scored=False)
    assert found.systems == () and found.image == ("image1", "image2")
    assert found.attributes[0].columns == {}  # the images' table has the groups


@pytest.mark.parametrize(
    ("columns", "people", "options", "said"),
    [
        ("subject1,subject2,group", None, {}, "no column of scores (it has 'subject1', 'subject2'"),
        ("score,similarity,same,group", None, {}, "has 'score', 'similarity'; say which one with"),
        ("same,issame,score,group", None, {}, "'same', 'issame'; say which one with --mated"),
        ("score,group", None, {}, "neither whether pairs are mated nor who is on them"),
        ("score,image1,image2,group", None, {}, "neither whether pairs are mated"),
        ("same,score", None, {}, "no columns for the groups by 'group' (looked for group1"),
        ("same,score", PEOPLE, {"by": ["age"]}, "it has 'same', 'score' and p.csv has 'race', 'se"),
        ("same,score", PEOPLE, {}, "p.csv has 'race', 'sex'; say with --by which to compare"),
        ("same,score,g", None, {"scores": ["score", "score"]}, "a score column is named twice"),
        (
            "same,d,group",
            None,
            {"scores": ["d"], "distances": ["d"]},
            "a score column is named twice: 'd', 'd'",
        ),
        ("same,score,group", None, {"subject": "who"}, "no columns for --subject who (looked for"),
        ("same,score,group", None, {"image": "a,b"}, "has no column 'a'"),
        ("same,score,group", None, {"fold": "folds"}, "has no column 'folds'"),
        (
            "score,subject1,subject2,id_a,id_b,group",
            None,
            {},
            "has 'subject1,subject2', 'id_a,id_b'; say which with --subject",
        ),
        ("same,score,race1,race2,ethnicity,group", None, {"by": ["gender"]}, "by 'gender'"),
        (
            "same,score,race1,race2,race_1,race_2",
            None,
            {"by": ["race"]},
            "several columns fit --by",
        ),
    ],
)
def test_what_is_missing_or_ambiguous_says_which_flag_names_it(
    tmp_path, columns, people, options, said
):
    with pytest.raises(InputError) as caught:
        layout(tmp_path, columns, people, **options)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_people_of_a_table_of_images_stand_for_subjects(tmp_path):
    found = layout(tmp_path, "score,image1,image2", IMAGES)
    assert (found.subject, found.image) == (None, ("image1", "image2"))


@pytest.mark.parametrize(
    ("people", "by"),
    [
        (None, ["group"]),
        (IMAGES, ["group"]),
        (People("p", "subject", {}, {}), ["group"]),
        (People("p", "subject", {}, {"race": {}}), ["race"]),
        (People("p", "subject", {}, {"race": {}, "group": {}}), ["group"]),
    ],
)
def test_the_only_attribute_is_the_one_that_is_compared(people, by):
    assert default_by(people) == by


@pytest.mark.parametrize(
    ("wanted", "names", "columns", "bins"),
    [
        ("race", ["race1", "race2"], {"race": ("race1", "race2")}, {}),
        ("race", ["race"], {"race": ("race", "race")}, {}),
        ("race", ["ethnicity_a", "ethnicity_b"], {"race": ("ethnicity_a", "ethnicity_b")}, {}),
        ("group", ["att1", "att2"], {"group": ("att1", "att2")}, {}),
        ("gender", ["sex"], {"gender": ("sex", "sex")}, {}),
        ("sex", ["sex", "gender"], {"sex": ("sex", "sex")}, {}),  # its own name first
        ("race=l,r", ["l", "r"], {"race": ("l", "r")}, {}),
        ("race=tone", ["tone1", "tone2"], {"race": ("tone", "tone")}, {}),
        ("age:18,30", ["age1", "age2"], {"age": ("age1", "age2")}, {"age": (18.0, 30.0)}),
        ("age:18=l,r", ["l", "r"], {"age": ("l", "r")}, {"age": (18.0,)}),
        (
            "race+age:40",
            ["race", "age_1", "age_2"],
            {"race": ("race", "race"), "age": ("age_1", "age_2")},
            {"age": (40.0,)},
        ),
    ],
)
def test_an_attribute_has_columns_for_each_of_its_parts(tmp_path, wanted, names, columns, bins):
    found = find_attribute(tmp_path / "t.csv", names, wanted, None)
    assert (dict(found.columns), dict(found.bins)) == (columns, bins)
    assert found.name == wanted.replace("=l,r", "").replace("=tone", "").split(":")[0]


def test_the_table_of_people_comes_before_the_pairs_own_columns_unless_they_are_named(tmp_path):
    names = ["race1", "race2", "age1", "age2"]
    assert not find_attribute(tmp_path / "t.csv", names, "race", PEOPLE).columns
    named = find_attribute(tmp_path / "t.csv", names, "race=race1,race2", PEOPLE)
    assert named.columns == {"race": ("race1", "race2")}
    both = find_attribute(tmp_path / "t.csv", names, "race+age", PEOPLE)
    assert (both.name, both.columns) == ("race+age", {"age": ("age1", "age2")})
    assert not find_attribute(tmp_path / "t.csv", [], "gender", PEOPLE).columns  # it has "sex"


def test_a_customary_other_name_holds_an_attribute_too():
    assert known_as("gender", ["race", "sex"]) == "sex"
    assert known_as("gender", ["sex", "gender"]) == "gender"
    assert known_as("height", ["height"]) == "height"
    assert known_as("age", ["race", "sex"]) == ""


@pytest.mark.parametrize(
    ("text", "edges"), [("18", (18.0,)), ("18,30.5,45", (18.0, 30.5, 45.0)), ("-1,0", (-1.0, 0.0))]
)
def test_bins_are_ascending_numbers(text, edges):
    assert bin_edges("age", text) == edges


@pytest.mark.parametrize("text", ["", "old", "30,18", "18,18", "18,,30"])
def test_bins_that_are_none_are_refused_with_an_example(text):
    with pytest.raises(InputError, match="^--by age: bins are ascending numbers, as in --by age:1"):
        bin_edges("age", text)
