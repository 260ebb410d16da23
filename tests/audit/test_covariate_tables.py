"""Covariates out of tables of images or people, out of both sides of pairs, and out of rows."""

import numpy as np
import pytest

from fairjax.audit.covariate_tables import (
    as_number,
    is_numeric,
    load_covariates,
    load_image_covariates,
)
from fairjax.audit.layout import People, TableOptions
from fairjax.audit.tables import InputError


@pytest.fixture
def write(tmp_path):
    """`(name, text) -> path` of a table."""

    def call(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return call


PAIRS = (
    "image1,image2,blur1,blur2,light1,light2\n"
    "a.jpg,b.jpg,1.5,2,dark,bright\n"
    "a.jpg,.\\c.jpg,1.5,3,dark,dark\n"
)


def of_pairs(path, *names, options=None, people=None, table=None):
    options = options or TableOptions()
    return load_covariates(table, names, pairs=path, options=options, people=people)


@pytest.mark.parametrize(
    ("word", "number"), [("1", 1.0), ("-2e3", -2000.0), ("nan", None), ("inf", None), ("x", None)]
)
def test_a_number_is_finite(word, number):
    assert as_number(word) == number


@pytest.mark.parametrize(
    ("words", "numeric"),
    [(["1", "2.5"], True), (["1", ""], True), (["1", "dark"], False), (["", "None"], False)],
)
def test_a_covariate_of_numbers_has_a_number_wherever_it_is_known(words, numeric):
    assert is_numeric(dict(enumerate(words))) is numeric


def test_columns_of_both_sides_are_joined_by_image(write):
    path = write("pairs.csv", PAIRS)
    covariates = of_pairs(path, "blur", "light")
    assert (covariates.source, covariates.key) == (str(path), "image")
    assert covariates.values["blur"]["a.jpg"] == "1.5"
    assert covariates.values["light"]["b.jpg"] == "bright"
    assert set(covariates.values["blur"].values()) == {"1.5", "2", "3"}


def test_an_image_has_one_value_on_both_sides(write):
    path = write("pairs.csv", PAIRS + "b.jpg,c.jpg,2.5,3,bright,dark\n")
    with pytest.raises(InputError) as raised:
        of_pairs(path, "blur")
    said = "data row 1: blur2 of 'b.jpg' is '2' here and '2.5' elsewhere."
    assert str(raised.value).endswith(said)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (PAIRS, "pose", "has no columns pose1 and pose2 for --covariate pose; it has 'image1'"),
        ("blur1,blur2\n1,2\n", "blur", "does not name its images, so covariates cannot be told"),
    ],
)
def test_both_sides_need_their_columns_and_the_images(write, text, name, message):
    with pytest.raises(InputError, match=message):
        of_pairs(write("pairs.csv", text), name)


def test_a_table_gives_its_numbers_where_none_is_named(write):
    pairs, images = write("pairs.csv", PAIRS), write("i.csv", "image,blur,light\na,1,dark\nb,2,x\n")
    covariates = of_pairs(pairs, table=images)
    assert covariates.values == {"blur": {"a": "1", "b": "2"}}
    assert (covariates.source, covariates.key) == (str(images), "image")
    assert list(of_pairs(pairs, "light", table=images).values) == ["light"]


def test_a_table_of_people_has_one_value_a_person(write):
    pairs, people = write("pairs.csv", PAIRS), write("p.csv", "subject,age\nanna,30\nben,40\n")
    covariates = of_pairs(pairs, table=people)
    assert covariates.key == "subject" and covariates.values["age"] == {"anna": "30", "ben": "40"}


@pytest.mark.parametrize(
    ("table", "names", "message"),
    [
        ("image,light\na,dark\n", (), "has no column of numbers; name a column of words"),
        ("image,light\na,dark\n", ("blur",), "has no covariate 'blur'; it has 'light'"),
    ],
)
def test_a_table_without_the_covariate_is_refused(write, table, names, message):
    with pytest.raises(InputError, match=message):
        of_pairs(write("pairs.csv", PAIRS), *names, table=write("i.csv", table))


def test_the_table_of_groups_comes_before_columns_of_the_pairs(write):
    people = People("people.csv", "subject", {}, {"race": {"anna": "X"}, "blur": {"anna": "9"}})
    path = write("pairs.csv", PAIRS)
    assert of_pairs(path, "blur", people=people).values == {"blur": {"anna": "9"}}
    both = of_pairs(path, "blur", "light", people=people)  # it lacks one, so it gives none
    assert both.source == str(path) and list(both.values) == ["blur", "light"]


def test_covariates_of_predictions_are_those_of_the_rows_or_of_a_table(write):
    path = write("t.csv", "file,blur\na.jpg,1\nb.jpg,2\n")
    rows = load_image_covariates(None, ["blur"], predictions=path, options=TableOptions())
    assert (rows.key, rows.values) == ("row", {"blur": {"1": "1", "2": "2"}})
    images = write("i.csv", "image,light\na.jpg,5\n")
    table = load_image_covariates(images, [], predictions=path, options=TableOptions())
    assert (table.key, table.values) == ("image", {"light": {"a.jpg": "5"}})
    with pytest.raises(InputError, match="has no covariate 'pose'; it has 'file', 'blur'. Name a"):
        load_image_covariates(None, ["pose"], predictions=path, options=TableOptions())


def test_the_users_name_of_the_images_counts(write):
    path = write("t.csv", "shot1,shot2,image1,image2,blur1,blur2\na,b,same,same,1,2\n")
    covariates = of_pairs(path, "blur", options=TableOptions(image="shot"))
    assert covariates.values == {"blur": {"a": "1", "b": "2"}}
    assert np.isfinite([as_number(word) for word in covariates.values["blur"].values()]).all()


def test_decimal_commas_are_read_wherever_covariates_stand(write):
    pairs = write("p.csv", "image1;image2;blur1;blur2\na;b;1,5;2\n")
    found = load_covariates(None, ["blur"], pairs=pairs, options=TableOptions(), people=None)
    assert found.values["blur"] == {"a": "1.5", "b": "2"}
    table = write("c.csv", "image;blur\na;1,5\nb;2\n")
    found = load_covariates(table, [], pairs=pairs, options=TableOptions(), people=None)
    assert found.values["blur"] == {"a": "1.5", "b": "2"}
    said = write("s.csv", "image;blur\na;1,5\nb;2\n")
    found = load_image_covariates(None, ["blur"], predictions=said, options=TableOptions())
    assert found.values["blur"] == {"1": "1.5", "2": "2"}
