"""Tables of predictions as read: rows as numbers, groups, people, and what is refused."""

import numpy as np
import pytest

from fairjax.audit.layout import TableOptions
from fairjax.audit.prediction_tables import PredictionColumns, as_numbers, read_predictions
from fairjax.audit.tables import InputError

SAID = PredictionColumns("label", "said")
TABLE = (
    "file,who,label,said,p,race,age\n"
    "a.jpg,ann,f,f,0.9,X,20\n"
    ".\\b.jpg,ben,m,f,0.6,Y,31\n"
    "c.jpg,ann,m,m,0.25,X,30\n"
)


@pytest.fixture
def read(tmp_path):
    """`(text, columns, by, options) -> rows` of a table."""

    def call(text=TABLE, columns=SAID, by="race", **options):
        path = tmp_path / "t.csv"
        path.write_text(text)
        return read_predictions(path, columns, TableOptions(by=[by], **options), by)

    return call


def words_of(rows, column):
    names = list(rows.words[column])
    return [names[code] for code in rows.codes[column].tolist()]


def test_columns_become_numbers_and_their_names(read):
    rows = read(subject="who")
    assert len(rows) == 3 and rows.number.tolist() == [1, 2, 3]
    assert words_of(rows, "label") == ["f", "m", "m"] and words_of(rows, "said") == ["f", "f", "m"]
    assert words_of(rows, "file") == ["a.jpg", "b.jpg", "c.jpg"]  # one form of a path
    assert rows.keys == {"image": "file", "subject": "who"}
    assert rows.groups == ["X", "Y"] and rows.group.tolist() == [0, 1, 0]
    assert rows.cluster.tolist() == [0, 1, 0] and rows.chances is None and rows.limits == []


def test_rows_are_taken_with_all_that_belongs_to_them(read):
    rows = read(columns=PredictionColumns("label", probability="p"), subject="who")
    some = rows.take(np.array([False, True, True]))
    assert some.number.tolist() == [2, 3] and some.chances.tolist() == [0.6, 0.25]
    assert some.group.tolist() == [1, 0] and some.cluster.tolist() == [1, 0]
    assert words_of(some, "label") == ["m", "m"] and some.groups == rows.groups


def test_without_people_every_row_is_a_cluster_and_it_is_said(read):
    rows = read()
    assert rows.cluster.tolist() == [0, 1, 2] and rows.keys == {"image": "file"}
    assert any("does not say who is on each image" in limit for limit in rows.limits)


def test_groups_meet_and_numbers_are_binned(read):
    rows = read(by="race+age:30", subject="who")
    assert rows.groups == ["X <30", "X 30+", "Y 30+"] and rows.group.tolist() == [0, 2, 1]


def test_a_name_for_the_column_of_groups(read):
    text = TABLE.replace("race", "colour")
    assert read(text, by="race=colour", subject="who").groups == ["X", "Y"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("c.jpg,ann,m", "c.jpg,ann,", "data row 3: label is empty"),
        ("ann,m,m", "ann,m,NA", "data row 3: said is 'NA'.*; --classes names it if it is a class"),
        ("0.6,Y", "0.6,", "data row 2: race is empty; --unknown-groups keeps such rows among"),
        ("ben,m,f", ",m,f", "data row 2: who is empty"),
        (".\\b.jpg", "", "data row 2: file is empty"),
        (".\\b.jpg", "a.jpg", r"file 'a.jpg' is in data rows 1 and 2 \(1 row repeats an image\)"),
        ("label", "truth", "has no column 'label'; it has"),
        ("race", "colour", "has no column for the groups by 'race'; it has .*with --by"),
        ("ben,m,f", "ben,M,f", "the labels 'M' and 'm' differ by case"),
    ],
)
def test_a_table_that_is_unfit_is_one_line(read, old, new, message):
    people = {"subject": "who"} if "a.jpg" not in new else {}
    text = TABLE.replace(old, new).replace("file,who", "file,who" if people else "file,whose")
    with pytest.raises(InputError, match=message) as raised:
        read(text, **people)
    assert "\n" not in str(raised.value)


def test_what_is_allowed_is_not_refused(read):
    assert read(TABLE.replace("0.6,Y", "0.6,"), unknown_groups=True).group.tolist() == [0, -1, 0]
    silent = PredictionColumns("label", "said", no_answer=["none"])
    assert words_of(read(TABLE.replace("ann,m,m", "ann,m,"), silent), "said")[2] == ""
    named = PredictionColumns("label", "said", classes=["f", "m", "NA"])
    assert words_of(read(TABLE.replace("ann,m,m", "ann,m,NA"), named), "said")[2] == "NA"
    group = read(TABLE.replace("0.6,Y", "0.6,NA"), group_names=["X", "NA"])
    assert group.groups == ["X", "NA"]


@pytest.mark.parametrize("chance", ["-0.1", "1.01"])
def test_a_probability_lies_between_0_and_1(read, chance):
    columns = PredictionColumns("label", probability="p")
    with pytest.raises(
        InputError, match=rf"data row 2: p is {chance}, not a probability in \[0, 1"
    ):
        read(TABLE.replace("0.6", chance), columns)
    ends = read(TABLE.replace("0.6", "0").replace("0.9", "1"), columns)
    assert ends.chances.tolist() == [1.0, 0.0, 0.25]


def test_without_images_repeated_rows_are_counted_where_people_are_named(read):
    text = TABLE.replace("file", "note").replace(".\\b.jpg", "a.jpg")
    doubled = text + text.splitlines()[1] + "\n"
    (said,) = (s for s in read(doubled, subject="who").limits if s.startswith("The table names no"))
    assert said.endswith("cannot be told (1 of 4 rows repeat another one).")
    (said,) = (s for s in read(doubled).limits if s.startswith("The table names no"))
    assert said.endswith("cannot be told.")


def test_words_are_numbers_where_rows_hold_them(read, tmp_path):
    columns = PredictionColumns("label", "age", regression=True)
    rows = read(columns=columns)
    assert as_numbers("t.csv", "age", rows).tolist() == [20.0, 31.0, 30.0]
    rows = read(TABLE.replace("Y,31", "Y,old"), columns)
    with pytest.raises(
        InputError, match="data row 2: age is 'old', not a number; predictions that"
    ):
        as_numbers("t.csv", "age", rows)
    answering = rows.take(np.array([True, False, True]))
    assert as_numbers("t.csv", "age", answering).tolist() == [20.0, 30.0]


def test_numbers_have_decimal_commas_where_a_semicolon_parts_fields(read, tmp_path):
    columns = PredictionColumns("age", "guess", regression=True)
    rows = read("file;age;guess;years\n1.jpg;20;21,5;17,9\n2.jpg;30;29,5;18\n", columns, "years:18")
    path = tmp_path / "t.csv"
    np.testing.assert_array_equal(as_numbers(path, "age", rows), [20, 30])
    np.testing.assert_array_equal(as_numbers(path, "guess", rows), [21.5, 29.5])
    assert [rows.groups[k] for k in rows.group] == ["<18", "18+"]
    rows = read("file;age;guess;years\n1.jpg;20;21,5;1\n2.jpg;30;29.5;18\n", columns, "years:18")
    with pytest.raises(InputError, match="guess is '21,5', not a number; decimal commas are read"):
        as_numbers(path, "guess", rows)
