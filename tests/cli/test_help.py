"""What help shows can be typed: every example of every verb is a line that its parser takes."""

import argparse
import re
import shlex

import pytest

from fairjax import cli


def parsers(parser):
    """A parser and those of the verbs below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


EVERY = {parser.prog: parser for parser in parsers(cli._parser())}


def examples(parser):
    """The lines of `fairjax` behind "Example:" and below "examples:"."""
    _, _, behind = re.sub(r"(?i)examples?:", "\f", parser.epilog or "").rpartition("\f")
    lines = [part.strip() for part in re.split(r"\n|;|&&", behind)]
    return [line for line in lines if line.startswith("fairjax ")]


SHOWN = [line for parser in EVERY.values() for line in examples(parser)]


def test_every_verb_shows_an_example_of_itself():
    for name in cli.VERBS:
        own = [line for line in SHOWN if line.split()[1] == name]
        assert own, name
    assert len(SHOWN) > 40


@pytest.mark.parametrize("line", SHOWN)
def test_an_example_can_be_typed(line):
    words = shlex.split(line)[1:]
    arguments, more = cli._parser(words).parse_known_args(words)
    assert arguments.verb == words[0] and callable(arguments.run)
    assert all(word.startswith("--config.") and "config" in arguments for word in more)


def test_a_line_with_a_flag_that_is_none_is_no_example():
    words = shlex.split("fairjax audit scores.csv --groop people.csv")[1:]
    assert cli._parser(words).parse_known_args(words)[1] == ["--groop", "people.csv"]


@pytest.mark.parametrize("name", EVERY)
def test_every_default_that_help_names_is_the_default(name):
    """A number after "default:" is what the parser takes; None says that it depends."""
    for action in EVERY[name]._actions:
        said = re.search(r"\(default: ([-+.\de]+)\)", action.help or "")
        if said and action.default is not None:
            assert float(action.default) == float(said[1]), action.option_strings


@pytest.mark.parametrize("name", EVERY)
def test_every_option_says_what_it_does(name):
    options = [action for action in EVERY[name]._actions if action.option_strings]
    assert [action.option_strings for action in options if not action.help] == []
