"""`fairjax intersections` as it is typed."""

import pytest

from fairjax.audit import intersections
from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.findings import Findings
from fairjax.audit.phantom_scores import GROUPS, Size
from fairjax.cli import main
from fairjax.core.results import Results, Table, load_results

SIZE = Size(people=60, images=4, nonmated=4000, across=300)
BOTH = ["--by", "race", "--by", "gender"]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """The line up to the attributes, on a table of scores and one of people."""
    path = tmp_path_factory.mktemp("intersections")
    write_comparisons(path / "scores.csv", GAP, seed=0, size=SIZE)
    rows = [f"p{k:04d},{GROUPS[k // 60]},{'fm'[k % 2]}" for k in range(240)]
    (path / "people.csv").write_text("subject,race,gender\n" + "\n".join(rows) + "\n")
    return ["intersections", str(path / "scores.csv"), "--groups", str(path / "people.csv")]


def test_the_worst_intersection_is_printed_and_written(line, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*line, *BOTH, "--fmr", "1e-2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Most false non-matches: jade" in said
    assert said.endswith(f"Written: {out / 'results.json'}\n")
    files = load_results(out / "results.json").provenance["files"]
    assert {role: file["name"] for role, file in files.items()} == {
        "scores": "scores.csv",
        "groups": "people.csv",
    }


@pytest.fixture
def asked(monkeypatch):
    """Settings that are measured; the answer has a table of 30 rows."""
    calls = []

    def measure(loaded, system, **settings):
        calls.append({"by": list(loaded), "system": system, **settings})
        table = Table("T", ["n"], [[f"row {k}"] for k in range(30)])
        return Findings("Answer.", [], [table], Results("intersections", {}, [], {}, [], {}))

    monkeypatch.setattr(intersections, "measure", measure)
    return calls


USUAL = {"fmr": 1e-3, "threshold": None, "smallest": 10, "level": 0.95, "seed": 0}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["--fmr", "0.5"], {"fmr": 0.5}),
        (["--threshold", "0.3"], {"fmr": None, "threshold": 0.3}),
        (["--threshold", "0"], {"fmr": None, "threshold": 0.0}),
        (["--threshold", "-0.5"], {"fmr": None, "threshold": -0.5}),
        (["--smallest", "2"], {"smallest": 2}),
        (["--level", "0.5"], {"level": 0.5}),
        (["--seed", "7"], {"seed": 7}),
    ],
)
def test_a_flag_changes_one_setting(line, asked, words, changes):
    assert main([*line, *BOTH, *words]) == 0
    assert asked == [{"by": ["race", "gender"], "system": "score", **USUAL, **changes}]


def test_the_terminal_shows_twenty_rows_and_says_how_many_more(line, asked, capsys):
    assert main([*line, *BOTH]) == 0
    said = capsys.readouterr().out
    assert "row 19" in said and "row 20" not in said and "10 more rows" in said


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--by", "race"], 2, "name each attribute with a --by of its own"),
        (["--by", "race+gender", "--by", "race"], 2, "a --by of its own"),
        ([*BOTH, "--smallest", "1"], 2, "--smallest 1 must be 2 or more"),
        ([*BOTH, "--fmr", "3"], 2, "--fmr must be between 0 and 1, as 1e-3"),
        ([*BOTH, "--fmr", "0"], 2, "--fmr must be between 0 and 1, as 1e-3"),
        ([*BOTH, "--fmr", "1"], 2, "--fmr must be between 0 and 1, as 1e-3"),
        ([*BOTH, "--fmr", "nan"], 2, "--fmr must be between 0 and 1, as 1e-3"),
        ([*BOTH, "--level", "1"], 2, "--level 1 must be between 0 and 1"),
        ([*BOTH, "--level", "0"], 2, "--level 0 must be between 0 and 1"),
        ([*BOTH, "--seed", "-1"], 2, "--seed -1 must be 0 or more"),
        ([*BOTH, "--score", "score", "--distance", "score"], 2, "one column of scores"),
        ([*BOTH, "--decision", "d", "--accept", "x"], 2, "one column of scores"),
        ([*BOTH, "--threshold", "9"], 1, "--threshold 9 lies outside the scores of score"),
        (["--by", "race", "--by", "shoe"], 1, "shoe"),
    ],
)
def test_wrong_lines_are_refused_in_one_line(line, capsys, flags, code, said):
    assert main([*line, *flags]) == code
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "flags", [["--fmr", "0.1", "--threshold", "0.3"], ["--threshold", "nan"], ["--smallest", "x"]]
)
def test_a_value_that_a_flag_never_has_ends_with_two(line, capsys, flags):
    with pytest.raises(SystemExit) as caught:
        main([*line, *BOTH, *flags])
    assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1
