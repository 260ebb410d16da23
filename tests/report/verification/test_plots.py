import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fairjax.core.results import Measure
from fairjax.report.drawing.marks import pushed_apart
from fairjax.report.verification import plots as plots
from fairjax.report.verification.plots import EVERYONE, LINEAR, LOG, PROBIT, Curve

SVG = "{http://www.w3.org/2000/svg}"
AXES = {"x": ("FMR", PROBIT), "y": ("FNMR", PROBIT)}


def curve(name="A", *, backed=(True, True, True, False, False), dots=((0.01, 0.05),)):
    return Curve(name, [0.2, 0.05, 0.01, 0.001, 0.0], [0.01, 0.02, 0.05, 0.1, 0.2], backed, dots)


def det(*curves):
    return plots.trade_off("key", "title", curves, **AXES)[0]


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lines(svg, width="1.7"):
    """The drawn curves: (points, dashed)."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        style = path.get("style") or ""
        if f"stroke-width: {width}" in style:
            numbers = re.findall(r"[-\d.]+", path.get("d"))
            points = np.array(numbers, float).reshape(-1, 2)
            found.append((points, "stroke-dasharray" in style))
    return found


def test_a_det_is_drawn_on_normal_deviates():
    (solid, dashed), (rest, also) = lines(det(curve()))
    assert (dashed, also) == (False, True)
    points = np.concatenate([solid, rest[1:]])
    assert len(points) == 4  # an FMR of 0 has no place on the axis
    for column, sign, rates in ((0, 1, [0.2, 0.05, 0.01, 0.001]), (1, -1, [0.01, 0.02, 0.05, 0.1])):
        deviates = [PROBIT.position(r) for r in rates]
        ratio = np.diff(points[:, column]) / np.diff(deviates) * sign
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
        assert ratio[0] > 0
    assert PROBIT.position(0.5) == pytest.approx(0.0)
    assert PROBIT.position(0.025) == pytest.approx(-1.959964, abs=1e-6)


def test_it_is_dashed_exactly_where_fewer_than_thirty_errors_stand_behind_it():
    assert [d for _, d in lines(det(curve(backed=[True] * 5)))] == [False]
    assert [d for _, d in lines(det(curve(backed=[False] * 5)))] == [True]
    both_ends = [False, True, True, False, False]
    assert [d for _, d in lines(det(curve(backed=both_ends)))] == [True, False, True]


def test_the_thirty_error_point_is_hollow_and_the_operating_point_filled():
    assert "var(--paper" in det(curve())
    assert "var(--paper" not in det(curve(backed=[True] * 5))
    assert det(curve(dots=())).count("<use") < det(curve()).count("<use")


def test_every_curve_is_named_beside_the_plot_in_its_colour_and_apart():
    made = [curve("A"), curve("B"), curve("C", dots=()), curve(EVERYONE)]
    root = ElementTree.fromstring(det(*made))
    at = {t.text: float(t.get("y")) for t in root.iter(f"{SVG}text") if t.get("y")}
    heights = sorted(at[name] for name in ("A", "B", "C", EVERYONE))
    assert np.diff(heights).min() >= 13
    assert {"--group-0", "--group-1", "--group-2", "--ink"} <= set(
        re.findall(r"var\((--[\w-]+)", det(*made))
    )


def test_the_description_says_where_the_operating_points_are():
    desc = ElementTree.fromstring(det(curve(), curve("B", dots=()))).find(f"{SVG}desc").text
    assert desc == "A: FNMR 5.0% at FMR 1.0%; B: no operating point."


def test_thresholds_lie_where_the_axis_says():
    over = Curve("A", [0.0, 0.5, 1.0], [1.0, 0.1, 0.01], [True] * 3, [(0.5, 0.1)])
    svg, axis = plots.trade_off(
        "k", "t", [over], x=("threshold", LINEAR), y=("FMR", LOG), guides={"FMR 1e-1": 0.5}
    )
    root = ElementTree.fromstring(svg)
    width, height = map(float, root.get("viewBox").split()[2:])
    ((points, _),) = lines(svg)
    share = (0.5 - axis.low) / (axis.high - axis.low)
    place = axis.left + share * (axis.right - axis.left)
    assert points[1, 0] == pytest.approx(place / 100 * width, abs=0.1)
    assert axis.top / 100 * height < points[:, 1].min()
    assert points[:, 1].max() < (1 - axis.bottom / 100) * height
    assert "FMR 1e-1" in texts(svg)


def test_ticks_never_touch():
    wide = Curve("A", [1e-7, 0.5], [1e-7, 0.5], [True, True], ())
    root = ElementTree.fromstring(det(wide))
    ticks = [t for t in root.iter(f"{SVG}text") if (t.text or "").endswith("%")]
    assert len(ticks) >= 6
    bottom = max(float(t.get("y")) for t in ticks)
    xs = sorted(float(t.get("x")) for t in ticks if float(t.get("y")) == bottom)
    assert min(np.diff(xs)) > 25


def test_histograms_tell_mated_from_non_mated_by_line_and_hatching():
    groups = {"A": ([0, 1, 3], [4, 1, 0]), "B": ([0, 2, 2], [0, 0, 0])}
    svg = plots.histograms("k", "t", [0.0, 0.3, 0.6, 0.9], groups, [0.5])
    assert "<pattern" in svg
    desc = ElementTree.fromstring(svg).find(f"{SVG}desc").text
    assert desc == (
        "A: 4 mated pairs, mean score 0.68; 5 non-mated, mean score 0.21; "
        "B: 4 mated pairs, mean score 0.60; 0 non-mated, mean score undefined."
    )


@pytest.mark.parametrize(
    ("interval", "clear"), [((0.01, 0.03), True), ((-0.03, -0.01), True), ((-0.01, 0.03), False)]
)
def test_a_change_is_set_off_only_where_its_interval_leaves_out_zero(interval, clear):
    m = Measure("fmr_change", 0.01, "fraction", 9, {"g": "A"}, interval=interval, level=0.95)
    assert ("var(--warn" in plots.change("k", "t", [m])) is clear


def test_changes_lie_on_both_sides_of_zero():
    values = [-0.02, 0.0, 0.02]
    made = [Measure("fmr_change", v, "fraction", 9, {"g": str(v)}) for v in values]
    svg = plots.change("k", "t", made)
    dots = [float(u.get("x")) for u in ElementTree.fromstring(svg).iter(f"{SVG}use")][-3:]
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1], rel=1e-3)
    assert dots[0] < dots[1]


@pytest.mark.parametrize("wanted", [[5.0, 5.0, 5.0], [99.0, 98.0, 97.0], [0.0, 50.0, 100.0]])
def test_labels_keep_their_distance_order_and_place(wanted):
    heights = pushed_apart(wanted, 10, 100)
    assert min(abs(a - b) for k, a in enumerate(heights) for b in heights[:k]) >= 10 - 1e-9
    assert max(heights) <= 100
    assert np.argsort(heights, kind="stable").tolist() == np.argsort(wanted, kind="stable").tolist()


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "$x$", "日本" * 40])
def test_any_name_from_a_file_is_drawn_as_text(name):
    for svg in (
        det(curve(name)),
        plots.histograms("k", name, [0.0, 1.0], {name: ([1], [1])}, []),
        plots.change("k", name, [Measure("x_change", 0.1, "fraction", 1, {"g": name})]),
    ):
        root = ElementTree.fromstring(svg)
        assert root.find(".//{*}script") is None
        assert any((text or "")[:3] == name[:3] for text in texts(svg))


def test_logarithmic_scales_leave_out_zero():
    assert LOG.position(0.01) == pytest.approx(-2)
    with pytest.raises(ValueError, match="math domain"):
        LOG.position(0.0)
    assert math.isfinite(LINEAR.position(0.0))
