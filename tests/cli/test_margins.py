"""`fairjax margins` as it is typed; the search itself is tested where it is."""

import pytest

from fairjax import cli

LINE = ["margins", "--config", "x.py", "--workdir", "runs/margins"]


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("--warmup-steps", "3", 3),
        ("--episodes", "2", 2),
        ("--moves", "4", 4),
        ("--steps", "5", 5),
        ("--explore", "0.25", 0.25),
    ],
)
def test_a_setting_of_the_search_is_a_number_and_left_to_its_default_unless_typed(
    option, text, value
):
    name = option[2:].replace("-", "_")
    assert getattr(cli._parser().parse_args([*LINE, option, text]), name) == value
    assert getattr(cli._parser().parse_args(LINE), name) is None


@pytest.mark.parametrize("words", [["--episodes", "many"], ["--steps", "1.5"], ["--explore", "x"]])
def test_what_is_no_such_number_is_one_line_and_ends_with_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*LINE, *words])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_config_and_the_folder_are_needed(capsys):
    for words in (["margins"], LINE[:3]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
    assert "--workdir" in capsys.readouterr().err
