"""The theme: every colour is legible on its ground, by day and by night."""

import pytest

from fairjax.report.drawing.svg import PALETTE


def luminance(rgb):
    """WCAG 2.2, relative luminance of sRGB values in [0, 255]."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_marks_have_the_contrast_that_wcag_asks_for(theme):
    for ground in ("paper", "page"):
        back = rgb(PALETTE[ground][theme])
        for name in PALETTE:
            if name not in ("line", "paper", "page"):  # groups are named in their colours
                assert contrast(rgb(PALETTE[name][theme]), back) >= 4.5, (name, ground)


@pytest.mark.parametrize("theme", [0, 1])
def test_numbers_are_legible_on_the_strongest_cell_of_a_heat_map(theme):
    accent, paper = (rgb(PALETTE[name][theme]) for name in ("accent", "paper"))
    strongest = [0.53 * a + 0.47 * p for a, p in zip(accent, paper, strict=True)]
    assert contrast(rgb(PALETTE["ink"][theme]), strongest) >= 4.5
