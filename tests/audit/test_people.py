"""Tables of people and of images."""

import pytest

from fairjax.audit.people import load_people
from fairjax.audit.tables import InputError


def read(folder, text, **columns):
    path = folder / "people.csv"
    path.write_text(text)
    return load_people(path, **columns)


def test_a_table_of_people_has_one_group_a_person_for_each_other_column(tmp_path):
    found = read(tmp_path, "Subject ID,race,sex\na,X,f\nb,Y,m\n")
    assert (found.key, found.subject) == ("subject", {})
    assert found.groups == {"race": {"a": "X", "b": "Y"}, "sex": {"a": "f", "b": "m"}}
    assert found.source == str(tmp_path / "people.csv")


def test_a_column_of_images_makes_it_a_table_of_images(tmp_path):
    found = read(tmp_path, "image,person,race\nx\\1.jpg,a,X\nx/2.jpg,a,X\n 3.jpg,b,Y\n")
    assert found.key == "image"
    assert found.subject == {"x/1.jpg": "a", "x/2.jpg": "a", "3.jpg": "b"}
    assert found.groups == {"race": {"x/1.jpg": "X", "x/2.jpg": "X", "3.jpg": "Y"}}


def test_columns_may_be_called_anything_if_they_are_named(tmp_path):
    text = "who,which,race\na,1,X\nb,2,Y\n"
    found = read(tmp_path, text, own_subject="who", own_image="which")
    assert found.subject == {"1": "a", "2": "b"} and set(found.groups) == {"race"}
    found = read(tmp_path, text, own_subject="who")
    assert found.key == "subject" and set(found.groups) == {"which", "race"}
    found = read(tmp_path, "who,id,race\na,1,X\n", subject="who")  # before the customary name
    assert found.groups == {"id": {"a": "1"}, "race": {"a": "X"}}
    found = read(tmp_path, "id,race\n1,X\n", subject="who")  # which another table has
    assert found.groups == {"race": {"1": "X"}}


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("race\nX\n", {}, "has no column of people or images (it has 'race'); name it with --gr"),
        ("id,person\n1,a\n", {}, "has 'id', 'person'; say which with --groups-subject"),
        ("id,race\n1,X\n", {"own_subject": "who"}, "no column 'who'"),
        ("id,race\n1,X\n", {"own_image": "file"}, "no column 'file'"),
        ("id,race\n1,X\n,Y\n", {}, "data row 2: id is empty"),
        ("id,race\n1,X\nnan,Y\n", {}, "data row 2: id is 'nan', which says nothing"),
        ("id,race\n1,X\n2,X\n1,Y\n", {}, "id '1' is in data rows 1 and 3"),
        ("image,race\nx/1,X\nx\\1,Y\n", {}, "image 'x/1' is in data rows 1 and 2"),
    ],
)
def test_a_table_that_does_not_say_who_is_who_is_refused(tmp_path, text, columns, said):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **columns)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "people.csv" in str(caught.value)


def test_numbers_with_decimal_commas_get_points_and_words_stay(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("subject;age;tone;place\nann;17,5;0,5;a,5\nbea;;NA;1,5\ncyd;30;2;c\n")
    groups = load_people(path).groups
    assert list(groups["age"].values()) == ["17.5", "", "30"]
    assert list(groups["tone"].values()) == ["0.5", "NA", "2"]
    assert list(groups["place"].values()) == ["a,5", "1,5", "c"]
