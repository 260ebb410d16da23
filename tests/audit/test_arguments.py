"""Arguments of `fairjax.audit(...)` as columns: what is named, what is brought, what is refused."""

import numpy as np
import pandas
import pyarrow as pa
import pytest

from fairjax.audit.arguments import ArgumentColumns, as_sequence, pair_table, words_of
from fairjax.audit.tables import InputError, column_names, read_batches


def text_of(source, *names):
    """Columns of a table as lists of words."""
    (batch,) = read_batches(source, text=names, numbers=[])
    return [batch.columns[name].to_pylist() for name in names]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ()),
        (1, ("1",)),
        (1.0, ("1",)),
        (0.5, ("0.5",)),
        (True, ("true",)),
        ("1.0", ("1.0",)),
        ("True", ("True",)),
        (np.True_, ("true",)),
        (["no face", 2.0], ("no face", "2")),
        (np.array([0, 1]), ("0", "1")),
    ],
)
def test_a_label_is_spelled_as_in_a_table_of_text(value, words):
    assert words_of(value) == words


@pytest.mark.parametrize(
    ("value", "sequence"), [(0.1, [0.1]), ("error", ["error"]), ([0.1, 2], [0.1, 2]), ((), ())]
)
def test_one_value_is_a_sequence_of_one(value, sequence):
    assert as_sequence(value) == sequence


def test_a_column_of_the_table_is_named_by_its_name():
    columns = ArgumentColumns({"sex": ["f", "m"]}, "")
    assert columns.name_of("sex", "group") == "sex"
    assert columns.name_of(None, "subject") == ""
    (source,) = columns.sources()
    assert column_names(source) == ["sex"]


def test_a_column_that_is_brought_is_added_under_its_own_or_the_customary_name():
    columns = ArgumentColumns({"label": [1, 0]}, "")
    assert columns.name_of(pandas.Series([0, 1], name="verdict"), "prediction") == "verdict"
    assert columns.name_of([0.5, 0.25], "score") == "score"
    (source,) = columns.sources()
    assert text_of(source, "label", "verdict") == [["1", "0"], ["0", "1"]]
    (batch,) = read_batches(source, text=[], numbers=["score"])
    assert batch.columns["score"].tolist() == [0.5, 0.25]


def test_both_sides_of_pairs_are_two_columns():
    columns = ArgumentColumns(None, "")
    people = np.array([["a", "b"], ["c", "a"]])
    assert columns.name_of(people, "subject") == "subject"
    assert columns.attributes(people) == ("group",)
    (source,) = columns.sources()
    sides = text_of(source, "subject1", "subject2", "group1", "group2")
    assert sides == [["a", "c"], ["b", "a"]] * 2


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, ()),
        ("cosine", ("cosine",)),
        (["ours", "theirs"], ("ours", "theirs")),
        ({"ours": [0.1, 0.2], "theirs": [0.3, 0.4]}, ("ours", "theirs")),
        (pa.table({"net": [0.1, 0.2]}), ("net",)),
        ([0.1, 0.2], ("score",)),
    ],
)
def test_scores_of_one_system_or_several(value, names):
    columns = ArgumentColumns({"cosine": [1, 2], "ours": [1, 2], "theirs": [3, 4]}, "")
    if isinstance(value, dict):
        columns = ArgumentColumns(None, "")
    assert columns.scores(value, "score") == names


def test_probabilities_of_both_classes_are_no_score():
    columns = ArgumentColumns(None, "")
    with pytest.raises(InputError, match=r"shape \(3, 2\); give one score a row, such as"):
        columns.scores(np.zeros((3, 2)), "score")


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (None, ()),
        ("age:18,30", ("age:18,30",)),
        (["race", "sex"], ("race+sex",)),
        ({"hand": ["l", "r"], "eye": ["b", "g"]}, ("hand+eye",)),
        (pandas.Series(["l", "r"], name="hand"), ("hand",)),
        (np.array(["l", "r"]), ("group",)),
    ],
)
def test_attributes_are_spelled_as_by_takes_them(value, attribute):
    assert (
        ArgumentColumns({"race": ["a", "b"], "sex": ["f", "m"]}, "").attributes(value) == attribute
    )


def test_words_without_a_table_are_a_column_and_not_names():
    columns = ArgumentColumns(None, "")
    assert columns.attributes(["x", "y"]) == ("group",)
    (source,) = columns.sources()
    assert text_of(source, "group") == [["x", "y"]]


def test_two_arguments_of_one_name_must_bring_the_same():
    columns = ArgumentColumns(None, "")
    first = pandas.Series([0, 1], name="y")
    columns.name_of(first, "label")
    assert columns.name_of(first, "prediction") == "prediction"  # named like the label
    columns.scores({"net": [0.1, 0.2]}, "score")
    columns.scores({"net": [0.1, 0.2]}, "score")
    with pytest.raises(InputError, match="two arguments bring a column named 'net'"):
        columns.scores({"net": [0.1, 0.3]}, "score")


def test_nothing_at_all_is_refused():
    with pytest.raises(InputError, match="nothing to audit: give a table, or y_true and y_pred"):
        ArgumentColumns(None, "").sources()


def test_an_array_does_not_join_a_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("score\n0.5\n")
    columns = ArgumentColumns(path, "")
    columns.name_of([1], "label")
    with pytest.raises(InputError, match=r"t\.csv is a file and 'label' an array; read the file"):
        columns.sources()


def test_several_paths_are_several_systems(tmp_path):
    paths = [tmp_path / "a.npz", str(tmp_path / "b.npz")]
    for path in paths:
        np.savez(path, embedding=np.eye(2))
    columns = ArgumentColumns(paths, "")
    assert [source.name for source in columns.sources()] == ["a.npz", "b.npz"]
    assert columns.vectors


def test_images_of_embeddings_without_a_name_are_numbered_from_0():
    columns = ArgumentColumns(np.eye(3), "")
    assert columns.vectors
    columns.attributes(np.array(["x", "y", "x"]))
    (source,) = columns.sources()
    assert text_of(source, "image", "group") == [["0", "1", "2"], ["x", "y", "x"]]
    named = ArgumentColumns({"embedding": np.eye(2), "id": ["p", "q"]}, "")
    (source,) = named.sources()
    assert column_names(source) == ["id"]


def test_pairs_are_a_table_or_an_array_of_two_columns():
    assert pair_table(None) is None
    for pairs in (np.array([["a", "b"], ["c", "d"]]), {"image1": ["a", "c"], "image2": ["b", "d"]}):
        assert text_of(pair_table(pairs), "image1", "image2") == [["a", "c"], ["b", "d"]]
