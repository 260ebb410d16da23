import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from html_page import SVG, svg_texts
from results_example import example_results

from fairjax.core.results import Measure
from fairjax.report.drawing import lines, plots
from fairjax.report.drawing.heat_map import Cell, heat_map
from fairjax.report.drawing.lines import Line

ODD_NAMES = ["<script>alert(1)</script>", "a & b", "$\\frac{1}{2}$", "日本", "\x1b[0m", "x" * 200]


def rate(value, group, *, n=1000, n_errors=100, interval=None):
    return Measure(
        "x_fpr", value, "fraction", n, {"g": group}, interval=interval, n_errors=n_errors
    )


def forest(measures, **more):
    return plots.forest("key", "title", measures, **{"overall": None, "worst": None, **more})


def examples():
    """One of each plot."""
    results = example_results()
    by_race = [m for m in results.measures if m.name == "gender_fpr" and list(m.group) == ["race"]]
    calibration = results.arrays["calibration"]["gender"]
    cells = [[Cell("1", ["n 9"], 0.5), Cell("2", ["n 1"], None)]]
    return {
        "forest": plots.forest("a", "t", by_race, overall=results.get("gender_fpr"), worst=2),
        "bars": plots.bars("b", "t", by_race, overall=results.get("gender_fpr")),
        "heat_map": heat_map(
            "c", "t", cells, rows=["r"], columns=["x", "y"], row_axis="of", column_axis="as"
        ),
        "reliability": plots.reliability("d", "t", calibration["overall"], calibration["by_group"]),
        "curves": lines.curves("e", "t", [Line("train", [1, 2], [3.0, 2.0])], x_axis="step"),
        "trade_off": lines.trade_off(
            "f",
            "t",
            [lines.Choice("Base", 90.0, 2.0, None, None, front=True)],
            x_axis="Accuracy",
            y_axis="Spread",
        ),
    }


@pytest.mark.parametrize(
    "name", ["forest", "bars", "heat_map", "reliability", "curves", "trade_off"]
)
def test_a_plot_is_one_described_element_in_the_colours_of_the_page(name):
    svg = examples()[name]
    root = ElementTree.fromstring(svg)
    key = root.get("aria-labelledby").split("-")[0]
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    labels = [root.find(f".//*[@id='{label}']") for label in root.get("aria-labelledby").split()]
    assert [label.tag for label in labels] == [f"{SVG}title", f"{SVG}desc"]
    assert all(label.text for label in labels)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(identity.startswith(f"{key}-") for identity in ids)
    assert set(re.findall(r'(?:url\(|href=")#([\w.-]+)', svg)) <= set(ids)
    colours = re.findall(r"(?<!,)#[0-9a-f]{6}\b", svg)  # outside a variable's fallback
    assert colours == []
    for forbidden in ("<style", "<script", "<metadata", "<image", "http://", "font-family"):
        assert forbidden not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_the_same_input_gives_the_same_bytes_whatever_the_readers_own_style():
    first = examples()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "xtick.direction": "in"}):
        assert examples() == first


def test_dots_lie_where_their_values_are():
    values = [0.1, 0.2, 0.25, 0.4]
    svg = forest([rate(v, str(v), interval=(v - 0.05, v + 0.05)) for v in values])
    xs = [float(u.get("x")) for u in ElementTree.fromstring(svg).iter(f"{SVG}use")]
    dots = np.array(xs[-4:])  # ticks are drawn first
    slopes = np.diff(dots) / np.diff(values)
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-4)
    assert slopes[0] > 0


def test_a_forest_writes_every_number_and_describes_it():
    svg = forest([rate(0.123, "A", interval=(0.1, 0.15)), rate(None, "B", n=0, n_errors=0)])
    assert {"A", "12.3", "10.0 to 15.0", "B", "–"} <= set(svg_texts(svg))
    desc = ElementTree.fromstring(svg).find(f"{SVG}desc").text
    assert desc == "A 12.3% (10.0 to 15.0); B undefined."


