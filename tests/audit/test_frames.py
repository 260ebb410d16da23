"""Tables and arrays of a program as the tables that an audit reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fairjax.audit.frames import as_source, named_columns, same_values, two_sides, with_columns
from fairjax.audit.tables import InMemory, InputError


def columns(source):
    return {name: source.table[name].to_pylist() for name in source.table.column_names}


def test_a_path_stays_a_path():
    assert as_source("a/b.csv") == Path("a/b.csv") == as_source(Path("a/b.csv"))


def test_a_dict_a_table_and_lists_give_the_same_columns():
    plain = {"score": [0.5, 1.0], "group": ["A", "B"]}
    arrays = {"score": np.array([0.5, 1.0]), "group": np.array(["A", "B"])}
    for data in (plain, arrays, pa.table(plain)):
        assert columns(as_source(data)) == plain


def test_embeddings_are_vectors_and_not_columns():
    array = np.arange(6.0).reshape(3, 2)
    alone = as_source(array, "faces")
    np.testing.assert_array_equal(alone.vectors["embedding"], array)
    assert str(alone) == "faces" and alone.table.num_columns == 0
    both = as_source({"embedding": array, "id": ["a", "b", "c"]})
    assert columns(both) == {"id": ["a", "b", "c"]} and both.vectors["embedding"].shape == (3, 2)
    lists = as_source(pa.table({"embedding": array.tolist(), "id": ["a", "b", "c"]}))
    np.testing.assert_array_equal(lists.vectors["embedding"], array)
    assert columns(lists) == {"id": ["a", "b", "c"]}


def test_dictionary_and_view_strings_of_other_libraries_are_plain_text():
    view = pa.array(["A", "B", "A"]).cast(pa.string_view())
    indices = pa.array([0, 1, 0], pa.int32())
    coded = pa.DictionaryArray.from_arrays(indices, view.slice(0, 2))
    table = as_source(pa.table({"view": view, "coded": coded})).table
    assert table["view"].type == pa.string()
    assert table["coded"].type.value_type == pa.string()
    assert table["coded"].to_pylist() == ["A", "B", "A"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": [1, 2], "b": [1]}, "'b' has 1 rows, the others have 2; give columns of one length"),
        ({"e": np.ones((2, 2)), "b": [1]}, "'b' has 1 rows, the others have 2"),
        ({"a": np.ones((2, 2, 2))}, r"'a' is no column \(3 axes\)"),
        ({"a": "text"}, r"'a' is no column \(str\); give an array of one value a row"),
        ({"a": 3}, r"'a' is no column \(int\)"),
        ({"a": [1, "x"]}, "'a' cannot be read .*make each column all text or all numbers"),
        (3, "a int is no table; give a path, a dict of arrays"),
        (pa.table({"v": [[1.0], [1.0, 2.0]]}), "vectors of 'v' have 1 to 2 numbers"),
        (pa.table({"v": [[1.0], None]}), "vectors of 'v' have 0 to 1 numbers"),
    ],
)
def test_what_cannot_be_read_is_one_line(data, message):
    with pytest.raises(InputError, match=message) as error:
        as_source(data)
    assert "\n" not in str(error.value)


def test_a_series_may_repeat_a_column_and_not_contradict_it():
    source = as_source({"group": ["A", "B"]})
    assert columns(with_columns(source, {"group": np.array(["A", "B"])})) == {"group": ["A", "B"]}
    assert list(columns(with_columns(source, {"y": [1, 0]}))) == ["group", "y"]
    with pytest.raises(InputError, match="a column 'group' with other values"):
        with_columns(source, {"group": ["A", "C"]})
    empty = with_columns(InMemory(pa.table({})), {"y": [1, 0, 1]})
    assert empty.table.num_rows == 3


def test_columns_are_the_same_whatever_holds_them():
    assert same_values([1, 2], pa.array([1, 2])) and same_values(["a"], np.array(["a"]))
    assert not same_values([1, 2], [1, 3]) and not same_values([1, 2], [1, 2, 3])


def test_names_and_sides():
    assert named_columns({1: "x"}) == {"1": "x"}
    assert list(named_columns(pa.table({"a": [1]}))) == ["a"]
    assert named_columns([1, 2]) is named_columns(np.ones(3)) is None
    left, right = two_sides([["a", "b"], ["c", "d"]])
    assert left.tolist() == ["a", "c"] and right.tolist() == ["b", "d"]
    assert two_sides(["a", "b"]) is two_sides(np.ones((2, 3))) is None
