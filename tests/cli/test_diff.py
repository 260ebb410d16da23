"""`fairjax diff` on two files of results, and what it makes of those that are none."""

import json
from dataclasses import replace

import pytest
from verification_example import verification_example

from fairjax.cli import main
from fairjax.core.results import save_results


@pytest.fixture
def pair(tmp_path):
    """Writes two results, the second changed, and returns their folders."""

    def write(**changes):
        results = verification_example()
        for name, one in (("ours", results), ("theirs", replace(results, **changes))):
            (tmp_path / name).mkdir(exist_ok=True)
            save_results(tmp_path / name / "results.json", one)
        return str(tmp_path / "ours"), str(tmp_path / "theirs")

    return write


def code(*words):
    """The exit code, returned or raised."""
    try:
        return main(["diff", *words])
    except SystemExit as leaving:
        return leaving.code


def test_what_is_the_same_ends_with_zero(pair, capsys):
    assert code(*pair()) == 0
    assert "Nothing that is written down differs" in capsys.readouterr().out


def test_a_file_and_its_folder_are_the_same_results(pair):
    ours, theirs = pair()
    assert code(f"{ours}/results.json", theirs) == 0


def test_another_protocol_is_named_and_ends_with_one(pair, capsys):
    protocol = {**verification_example().protocol, "threshold_rule": "another"}
    ours, theirs = pair(protocol=protocol)
    assert code(ours, theirs) == 1
    said = capsys.readouterr().out
    assert "threshold rule" in said and "another" in said
    assert code(theirs, ours) == 1, "it is the same the other way round"


def test_another_number_is_shown_beside_ours(pair, capsys):
    measures = list(verification_example().measures)
    place = next(k for k, m in enumerate(measures) if m.name == "fmr" and m.value)
    measures[place] = replace(measures[place], value=0.4321)
    assert code(*pair(measures=measures)) == 1
    assert " 43.2 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "results.json"),
        ("[]", "results.json"),
        (json.dumps({"schema_version": "9.0"}), "schema_version is 9.0"),
        (json.dumps({"schema_version": "1.1"}), "not a results file"),
    ],
)
def test_what_is_no_file_of_results_is_one_line(pair, tmp_path, capsys, text, said):
    ours, _ = pair()
    (tmp_path / "results.json").write_text(text)
    assert code(ours, str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert error.startswith("fairjax: ") and error.count("\n") == 1
    assert said in error and str(tmp_path) in error


def test_a_folder_without_results_is_one_line(tmp_path, capsys):
    assert code(str(tmp_path), str(tmp_path)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "results.json" in error