def test_groups_with_few_errors_are_grey_and_hollow():
    backed = forest([rate(0.1, "A", interval=(0.05, 0.2)), rate(0.2, "B")])
    thin = forest([rate(0.1, "A", interval=(0.05, 0.2), n_errors=29), rate(0.2, "B")])
    assert "var(--group-0" in backed
    assert "var(--group-0" not in thin
    assert "stroke-dasharray" in thin
    assert "var(--paper" in thin
    assert "var(--paper" not in backed


def test_one_thin_group_does_not_squeeze_the_others():
    well = [rate(0.10, "A", interval=(0.08, 0.12)), rate(0.15, "B", interval=(0.13, 0.17))]
    wild = rate(0.9, "C", n_errors=2, interval=(0.0, 1.0))
    low, high = plots._limits([*well, wild], "fraction")
    assert 0.0 <= low <= 0.08
    assert 0.17 <= high < 0.3


def bar_widths(svg):
    """Widths of the filled bars, from their paths: a closed rectangle each."""
    widths = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if "opacity: 0.55" in (path.get("style") or ""):
            xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) [\d.]+", path.get("d"))]
            widths.append(max(xs) - min(xs))
    return widths


def test_bars_are_as_long_as_their_rates_from_zero():
    values = [0.1, 0.2, 0.25, 0.4]
    svg = plots.bars("k", "t", [rate(v, str(v)) for v in values], overall=None)
    widths = np.array(bar_widths(svg))
    np.testing.assert_allclose(widths / widths[0], np.array(values) / 0.1, rtol=1e-3)


def test_bars_write_the_rate_its_interval_and_what_was_counted():
    svg = plots.bars("k", "t", [rate(0.123, "A", interval=(0.1, 0.15))], overall=None)
    assert {"A", "12.3", "10.0 to 15.0", "100 of 1,000"} <= set(svg_texts(svg))
    desc = ElementTree.fromstring(svg).find(f"{SVG}desc").text
    assert desc == "A 12.3% (10.0 to 15.0), 100 of 1,000."


def test_the_axis_of_bars_follows_the_rates_and_an_arrow_shows_the_rest():
    none = rate(0.0, "A", n_errors=0, interval=(0.0, 0.071))
    few = rate(0.0004, "B", n_errors=40, interval=(0.0003, 0.0006))
    assert plots._reach([none, few]) == pytest.approx(1.04 * 1.6 * 0.0004)
    assert plots._reach([few]) == pytest.approx(1.04 * 0.0006)
    assert plots._reach([none]) == pytest.approx(1.05 * 0.071)
    arrows = plots.bars("k", "t", [none, few], overall=None)
    assert arrows != plots.bars("k", "t", [few, few], overall=None)
    assert arrows.count("<use") == plots.bars("k", "t", [few, few], overall=None).count("<use")


def test_the_axis_of_a_forest_follows_the_rates():
    wide = rate(0.0009, "A", interval=(0.0, 0.071))
    low, high = plots._limits([wide, rate(0.001, "B", interval=(0.0005, 0.0015))], "fraction")
    assert low < 0.0009 and high < 0.003


def test_empty_calibration_bins_are_left_out():
    curve = {"confidence": [None, 0.7, 0.9], "accuracy": [None, 0.6, 0.8], "n": [0, 50, 20]}
    empty = {"confidence": [None] * 3, "accuracy": [None] * 3, "n": [0] * 3}
    svg = plots.reliability("k", "t", curve, {"A": curve, "B": empty})
    desc = ElementTree.fromstring(svg).find(f"{SVG}desc").text
    assert desc.startswith("everyone: 70% sure, 60% right (n 50), 90% sure, 80% right (n 20); A:")
    assert desc.endswith("B: no example.")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_from_a_file_is_drawn_as_text(name):
    measures = [rate(0.1, name), rate(0.2, "B")]
    cells = [[Cell("1", [], 0.1)]]
    for svg in (
        forest(measures),
        heat_map("k", name, cells, rows=[name], columns=[name], row_axis="a", column_axis="b"),
        lines.curves("k", name, [Line(name, [1], [1.0]), Line("b", [1], [2.0])], x_axis="step"),
    ):
        root = ElementTree.fromstring(svg)
        assert root.find(".//{*}script") is None
        assert any(text[:3] == plots.printable(name)[:3] for text in svg_texts(svg))
