"""Figures and tables as files that open elsewhere."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from PIL import Image
from verification_example import HOSTILE, verification_example

from fairjax.core.results import Results, Table
from fairjax.report.export import export, latex

TABLE = Table("A & B_c", ["rate", "50 %"], [["≥ 1", "{x}\\y"], ["a~b^c", "#1 $2"]], "note: 100 %")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    written = export(folder, verification_example(), [TABLE], ["svg", "png", "pdf", "csv", "tex"])
    assert sorted(folder.iterdir()) == sorted(written)
    return folder


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "table-1-mine.csv").write_text("mine")
    export(tmp_path, Results("verification", {}, [], {}, [], {}), [TABLE], ["csv"])
    assert (tmp_path / "table-1-mine.csv").read_text() == "mine"


def test_every_figure_is_there_in_each_format(folder):
    kinds = {kind: {p.stem for p in folder.glob(f"*.{kind}")} for kind in ("svg", "png", "pdf")}
    assert kinds["svg"] == kinds["png"] == kinds["pdf"] and len(kinds["svg"]) > 4
    assert any(name.startswith("figure-card-0") for name in kinds["svg"])


def test_an_svg_stands_alone(folder):
    for path in folder.glob("*.svg"):
        text = path.read_text()
        root = ElementTree.fromstring(text)
        assert root.get("width") and root.get("font-family") and "var(" not in text
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


def test_a_png_is_large_and_opaque_and_a_pdf_is_one(folder):
    path = next(folder.glob("figure-card-0*.png"))
    image = Image.open(io.BytesIO(path.read_bytes()))
    assert image.width >= 1000
    assert image.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)
    assert next(folder.glob("*.pdf")).read_bytes().startswith(b"%PDF")


def test_tables_are_there_as_csv_and_latex(folder):
    assert (folder / "table-1-a-b-c.csv").read_text().startswith("rate,50 %")
    assert (folder / "table-1-a-b-c.tex").read_text() == latex(TABLE)
    assert list(folder.glob("table-*tested-gaps.tex")) and list(folder.glob("*every-number.csv"))


def test_latex_escapes_what_latex_reads():
    text = latex(TABLE)
    assert r"\caption{A \& B\_c}" in text and r"rate & 50 \% \\" in text
    assert r"$\ge$ 1 & \{x\}\textbackslash{}y \\" in text
    assert r"a\textasciitilde{}b\textasciicircum{}c & \#1 \$2 \\" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert "\n" not in latex(Table("x", [HOSTILE], [["a\nb"]])).split("\\hline")[2].strip()


def test_latex_rows_may_begin_with_a_bracket_or_a_star():
    text = latex(Table("Ages", ["age", "n"], [["[18, 30)", "1"], ["* few", "<30"]]))
    assert "{[}18, 30) & 1 " in text and "{*} few & $<$30 " in text


def test_only_what_is_asked_for_is_written(tmp_path):
    export(tmp_path / "new", verification_example(), [TABLE], ["tex"])
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".tex"}


def test_every_file_of_a_smoke_test_says_so(tmp_path):
    provenance = {"command": "python -m fairjax.main --config quickstart:smoke", "dataset": "lfw"}
    results = replace(verification_example(), provenance=provenance)
    for path in export(tmp_path, results, [TABLE], ["svg", "csv", "tex"]):
        assert "Smoke test" in path.read_text(), path
