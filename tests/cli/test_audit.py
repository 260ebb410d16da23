import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairjax import cli
from fairjax.core.results import load_results
from fairjax.report.summary import summarise

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-c", "import sys; from fairjax.cli import main; sys.exit(main())"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demonstration's folder and what was printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = run("audit", "--demo", "--bootstrap", "50", "--tolerance", "1.5", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_demonstration_leaves_everything_behind(demo):
    folder, out = demo
    names = {path.name for path in folder.iterdir()}
    assert {
        "comparisons.csv",
        "results.json",
        "report.html",
        "model_card.md",
        "measures.csv",
    } <= names
    assert not [name for name in names if name.endswith(".partial")]
    results = load_results(folder / "results.json")
    assert results.kind == "verification"
    assert results.provenance["files"]["file 1"]["hash"].startswith("sha256:")
    assert results.provenance["command"].startswith("fairjax audit --demo")
    assert results.get("fmr_worst", across="group", at="FMR 1e-2", group="jade").value > 0.02
    assert "FMR 0.03 and FNMR 0.08 for jade" in results.limits[0]
    assert "False matches: jade people are taken for each other " in out
    assert "▲ Exceeds the tolerance" in out
    assert "Report: " in out and "Error rates" not in out  # tables are printed on request


def test_without_out_nothing_is_written_and_tables_are_printed_on_request(
    demo, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    line = ["audit", str(demo[0] / "comparisons.csv"), "--threshold", "0.3", "--bootstrap", "20"]
    assert cli.main(line) == 0
    verdict = capsys.readouterr().out
    assert "False matches: jade people are taken for each other " in verdict
    assert "Error rates at one threshold" not in verdict and len(verdict.splitlines()) < 9
    assert cli.main([*line, "--tables"]) == 0
    out = capsys.readouterr().out
    assert "Error rates at one threshold" in out and out.endswith(verdict.splitlines()[-1] + "\n")
    assert not list(tmp_path.iterdir())


def test_terminal_page_and_model_card_end_on_the_same_sentences(demo):
    folder, out = demo
    results = load_results(folder / "results.json")
    page, model_card = ((folder / n).read_text() for n in ("report.html", "model_card.md"))
    for sentence in summarise(results).text:
        assert sentence in " ".join(out.split())
        assert sentence in " ".join(page.split())
        assert sentence in model_card


@pytest.mark.parametrize(
    ("flags", "points"),
    [
        (["--threshold", "0.3"], {"threshold 0.3"}),
        (["--threshold", "0.3", "--fmr", "1e-2"], {"threshold 0.3", "FMR 1e-2"}),
        (["--fmr", "1e-2"], {"FMR 1e-2"}),
    ],
)
def test_rates_are_read_at_the_points_that_were_asked_for_alone(demo, tmp_path, flags, points):
    table = str(demo[0] / "comparisons.csv")
    out = ["--bootstrap", "20", "--out", str(tmp_path)]
    assert cli.main(["audit", table, *flags, *out]) == 0
    results = load_results(tmp_path / "results.json")
    assert {measure.at for measure in results.measures if measure.name == "fmr"} == points


@pytest.mark.parametrize(("resamples", "noted"), [("20", True), ("39", False)])
def test_resamples_that_cannot_show_a_difference_are_a_limit(demo, tmp_path, resamples, noted):
    # Two tests, FMR and FNMR at one point: 2 / 21 is above 0.05, 2 / 40 is not.
    table, out = str(demo[0] / "comparisons.csv"), ["--out", str(tmp_path)]
    assert cli.main(["audit", table, "--fmr", "1e-2", "--bootstrap", resamples, *out]) == 0
    limits = load_results(tmp_path / "results.json").limits
    assert any(f"{resamples} resamples cannot show" in limit for limit in limits) is noted


def test_thresholds_found_elsewhere_are_named(demo, tmp_path):
    table, elsewhere = str(demo[0] / "comparisons.csv"), tmp_path / "elsewhere.csv"
    elsewhere.write_bytes(Path(table).read_bytes())
    assert (
        cli.main(
            [
                "audit",
                table,
                "--calibrate-on",
                str(elsewhere),
                "--fmr",
                "1e-2",
                "--bootstrap",
                "20",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    found = load_results(tmp_path / "results.json").get("fmr", at="FMR 1e-2")
    assert found.threshold_source == "all non-mated pairs of elsewhere.csv"


def test_several_attributes_have_a_folder_each(tmp_path, capsys):
    rows = ["subject1,subject2,race1,race2,sex1,sex2,score"]
    people = [(f"p{k}", "XY"[k % 2], "fm"[k // 2 % 2]) for k in range(12)]
    rows += [",".join([p, p, r, r, s, s, str(0.7 + k / 100)]) for k, (p, r, s) in enumerate(people)]
    rows += [
        ",".join([a, b, ra, rb, sa, sb, "0.1"])
        for a, ra, sa in people
        for b, rb, sb in people
        if a < b
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    assert (
        cli.main(
            [
                "audit",
                str(tmp_path / "t.csv"),
                "--by",
                "race",
                "--by",
                "race+sex",
                "--fmr",
                "0.1",
                "--bootstrap",
                "20",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert load_results(tmp_path / "out" / "race" / "results.json").protocol["groups"] == ["X", "Y"]
    groups = load_results(tmp_path / "out" / "race+sex" / "results.json").protocol["groups"]
    assert groups == ["X f", "X m", "Y f", "Y m"]


def test_no_name_becomes_a_formula_or_markup(tmp_path):
    evil = ['=HYPERLINK("http://x")', "<script>alert(1)</script>", "@SUM(1)", "-1+1|cmd"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["subject1", "subject2", "group1", "group2", "score"])
        people = [(f"={g}{k}", g) for g in evil for k in range(4)]
        rows.writerows([p, p, g, g, 0.8 + k / 1000] for k, (p, g) in enumerate(people))
        rows.writerows([a, b, g, h, 0.1] for a, g in people for b, h in people if a < b)
    out = tmp_path / "out"
    done = run(
        "audit", str(tmp_path / "t.csv"), "--fmr", "0.2", "--bootstrap", "20", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    assert "<script>alert" not in (out / "report.html").read_text()
    assert "<script>alert" not in (out / "model_card.md").read_text()
    tables = [path.read_text().splitlines() for path in out.glob("*.csv")]
    cells = [cell for table in tables for row in csv.reader(table) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    for cell in cells:
        assert not cell.startswith(("=", "@")), cell


def test_the_page_holds_no_control_character_of_a_name(tmp_path):
    rows = ["subject1,group1,subject2,group2,score"]
    rows += [
        f"p{k},{'XY'[k % 2]}\x1b[31m\x0b\u202e,q{k // 2},{'XY'[k // 2 % 2]}\x1b[31m\x0b\u202e,0.{k}"
        for k in range(10, 60)
    ]
    rows += [
        f"p{k},{'XY'[k % 2]}\x1b[31m\x0b\u202e,p{k},{'XY'[k % 2]}\x1b[31m\x0b\u202e,0.9{k}"
        for k in range(10, 60)
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    line = ["audit", str(tmp_path / "t.csv"), "--fmr", "0.2", "--bootstrap", "5"]
    assert cli.main([*line, "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not {c for c in page if ord(c) < 32 and c not in "\n\t"} and "\u202e" not in page
    assert "X\ufffd[31m" in page


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["none.csv"], "none.csv does not exist", 1),
        ([], "--demo or --self-test", 2),
        (["--demo", "gap", "x.csv"], "leave FILE out", 2),
        (["TABLE", "--score", "scor"], "has no column 'scor'; it has", 1),
        (["TABLE", "--protocol", "rfw"], "add a column 'fold'", 1),
        (["TABLE", "--tolerance", "nope=1"], "a tolerance for 'nope'", 1),
        (["TABLE", "TABLE"], "put the systems into columns of one table", 2),
        (
            ["TABLE", "--scorer", "mls"],
            "--scorer compares embeddings; for a table of scores say",
            2,
        ),
        (["TABLE", "--out", "TABLE/audit"], "is not a folder that can be written to", 1),
        (["x.npz"], "x.npz does not exist", 1),
        (["TABLE", "--stream", "--calibrate-on", "TABLE"], "a stream takes tables of scores", 2),
        (["TABLE", "--calibrate-on", "TABLE"], "is the audited table itself", 2),
        (["TABLE", "--by", "group+group"], "--by group+group names 'group' twice", 1),
    ],
)
def test_a_mistake_is_one_line_and_a_code(demo, arguments, words, code, capsys):
    table = str(demo[0] / "comparisons.csv")
    assert cli.main(["audit", *(a.replace("TABLE", table) for a in arguments)]) == code
    error = capsys.readouterr().err
    assert words in error and error.startswith("fairjax: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fmr", "2"],
        ["--bootstrap", "0"],
        ["--tolerance", "0.5"],
        ["--stated", "flip"],
        ["--level", "x"],
        ["--level", "1e-9"],
        ["--tolerance", "fmr_max_over_min=nan"],
        ["--tolerance", "fmr_max_over_min=0.5"],
        ["--tolerance", "fnmr_difference=-1"],
    ],
)
def test_a_wrong_command_line_ends_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["audit", "t.csv", *arguments])
    assert caught.value.code == 2


def test_a_refused_audit_says_that_the_folder_holds_an_earlier_one(demo, tmp_path, capsys):
    out = tmp_path / "out"
    line = ["audit", str(demo[0] / "comparisons.csv"), "--bootstrap", "5", "--out", str(out)]
    refused = [*line, "--threshold", "77"]
    assert cli.main(refused) == 1
    assert "earlier" not in capsys.readouterr().err
    assert cli.main(line) == 0
    assert cli.main(refused) == 1
    said = capsys.readouterr().err
    assert said.endswith(f"(What is in {out / 'results.json'} is an earlier audit's.)\n")
    assert said.count("\n") == 1


def test_the_self_test_prints_its_rates(capsys):
    assert cli.main(["audit", "--self-test", "4"]) == 0
    out = capsys.readouterr().out
    assert "Self-test" in out and "4 of 4" in out and out.endswith("passed\n")


def test_diff_names_what_differs_and_says_so_by_its_code(demo, tmp_path, capsys):
    folder = str(demo[0])
    assert cli.main(["diff", folder, folder]) == 0
    assert "Nothing that is written down differs" in capsys.readouterr().out
    tree = json.loads((demo[0] / "results.json").read_text())
    tree["protocol"]["threshold_rule"] = "another"
    (tmp_path / "results.json").write_text(json.dumps(tree))
    with pytest.raises(SystemExit) as caught:
        cli.main(["diff", folder, str(tmp_path / "results.json")])
    assert caught.value.code == 1
    assert "threshold rule" in capsys.readouterr().out
    (tmp_path / "results.json").write_text("{")
    assert cli.main(["diff", folder, str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_importing_the_audit_loads_little_and_neither_jax_nor_tensorflow():
    """Large packages stand for the time, which depends on who else uses the machine."""
    code = (
        "import sys, fairjax.audit.run, fairjax.audit.embeddings, fairjax.audit.outputs, "
        "fairjax.audit.streaming, fairjax.cli.audit; "
        "slow = {'jax', 'tensorflow', 'flax', 'matplotlib', 'pandas', 'scipy.stats', 'jinja2'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_terminal_that_is_not_utf_8_gets_every_output(tmp_path):
    text = "subject1,subject2,group1,group2,score\nä,ä,Zoë,Zoë,.9\nb,b,Y,Y,.8\nä,b,Zoë,Y,.1\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    for encoding in ("ascii", "latin-1", "cp1252"):
        done = subprocess.run(
            [*RUN, "audit", str(tmp_path / "t.csv"), "--fmr=0.5", "--bootstrap=5", "--tables"],
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        )
        assert done.returncode == 0, done.stderr
        assert b"Error rates" in done.stdout
