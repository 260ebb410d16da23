"""Which column is what: customary names, names as asked, and what is ambiguous or missing."""

import pytest

from fairjax.audit.layout import (
    BARE_IMAGES,
    SUBJECTS,
    People,
    TableOptions,
    base_of_sides,
    bin_edges,
    both_sides,
    default_by,
    find_attribute,
    find_layout,
    has_two_sides,
    known_as,
)
from fairjax.audit.layout import IMAGES as IMAGE_NAMES
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


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_customary_name_of_people_is_found_on_both_sides(tmp_path, name):
    assert layout(tmp_path, f"score,group,{name}1,{name}2").subject == (f"{name}1", f"{name}2")


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_every_customary_name_of_images_is_found_on_both_sides(tmp_path, name):
    found = layout(tmp_path, f"same,score,group,{name}_a,{name}_b")
    assert found.image == (f"{name}_a", f"{name}_b")


@pytest.mark.parametrize(("left", "right"), BARE_IMAGES)
def test_images_may_go_by_their_side_alone(tmp_path, left, right):
    assert layout(tmp_path, f"same,score,group,{left},{right}").image == (left, right)
    assert layout(tmp_path, f"same,score,group,{left}").image is None
    named = layout(tmp_path, f"same,score,group,{left},{right},image1,image2")
    assert named.image == ("image1", "image2")  # before the side alone


@pytest.mark.parametrize(
    ("columns", "scores", "unread"),
    [
        ("score", ("score",), ()),
        ("score,distance", ("score",), ("distance",)),
        ("score,sim,Dist", ("score",), ("sim", "Dist")),
        ("sim", ("sim",), ()),
        ("sim,distance", ("sim",), ("distance",)),
        ("distance", (), ()),
    ],
)
def test_columns_called_like_scores_that_are_not_read_are_kept(tmp_path, columns, scores, unread):
    found = layout(tmp_path, f"same,group,{columns}")
    assert (found.scores, found.unread) == (scores, unread)


def test_a_named_score_leaves_nothing_unread(tmp_path):
    found = layout(tmp_path, "same,group,score,distance", scores=["score"])
    assert (found.systems, found.unread) == (("score",), ())
    both = layout(tmp_path, "same,group,score,distance", scores=["score"], distances=["distance"])
    assert (both.systems, both.unread) == (("score", "distance"), ())
    decided = layout(tmp_path, "same,group,score,distance,verdict", decision="verdict")
    assert (decided.systems, decided.unread) == (("verdict",), ())


@pytest.mark.parametrize(
    ("names", "base", "sides"),
    [
        (["a1", "a2"], "a", [("a1", "a2")]),
        (["A 1", "A 2"], "a", [("A 1", "A 2")]),
        (["a_1", "a_2"], "A", [("a_1", "a_2")]),
        (["a1"], "a", []),
        (["a1", "a_2"], "a", []),  # two ways to write it
        (["a1", "a2", "a_1", "a_2"], "a", [("a1", "a2"), ("a_1", "a_2")]),
        (["probe_a", "gallery_a"], "a", [("probe_a", "gallery_a")]),
        (["gallery_a", "reference_a"], "a", []),
        (["a1", "A1", "a2"], "a", [("a1", "a2")]),  # the first one of a name
        ([], "left,right", [("left", "right")]),
        ([], "left,right,more", [("left", "right,more")]),
        (["first name1", "first name2"], "first name", [("first name1", "first name2")]),
    ],
)
def test_a_base_name_stands_for_the_columns_of_both_sides(names, base, sides):
    assert both_sides(names, base) == sides


@pytest.mark.parametrize(
    ("names", "options", "is_pair"),
    [
        (["subject1", "subject2"], {}, True),
        (["image_a", "image_b"], {}, True),
        (["group1", "group2"], {}, True),
        (["query", "target"], {}, True),
        (["race1", "race2"], {}, False),
        (["race1", "race2"], {"by": ["race"]}, True),
        (["race1", "race2"], {"by": ["sex+race"]}, True),
        (["age1", "age2"], {"by": ["age:18,30"]}, True),
        (["l", "r"], {"by": ["race=l,r"]}, True),
        (["tone1", "tone2"], {"by": ["race=tone"]}, True),
        (["who1", "who2"], {"subject": "who"}, True),
        (["subject1", "subject2"], {"subject": "who"}, False),
        (["shot1", "shot2"], {"image": "shot"}, True),
        (["image1", "image2"], {"image": "shot"}, False),
        (["query", "target"], {"image": "shot"}, False),
        (["p1", "p2"], {}, False),  # probabilities
        (["subject", "image", "group", "label"], {}, False),
        ([], {}, False),
    ],
)
def test_a_row_is_a_pair_where_a_column_is_there_for_both_sides(names, options, is_pair):
    assert has_two_sides(names, TableOptions(**options)) is is_pair


def test_columns_of_text_are_each_named_once(tmp_path):
    found = layout(tmp_path, "score,same,fold,subject1,subject2,group", subject="subject1,subject2")
    assert found.text == ["same", "fold", "subject1", "subject2", "group"]


def test_an_image_has_one_column_of_groups(tmp_path):
    names = ["race", "sex", "label"]
    path = tmp_path / "t.csv"
    assert find_attribute(path, names, "race", None, pairs=False).columns == {
        "race": ("race", "race")
    }
    with pytest.raises(
        InputError, match="has no column for the groups by 'age'; it has 'race', 's"
    ):
        find_attribute(path, names, "age", None, pairs=False)
    with pytest.raises(InputError, match="--by race.race names 'race' twice"):
        find_attribute(path, names, "race+race", None)
    with pytest.raises(InputError, match="looked for age1 and age2, or age"):
        find_attribute(path, names, "age", None)


def test_a_list_of_pairs_takes_no_scores_from_the_table(tmp_path):
    found = layout(tmp_path, "image1,image2,score,distance", IMAGES, scored=False)
    assert (found.scores, found.distances, found.unread) == ((), (), ())


@pytest.mark.parametrize(
    ("left", "right", "base"),
    [
        ("race1", "race2", "race"),
        ("race_a", "race_b", "race"),
        ("probe_race", "reference_race", "race"),
        ("race2", "race1", ""),
        ("race1", "gender2", ""),
        ("race", "gender", ""),
        ("1", "2", ""),
    ],
)
def test_two_columns_are_the_sides_of_what_they_have_in_common(left, right, base):
    assert base_of_sides(left, right) == base
