"""What is odd in a table of scored pairs: what is refused, and what is told in a note."""

import pytest

from fairjax.audit.layout import TableOptions
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError

HEAD = "image1,image2,subject1,subject2,group1,group2,score\n"
ROWS = ["a1,a2,a,a,X,X,0.9", "b1,b2,b,b,Y,Y,0.8", "a1,c1,a,c,X,X,0.1", "b1,a1,b,a,Y,X,0.2"]


@pytest.fixture
def load(tmp_path):
    """`(rows, head, options) -> pairs` of a table."""

    def call(rows=ROWS, head=HEAD, **options):
        path = tmp_path / "t.csv"
        path.write_text(head + "\n".join(rows) + "\n")
        return next(iter(load_comparisons(path, TableOptions(**options)).values()))

    return call


def notes_of(loaded, *words):
    """The notes that hold all words."""
    return [note for note in loaded.notes if all(word in note for word in words)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c1,c1,c,c,X,X,0.7", r"data row 5: 'c1' is compared with itself \(1 such row\)"),
        ("a2,a1,a,a,X,X,0.7", "the pair 'a1', 'a2' is in data rows 1 and 5 .1 row repeats a pair."),
    ],
)
def test_no_image_meets_itself_and_no_pair_comes_twice(load, row, message):
    with pytest.raises(InputError, match=message):
        load([*ROWS, row])


def test_sides_that_spell_people_apart_have_no_mated_pair(load):
    rows = [r.replace(",a,a,", ",a,a_2,").replace(",b,b,", ",b,b_2,") for r in ROWS[:2]]
    with pytest.raises(InputError, match="no name in subject1 occurs in subject2, such as 'a' and"):
        load(rows)


def test_people_on_one_side_only_are_told(load):
    rows = [*ROWS, "d1,e1,d,e,X,Y,0.1"]
    (note,) = notes_of(load(rows), "left side of the pairs only")
    assert note.startswith("1 person occurs on the left") and "1 on the right only" not in note
    assert "such as 'd' and 'c'" in note


def test_names_that_are_alike_are_refused_for_people_and_told_for_images(load):
    rows = [*ROWS, "A1,c2,A,c,X,X,0.3"]
    with pytest.raises(InputError, match="the subjects 'a' and 'A' differ by case alone"):
        load(rows)
    loaded = load(rows, names_as_written=True)
    assert notes_of(loaded, "'a' and 'A' differ by case alone", "they count as different")
    assert notes_of(loaded, "'a1' and 'A1' differ by case alone", "such image")


def test_a_distance_is_told_and_never_negative(load):
    head = HEAD.replace("score", "d")
    (note,) = notes_of(load(distances=["d"], head=head, any_direction=True), "d is a distance")
    assert "(all 4 values): smaller means more alike" in note
    rows = [*ROWS[:3], "b1,a1,b,a,Y,X,-0.2"]
    with pytest.raises(InputError, match=r"data row 4: d is -0.2, and no distance is negative \(1"):
        load(rows, head, distances=["d"])
    assert load(rows, head, distances=["d"], any_direction=True)


def test_a_column_called_like_a_distance_beside_scores_is_told(load):
    rows = [f"{row},0.5" for row in ROWS]
    (note,) = notes_of(
        load(rows, HEAD.replace("score", "score,distance")), "'distance' is not read"
    )
    assert note.endswith("To audit both, say --score score --distance distance.")


def test_flags_that_turn_the_table_are_told(load):
    head, rows = "same,group,score\n", ["0,X,0.9", "0,Y,0.8", "1,X,0.1", "1,Y,0.2"]
    loaded = load(rows, head, zero_is_same=True)
    assert notes_of(loaded, "--zero-is-same: 0 in 'same'", "2 pairs are mated, 2 are not")
    assert not notes_of(load(), "--any-direction")
    assert notes_of(load(any_direction=True), "--any-direction", "for the 4 pairs")


def test_repeated_rows_without_images_are_counted(load):
    head, rows = HEAD.removeprefix("image1,image2,"), [row.split(",", 2)[2] for row in ROWS]
    assert not notes_of(load(rows, head), "repeat the people")
    turned = [*rows, "a,b,X,Y,0.2"]  # the last row with its sides exchanged
    assert notes_of(load(turned, head), "1 of 5 rows repeat the people and the scores of another")
    assert not notes_of(load(), "repeat the people")  # images tell rows apart


def test_pairs_without_a_score_are_told(load):
    rows = [*ROWS, "c1,c2,c,c,X,X,"]
    loaded = load(rows, failures=True)
    assert len(loaded) == 4
    (note,) = notes_of(loaded, "1 of 5 pairs have no score", "FAR and FRR over all pairs")
    assert "they count as failures to acquire or enrol" in note
    rows += ["c1,b1,c,b,X,Y,0.1", "c2,b1,c,b,X,Y,0.2"]  # both images of the failed pair have scores
    (note,) = notes_of(load(rows, failures=True), "1 of 7 pairs have no score")
    assert "both images of 1 of these pairs have a score elsewhere, so no image failed" in note


def test_the_kind_of_scores_is_as_stated_and_its_range_is_checked(load):
    assert load().kinds == {"score": ""}
    assert load(kind="probability").kinds == {"score": "probability"}
    rows = [row.replace("0.9", "77") for row in ROWS]
    with pytest.raises(InputError, match=r"data row 1: .*77"):
        load(rows, kind="cosine")
