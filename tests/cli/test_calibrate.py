"""`fairjax calibrate` as it is typed: split, fit, apply, and the paired audit behind it."""

import numpy as np
import pytest
from postprocess_example import faces

from fairjax.audit.demo import GAP, write_comparisons
from fairjax.audit.phantom_scores import Size
from fairjax.cli import main

SIZE = Size(people=60, images=4, nonmated=4000, across=300)


def test_split_fit_apply_and_the_paired_audit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_comparisons(tmp_path / "scores.csv", GAP, seed=0, size=SIZE)
    assert main(["calibrate", "split", "scores.csv", "--out", "parts"]) == 0
    fit = ["calibrate", "fit", "parts/fit.csv", "--method", "group_norm", "--out", "norm.json"]
    assert main(fit) == 0
    assert "Group labels are needed: to fit and to use." in capsys.readouterr().out
    use = ["calibrate", "apply", "norm.json"]
    assert main([*use, "parts/use.csv", "--out", "after.csv"]) == 0
    assert main([*use, "parts/fit.csv", "--out", "never.csv"]) == 1
    assert "were used to fit" in capsys.readouterr().err
    assert not (tmp_path / "never.csv").exists()
    line = ["audit", "parts/use.csv", "after.csv", "--paired", "--fmr", "1e-2"]
    assert main([*line, "--bootstrap", "100", "--out", "change"]) == 0
    said = capsys.readouterr().out
    assert "hange" in said and "FMR of jade higher" not in said
    assert "What changed" in (tmp_path / "change" / "report.html").read_text()
    assert main(["audit", "after.csv", "--paired"]) == 2
    assert "--paired takes two files" in capsys.readouterr().err


def test_numbers_with_decimal_commas_are_split_into_tables_that_can_be_read(tmp_path, capsys):
    write_comparisons(tmp_path / "plain.csv", GAP, seed=0, size=SIZE)
    lines = [line.split(",") for line in (tmp_path / "plain.csv").read_text().splitlines()]
    text = "\n".join(";".join(line).replace(".", ",") for line in lines)
    (tmp_path / "german.csv").write_text(text)
    for name in ("plain", "german"):
        out = str(tmp_path / name)
        assert main(["calibrate", "split", f"{out}.csv", "--out", out]) == 0
    assert (tmp_path / "german/fit.csv").read_text() == (tmp_path / "plain/fit.csv").read_text()


def save_faces(folder, seed, first):
    scores = faces(seed, people=12, first=first)
    person = np.zeros(len(scores.images), np.int64)
    person[scores.image.ravel()] = scores.subject.ravel()
    group = np.zeros(len(scores.images), np.int64)
    group[scores.image.ravel()] = scores.group.ravel()
    path = folder / f"faces{seed}.npz"
    np.savez(
        path,
        embedding=scores.embedding,
        id=np.array(scores.images),
        subject=person.astype(str),
        group=np.array(scores.groups)[group],
    )
    return path


@pytest.mark.parametrize("method", ["fsn", "vmf"])
def test_embeddings_become_scores_or_embeddings(method, tmp_path, capsys):
    files = [save_faces(tmp_path, seed, first) for seed, first in ((0, 0), (1, 100))]
    out = tmp_path / ("after.csv" if method == "fsn" else "after.npz")
    fitted = str(tmp_path / "fitted.safetensors")
    sets = ["clusters=3", "fmr=0.05"] if method == "fsn" else ["epochs=2", "hidden=8"]
    flags = [word for text in sets for word in ("--set", text)]
    fit = ["calibrate", "fit", str(files[0]), "--all-pairs", "--method", method, *flags]
    assert main([*fit, "--out", fitted]) == 0
    line = ["calibrate", "apply", fitted, str(files[1]), "--all-pairs", "--out", str(out)]
    before = [] if method == "vmf" else ["--before", str(tmp_path / "before.csv")]
    assert main([*line, *before]) == 0
    capsys.readouterr()
    audit = ["audit", "--paired", "--fmr", "0.05", "--bootstrap", "100", "--any-direction"]
    both = [files[1], out, "--all-pairs"] if method == "vmf" else [before[1], out]
    assert main([*audit, *map(str, both)]) == 0
    assert "hange" in capsys.readouterr().out


def test_the_list_says_for_each_method_whether_groups_are_needed(capsys):
    assert main(["calibrate", "list"]) == 0
    said = capsys.readouterr().out
    assert "faircal" in said and "to fit and to use" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "x.csv", "--method", "magic", "--out", "a.json"], "--method magic"),
        (["fit", "x.csv", "--method", "platt", "--out", "a.pkl"], ".json or .safetensors"),
        (["fit", "x.csv", "--method", "fsn", "--out", "a.json", "--set", "fmr"], "KEY=VALUE"),
        (["fit", "x.csv", "--method", "platt", "--out", "a.json"], "x.csv does not exist"),
        (["split", "x.csv", "--share", "2", "--out", "a"], "--share 2 must be between"),
    ],
)
def test_wrong_lines_are_refused_in_one_line(words, said, capsys):
    assert main(["calibrate", *words]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
