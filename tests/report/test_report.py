import base64
import errno
import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from html_page import Page, write
from results_example import (
    EXAMPLE_CONFIG,
    EXAMPLE_ENVIRONMENT,
    EXAMPLE_MANIFEST,
    example_curves,
    example_results,
    example_tables,
)
from rich.console import Console

from fairjax.core import files
from fairjax.core.results import Measure, Results, Table
from fairjax.report import print_tables
from fairjax.report.sections import _thinned

EMPTY = Results("attributes", {}, [], {}, [], {})
EVIL = "<script>alert(1)</script>"


def write_full(folder: Path) -> str:
    return write(
        folder,
        example_results(),
        tables=example_tables(),
        curves=example_curves(),
        config=EXAMPLE_CONFIG,
        manifest=EXAMPLE_MANIFEST,
        environment=EXAMPLE_ENVIRONMENT,
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return write_full(tmp_path_factory.mktemp("full"))


def test_a_report_of_attributes_loads_nothing_and_runs_the_export_alone(full):
    page = Page(full)
    assert not page.named("link") + page.named("img") + page.named("iframe")
    assert all(link.startswith("#") for link in page.attributes("href"))
    assert not page.attributes("src") and not re.search(r"@import|url\((?!#)", full)
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    (policy,) = [m["content"] for m in page.named("meta") if "http-equiv" in m]
    (script,) = re.findall(r"<script>(.*?)</script>", full, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )
    assert "innerHTML" not in script and "fetch" not in script and "http" not in script
    assert len(full) < 1_500_000


def test_every_part_is_there_in_order(full):
    headings = re.findall(r'<section id="(\w+)"', full)
    assert headings == [
        "summary",
        "gaps",
        "groups",
        "intersections",
        "confusion",
        "calibration",
        "training",
        "tables",
        "data",
        "settings",
        "method",
        "limits",
        "provenance",
        "numbers",
    ]
    links = re.findall(r'<li><a href="#(\w+)', full)
    assert links == headings[1:]


def test_a_screen_reader_finds_its_way(full):
    page = Page(full)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = Counter(page.attributes("id"))
    assert max(ids.values()) == 1
    wanted = [i for value in page.attributes("aria-labelledby") for i in value.split()]
    wanted += [link[1:] for link in page.attributes("href")]
    assert set(wanted) <= set(ids)
    tables = page.named("table")
    assert tables and len(page.named("caption")) == len(tables)
    assert {th["scope"] for th in page.named("th")} == {"col", "row"}
    assert len(page.named("figcaption")) == len(page.named("figure")) > 20
    assert page.named("html")[0]["lang"] == "en"
    assert page.attributes("role").count("img") == len(page.named("svg"))


def test_the_numbers_arrive(full):
    text = Page(full).text
    for said in (
        "89.3%",
        "▲ Differs between groups",
        "Asian faces are told wrong 17 times in 100 images",
        "no race field",
        "10 more are in data.json",
        "peak_lr",
        "0.10.2",
        "0123456789abcdef",
        "6312.4",
        "positive = Female; false positives / true Male",
        "'Others' is a leftover class, not a group.",
    ):
        assert said in text, said


def test_what_is_absent_leaves_no_heading(tmp_path):
    page = write(tmp_path, EMPTY)
    assert re.findall(r'<section id="(\w+)"', page) == ["summary", "provenance"]
    assert "<figure" not in page and "<table" not in page and "undefined" not in page.lower()
    one = Results("verification", {}, [Measure("fmr", 0.001, "fraction", 9)], {}, [], {})
    page = write(tmp_path, one)
    assert re.findall(r'<section id="(\w+)"', page) == ["summary", "provenance", "numbers"]
    assert "0.1%" in page


def test_everything_from_a_file_is_escaped(tmp_path):
    names = (EVIL, "B\"onload='x'")
    rates = [
        Measure("x_fpr", 0.1 * k, "fraction", 90, {EVIL: g}, n_errors=40, note=EVIL, rule=EVIL)
        for k, g in enumerate(names, 1)
    ]
    cells = [Measure("x_fpr", 0.1, "fraction", 90, {EVIL: g, "b": g}, n_errors=40) for g in names]
    gap = Measure("x_fpr_difference", 0.1, "fraction", 180, across=EVIL)
    bins = {"confidence": [0.7], "accuracy": [0.6], "n": [50]}
    results = Results(
        EVIL,
        {"name": EVIL, EVIL: EVIL},
        [*rates, *cells, gap],
        {
            "confusion": {EVIL: {"classes": names, "overall": [[1, 2], [3, 4]], "by_group": {}}},
            "calibration": {EVIL: {"overall": bins, "by_group": {EVIL: bins}}},
        },
        [EVIL],
        {EVIL: [EVIL]},
    )
    text = write(
        tmp_path,
        results,
        title=EVIL,
        tables=[Table(EVIL, [EVIL, "b"], [[EVIL, EVIL]], EVIL)],
        curves=[{"step": 1, f"{EVIL}/{EVIL}": 1.0}, {"step": 2, f"{EVIL}/{EVIL}": 2.0}],
        config={EVIL: {EVIL: EVIL}, "note": "<b>bold</b>"},
        manifest={"skipped": [{EVIL: EVIL}], "counts": {EVIL: {EVIL: 1}}, "x": EVIL},
        environment={"command": f"run {EVIL}"},
    )
    page = Page(text)
    assert len(page.named("script")) == 1 and not page.named("b")
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.text.count(EVIL) > 30
    assert "<b>bold</b>" in page.text


def test_file_names_may_be_any_bytes(tmp_path):
    odd = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    page = write(tmp_path, EMPTY, manifest={"skipped": [{"file": odd}]})
    assert "caf\\udce9.jpg" in page


def test_the_same_input_gives_the_same_bytes(full, tmp_path):
    assert write_full(tmp_path) == full


def test_a_report_is_whole_or_the_old_one_stays(tmp_path, monkeypatch):
    old = write(tmp_path, EMPTY)

    def until_the_disk_is_full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", until_the_disk_is_full)
    with pytest.raises(OSError, match="No space.*report.html"):
        write(tmp_path, EMPTY, title="Another")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_long_curves_are_averaged_not_sampled():
    x, y = _thinned([(float(k), float(k % 2)) for k in range(3000)])
    assert len(x) == 300
    assert set(y) == {0.5}
    assert x[0] == 4.5


def test_curves_without_numbers_are_left_out(tmp_path):
    rows = [{"step": 1, "loss": float("nan"), "name": "x", "ok": True}, {"step": 2}]
    assert 'id="training"' not in write(tmp_path, EMPTY, curves=rows)


def test_tables_are_plain_aligned_lines_where_nobody_watches(capsys):
    rows = [["a" * 100, "0.1 [0.0, 0.2]", "1,204"], ["[red]b", "x\x1b[2J", "9"]]
    wide = Table("T", ["g", "FPR [95% interval]", "n"], rows, "note")
    print_tables([wide], Console(width=40))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "T"
    assert lines[1] == "g" + " " * 101 + "FPR [95% interval]      n"
    assert lines[3] == "a" * 100 + "  0.1 [0.0, 0.2]      1,204"
    assert lines[4] == "[red]b" + " " * 96 + "x\ufffd[2J" + " " * 19 + "9"
    assert lines[5:] == ["note", ""]


def test_tables_are_ruled_in_a_terminal(capsys):
    print_tables(example_tables(), Console(force_terminal=True, width=100, color_system=None))
    out = capsys.readouterr().out
    assert "───" in out
    assert "0.10 [0.08, 0.12]" in out
    assert "Positive = Female." in out


def test_importing_the_report_loads_no_framework():
    code = (
        "import sys, fairjax.report; print([m for m in ('jax', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
