"""Two evaluations on one page."""

import re
from dataclasses import replace

from html_page import Page
from verification_example import verification_example

from fairjax.core.results import Table
from fairjax.report.side_by_side import write_side_by_side


def page_of(tmp_path, first, second, **more):
    write_side_by_side(tmp_path / "both.html", (first, second), ("old", "new"), **more)
    return (tmp_path / "both.html").read_text()


def test_both_verdicts_figures_and_numbers_stand_side_by_side(tmp_path):
    one = verification_example()
    other = replace(one, measures=[replace(m, value=(m.value or 0) / 2) for m in one.measures])
    text = page_of(tmp_path, one, other, differences=[Table("Settings", ["what"], [["seed"]])])
    page = Page(text)
    assert "Two reports side by side" in page.text and "old beside new" in page.text
    assert text.count('class="plot"') == 4  # two rates of each
    assert "Numbers of both" in page.text and "seed" in page.text
    assert "They were measured on different pairs or people" in page.text


def test_the_same_people_are_pointed_to_the_paired_test(tmp_path):
    one = verification_example()
    same = replace(one, provenance={"pairs": "sha256:1"})
    assert "--paired" in page_of(tmp_path, same, same)


def test_a_single_system_beside_two_has_rows_of_its_own(tmp_path):
    text = page_of(tmp_path, verification_example(), verification_example(systems=("alpha", "b")))
    for heading in ("False matches", "False non-matches"):
        first, second = re.search(
            rf'<th scope="row">{heading}</th>\s*<td>(.*?)</td>\s*<td>(.*?)</td>', text
        ).groups()
        assert first.startswith(heading) and second == ""


def test_each_of_several_systems_has_its_own_numbers_and_figures(tmp_path):
    both = verification_example(systems=("alpha", "beta"))
    text = page_of(tmp_path, both, both)
    assert text.count('class="plot"') == 8  # two rates of two systems, on two sides
    page = Page(text)
    for system in ("alpha", "beta"):
        assert f"{system}: everyone" in page.text and f"{system}: False matches" in page.text
