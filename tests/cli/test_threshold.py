"""`fairjax threshold` as it is typed."""

import pytest

from fairjax.audit import thresholds
from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.findings import Findings
from fairjax.audit.phantom_scores import Size
from fairjax.audit.thresholds import Wish
from fairjax.cli import main
from fairjax.core.results import Results, load_results

SIZE = Size(people=60, images=4, nonmated=4000, across=300)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("threshold") / "scores.csv"
    write_comparisons(path, GAP, seed=0, size=SIZE)
    return path


@pytest.fixture(scope="module")
def other(table):
    """The same scores of other people."""
    path = table.with_name("other.csv")
    path.write_text(table.read_text().replace(",p0", ",q0"))
    return path


def test_a_threshold_is_chosen_and_written(table, tmp_path, capsys):
    line = ["threshold", str(table), "--fmr-max", "2e-2", "--worst-group"]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Accept a pair when its score is at least 0.3" in said
    results = load_results(tmp_path / "out" / "results.json")
    assert results.kind == "threshold" and results.provenance["files"]["scores"]["bytes"]
    assert main([*line, "--confidence", "0.8"]) == 0
    assert "the chance that it is higher for any group is 20% at most" in capsys.readouterr().out
    assert main([*line, "--check", str(table)]) == 1
    assert "240 people are in" in capsys.readouterr().err


def test_it_is_checked_on_people_it_never_saw(table, other, tmp_path, capsys):
    line = ["threshold", str(table), "--fmr-max", "2e-2", "--check", str(other)]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    assert "Check: on other people the overall FMR is " in capsys.readouterr().out
    results = load_results(tmp_path / "out" / "results.json")
    assert set(results.provenance["files"]) == {"scores", "check"}
    at = [results.get("fmr", at=at, group="jade") for at in ("calibration", "check")]
    assert at[0].value == at[1].value  # the scores are the same


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ([], Wish(0.01, False, 0.95)),
        (["--worst-group"], Wish(0.01, True, 0.95)),
        (["--confidence", "0.8"], Wish(0.01, False, 0.8)),
    ],
)
def test_a_flag_changes_one_wish(table, monkeypatch, words, wish):
    asked = []

    def choose(loaded, system, wish, *, check, source):
        asked.append((system, wish, check, source))
        return Findings("Answer.", [], [], Results("threshold", {}, [], {}, [], {}))

    monkeypatch.setattr(thresholds, "choose", choose)
    assert main(["threshold", str(table), "--fmr-max", "0.01", *words]) == 0
    assert asked == [("score", wish, None, "scores.csv")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--fmr-max", "2"], 2, "--fmr-max 2 must be between 0 and 1, as 1e-3."),
        (["--fmr-max", "0"], 2, "--fmr-max 0 must be between 0 and 1, as 1e-3."),
        (["--fmr-max", "nan"], 2, "--fmr-max nan must be between 0 and 1, as 1e-3."),
        (
            ["--fmr-max", "0.1", "--confidence", "0.5"],
            2,
            "--confidence 0.5 must be above 0.5 and below 1.",
        ),
        (
            ["--fmr-max", "0.1", "--by", "group", "--by", "other"],
            2,
            "a threshold is for one column of scores and one --by.",
        ),
    ],
)
def test_wrong_lines_are_refused_in_one_line(table, capsys, words, code, said):
    assert main(["threshold", str(table), *words]) == code
    assert capsys.readouterr().err == f"fairjax: {said}\n"


def test_a_table_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["threshold", str(tmp_path / "none.csv"), "--fmr-max", "0.1"]) == 1
    assert "none.csv does not exist" in capsys.readouterr().err


def test_a_rate_is_needed(table, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["threshold", str(table)])
    assert caught.value.code == 2 and "--fmr-max" in capsys.readouterr().err
