"""`fairjax intersections` as it is typed."""

import pytest

from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.phantom_scores import GROUPS, Size
from fairjax.cli import main

SIZE = Size(people=60, images=4, nonmated=4000, across=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("intersections")
    write_comparisons(path / "scores.csv", GAP, seed=0, size=SIZE)
    rows = [f"p{k:04d},{GROUPS[k // 60]},{'fm'[k % 2]}" for k in range(240)]
    (path / "people.csv").write_text("subject,race,gender\n" + "\n".join(rows) + "\n")
    return path


def test_the_worst_intersection_is_printed_and_written(folder, capsys):
    line = ["intersections", str(folder / "scores.csv"), "--groups", str(folder / "people.csv")]
    assert (
        main(
            [*line, "--by", "race", "--by", "gender", "--fmr", "1e-2", "--out", str(folder / "out")]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "Most false non-matches: jade" in said
    assert (folder / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--by", "race"], "a --by of its own"),
        (["--by", "race+gender", "--by", "race"], "a --by of its own"),
        (["--by", "race", "--by", "gender", "--smallest", "1"], "--smallest 1 must be 2 or more"),
        (["--by", "race", "--by", "gender", "--fmr", "3"], "--fmr 3 must be between"),
        (["--by", "race", "--by", "gender", "--fmr", "0"], "--fmr 0 must be between"),
    ],
)
def test_wrong_lines_are_refused_in_one_line(folder, capsys, flags, said):
    line = ["intersections", str(folder / "scores.csv"), "--groups", str(folder / "people.csv")]
    assert main([*line, *flags]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
