"""`fairjax identify` as it is typed."""

import numpy as np
import pytest

from fairjax.cli import main
from fairjax.core.results import load_results

LIST = "probe,probe_subject,candidate_subject,likeness,race,enrolled\n" + "".join(
    f"p{k},s{k},s{k if k % 3 else k + 1},0.{k + 10},{'ab'[k % 2]},1\nq{k},t{k},s{k},0.{k + 5:02d},"
    f"{'ab'[k % 2]},0\n"
    for k in range(40)
)


def test_candidate_lists_and_embeddings(tmp_path, capsys):
    path = tmp_path / "list.csv"
    path.write_text(LIST)
    line = ["identify", str(path), "--by", "race", "--column", "score=likeness"]
    assert main([*line, "--fpir", "0.1", "--out", str(tmp_path / "out")]) == 0
    assert "False alarms: alike in all groups, 10 times in 100 searches." in capsys.readouterr().out
    results = load_results(tmp_path / "out" / "results.json")
    assert results.kind == "identification"
    (tmp_path / "enrolled.csv").write_text("subject\n" + "".join(f"s{k}\n" for k in range(41)))
    enrolled = ["--gallery-table", str(tmp_path / "enrolled.csv"), "--fpir", "0.1"]
    assert main([*line, *enrolled]) == 0
    assert "N 41, FPIR 0.1" in capsys.readouterr().out
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "faces.npz",
        embedding=rng.normal(size=(60, 8)),
        id=np.arange(60).astype(str),
        subject=np.array([f"s{k // 3}" for k in range(60)]),
    )
    people = "subject,race\n" + "".join(f"s{k},{'ab'[k % 2]}\n" for k in range(20))
    (tmp_path / "people.csv").write_text(people)
    flags = [
        "--groups",
        str(tmp_path / "people.csv"),
        "--by",
        "race",
        "--gallery",
        "5,10",
        "--unenrolled",
        "0.3",
    ]
    assert main(["identify", str(tmp_path / "faces.npz"), *flags]) == 0
    assert "One image of each of 14 people is enrolled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rank", "0"], "--rank 0 must be 1 or more"),
        (["--level", "2"], "--level 2 must be"),
        (["--gallery", "1"], "sizes are 2 or more"),
        (["--column", "score"], "is not KEY=VALUE"),
        ([], "has no column 'score'"),
    ],
)
def test_wrong_lines_are_refused_in_one_line(tmp_path, capsys, flags, said):
    path = tmp_path / "list.csv"
    path.write_text(LIST)
    assert main(["identify", str(path), *flags]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_report_is_written_exported_and_put_beside_another(tmp_path, capsys):
    path = tmp_path / "list.csv"
    path.write_text(LIST.replace("likeness", "score"))
    out = tmp_path / "out"
    line = ["identify", str(path), "--by", "race", "--threshold", "0.3"]
    assert main([*line, "--out", str(out), "--title", "A <gallery>"]) == 0
    said = capsys.readouterr().out
    results = load_results(out / "results.json")
    assert results.protocol["threshold_rule"] == "given" and results.protocol["fpirs"] == []
    page = (out / "report.html").read_text()
    assert said.splitlines()[0] in page and "A &lt;gallery&gt;" in page
    assert "threshold 0.3 (given)" in page and "Error rates by group and gallery" in page
    summary = (out / "summary.html").read_text()
    assert " searches.<" in summary
    assert "Somebody who is not enrolled is taken for a person who is" in summary
    assert "0.3 (given)" in (out / "model_card.md").read_text()
    new = tmp_path / "new"
    assert main(["report", str(out), "--export", str(new), "--as", "svg,csv,tex"]) == 0
    assert len(list(new.glob("figure-*.svg"))) == 4  # three cards and a trade-off
    assert list(new.glob("table-*at-threshold-0-3.csv"))
    assert main(["report", str(out)]) == 0
    assert "A &lt;gallery&gt;" in (out / "report.html").read_text()
    assert main(["report", str(out), str(out), "--out", str(tmp_path / "both.html")]) == 0
    assert "Misses at rank 1" in (tmp_path / "both.html").read_text()
