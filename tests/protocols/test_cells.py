"""Numbers as text."""

import pytest

from fairjax.core.results import Measure
from fairjax.protocols.cells import cell, p_text, plain


def test_fractions_are_percents_and_thin_ones_are_marked():
    rate = Measure("fmr", 0.01234, "fraction", 100, n_errors=31, interval=(0.01, 0.02))
    assert cell(rate) == "1.2 [1.0, 2.0]"
    assert cell(rate, percent=".3g") == "1.23 [1, 2]"
    assert cell(Measure("fmr", 0.5, "fraction", 100, n_errors=3)) == "50.0*"
    assert cell(Measure("ratio", 2.3456, "ratio", 100), ratio=".4g") == "2.346"


def test_what_is_undefined_is_a_dash():
    assert cell(None) == cell(Measure("fmr", None, "fraction", 0)) == plain(None, "ratio") == "–"


@pytest.mark.parametrize(("p", "text"), [(None, "–"), (0.0005, "0.0005"), (0.0312, "0.03")])
def test_p_values_keep_the_digits_that_matter(p, text):
    assert p_text(p) == text
