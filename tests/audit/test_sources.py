"""Where a table comes from, and how many names a message shows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fairjax.audit.sources import InMemory, InputError, NotANumberError, listed
from fairjax.core.errors import UNUSABLE, UserError


def test_an_input_that_is_unfit_ends_with_one_and_is_a_value_error_in_python():
    error = InputError("t.csv: no.")
    assert isinstance(error, UserError) and isinstance(error, ValueError)
    assert error.code == UNUSABLE and str(error) == "t.csv: no."


def test_text_for_a_number_keeps_the_text():
    error = NotANumberError("row 1: no number", "many")
    assert (str(error), error.word) == ("row 1: no number", "many")
    assert isinstance(error, InputError)


def test_a_table_in_memory_goes_by_its_name_and_is_like_no_other():
    table = pa.table({"a": [1]})
    one, other = InMemory(table), InMemory(table)
    assert str(one) == one.name == "the table" and one != other and one == one
    assert str(InMemory(table, {"v": np.eye(1)}, "ours")) == "ours"
    assert not isinstance(one, Path) and one.vectors == {}


@pytest.mark.parametrize(
    ("count", "most", "shown"),
    [
        (0, 12, "none"),
        (1, 12, "'0'"),
        (2, 2, "'0', '1'"),
        (3, 2, "'0', '1' and 1 more"),
        (12, 12, ", ".join(f"'{k}'" for k in range(12))),
        (13, 12, ", ".join(f"'{k}'" for k in range(12)) + " and 1 more"),
    ],
)
def test_names_are_quoted_and_cut(count, most, shown):
    assert listed([str(k) for k in range(count)], most=most) == shown


def test_twelve_names_are_shown_unless_another_number_is_asked_for():
    assert listed(list("abcdefghijklm")).endswith("'l' and 1 more")
