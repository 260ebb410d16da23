"""`fairjax threshold` as it is typed."""

from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.phantom_scores import Size
from fairjax.cli import main
from fairjax.core.results import load_results

SIZE = Size(people=60, images=4, nonmated=4000, across=300)


def test_a_threshold_is_chosen_and_written(tmp_path, capsys):
    table = tmp_path / "scores.csv"
    write_comparisons(table, GAP, seed=0, size=SIZE)
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
    assert main(["threshold", str(table), "--fmr-max", "2"]) == 2
    assert capsys.readouterr().err == "fairjax: --fmr-max 2 must be between 0 and 1, as 1e-3.\n"
    assert main([*line, "--by", "group", "--by", "other"]) == 2
    assert "one --by" in capsys.readouterr().err
