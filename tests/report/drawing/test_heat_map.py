import re
from xml.etree import ElementTree

import pytest

from fairjax.report.drawing.heat_map import Cell, heat_map

SVG = "{http://www.w3.org/2000/svg}"


def test_heat_map_fills_by_strength_and_hatches_what_has_too_little_data():
    def one(strength):
        return heat_map(
            "k",
            "t",
            [[Cell("5", ["n 3"], strength)]],
            rows=["r"],
            columns=["c"],
            row_axis="a",
            column_axis="b",
        )

    opacity = [float(re.search(r"fill-opacity: ([\d.]+)", one(s))[1]) for s in (0.0, 0.5, 1.0)]
    assert opacity == sorted(opacity)
    assert opacity[-1] <= 0.53  # test_svg shows that ink is legible up to here
    assert "<pattern" not in one(1.0)
    assert "<pattern" in one(None)


def test_heat_map_rows_and_columns_are_not_swapped():
    cells = [[Cell("1", [], 0.1), Cell("2", [], 0.2)], [Cell("3", [], 0.3), Cell("4", [], 0.4)]]
    svg = heat_map(
        "k",
        "t",
        cells,
        rows=["up", "down"],
        columns=["left", "right"],
        row_axis="a",
        column_axis="b",
    )
    at = {}
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        at[text.text] = (float(text.get("x") or 0), float(text.get("y") or 0))
    assert at["2"][0] == pytest.approx(at["right"][0])
    assert at["2"][0] > at["1"][0]
    assert at["3"][1] > at["1"][1]
    assert at["down"][1] == pytest.approx(at["3"][1], abs=3)
    assert "up, right: 2" in svg
