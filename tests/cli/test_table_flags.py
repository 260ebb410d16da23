import argparse
from dataclasses import fields

import pytest
from flags_example import EVERY, VALUES

from fairjax.audit.layout import TableOptions
from fairjax.audit.tables import InputError
from fairjax.cli import table_flags
from fairjax.core.errors import UsageError


def parsed(*words):
    parser = argparse.ArgumentParser()
    table_flags.add_columns(parser)
    table_flags.add_pairs(parser)
    return parser.parse_args(words)


def test_every_option_of_a_table_has_a_flag():
    assert set(EVERY) == {field.name for field in fields(TableOptions)}


@pytest.mark.parametrize("field", EVERY)
def test_a_flag_sets_its_option_alone(field):
    beside = EVERY["decision"] if field == "accept" else ()  # without which it says nothing
    usual = table_flags.table_options_of(parsed(*beside))
    options = table_flags.table_options_of(parsed(*EVERY[field], *beside))
    assert getattr(options, field) == VALUES.get(field, True) != getattr(usual, field)
    others = [name for name in EVERY if name != field]
    assert all(getattr(options, name) == getattr(usual, name) for name in others)


def test_without_a_flag_the_options_are_the_usual_ones():
    usual = table_flags.table_options_of(parsed())
    for field in fields(TableOptions):
        value = getattr(usual, field.name)
        assert value == field.default or (not value and not field.default)


def test_the_table_of_people_is_read_by_its_flags(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("name,shot,race\nanna,a.jpg,X\nben,b.jpg,Y\n")
    assert table_flags.people_of(parsed()) is None
    words = ["--groups", str(path), "--groups-subject", "name", "--groups-image", "shot"]
    people = table_flags.people_of(parsed(*words))
    assert people.key == "image" and people.subject == {"a.jpg": "anna", "b.jpg": "ben"}
    assert people.groups == {"race": {"a.jpg": "X", "b.jpg": "Y"}}
    with pytest.raises(InputError, match="has no column 'who'"):
        table_flags.people_of(parsed("--groups", str(path), "--groups-subject", "who"))


@pytest.mark.parametrize(
    "words",
    [["--all-pairs", "--sample-pairs", "3"], ["--pairs", "p.csv", "--all-pairs"]],
)
def test_one_choice_of_pairs_is_made(words):
    with pytest.raises(SystemExit):
        parsed(*words)


@pytest.mark.parametrize(
    "words",
    [
        ["--score", "a", "--score", "b"],
        ["--score", "a", "--distance", "b"],
        ["--decision", "verdict"],
        ["--by", "race", "--by", "age"],
    ],
)
def test_some_verbs_take_one_system_and_one_attribute(words):
    table_flags.check_one_system(table_flags.table_options_of(parsed("--score", "a")), "this is")
    with pytest.raises(UsageError, match="^this is for one column of scores and one --by.$"):
        table_flags.check_one_system(table_flags.table_options_of(parsed(*words)), "this is")
