from xml.etree import ElementTree

from html_page import SVG, svg_texts

from fairjax.report.drawing import lines
from fairjax.report.drawing.lines import Choice, Line

CHOICES = [
    Choice("Base", 90.0, 2.0, (89.0, 91.0), (1.5, 2.5), front=True),
    Choice("Other", 80.0, 3.0, None, None, front=False),
]


def test_curves_name_each_line_apart():
    both = [Line(name, [0, 10], [1.0, 0.5]) for name in ("train", "validation")]  # same ends
    svg = lines.curves("k", "t", both, x_axis="step")
    ys = [
        float(t.get("y"))
        for t in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if t.text in ("train", "validation")
    ]
    assert abs(ys[0] - ys[1]) >= 12
    assert "stroke-dasharray" in svg


def test_a_trade_off_names_every_choice_and_says_which_are_beaten():
    svg = lines.trade_off("k", "t", CHOICES, x_axis="Accuracy", y_axis="Spread")
    texts = svg_texts(svg)
    for number, choice in enumerate(CHOICES, 1):
        assert f"{number} {choice.name}" in texts
    (said,) = ElementTree.fromstring(svg).iter(f"{SVG}desc")
    assert "Base: Accuracy 90, Spread 2;" in said.text
    assert "Other: Accuracy 80, Spread 3, beaten by another." in said.text
