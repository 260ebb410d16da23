"""What a screen reader finds on every page that we write."""

import re

import pytest
from html_page import Page
from results_example import example_results
from verification_example import verification_example, verification_tables

from fairjax.report import write_report
from fairjax.report.one_page import write_one_page
from fairjax.report.side_by_side import write_side_by_side


@pytest.fixture(scope="module", params=["verification", "attributes", "side by side", "summary"])
def text(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    one = verification_example()
    if request.param == "verification":
        write_report(path, title="One", results=one, tables=verification_tables())
    elif request.param == "attributes":
        write_report(path, title="One", results=example_results(), tables=[])
    elif request.param == "side by side":
        write_side_by_side(path, (one, one), ("old", "new"))
    else:
        write_one_page(path, one, title="One")
    return path.read_text()


def test_landmarks_and_language_are_there_once(text):
    page = Page(text)
    assert page.named("html") == [{"lang": "en"}]
    for tag in ("main", "header", "h1"):
        assert len(page.named(tag)) == 1, tag
    assert {} in page.named("title")  # those of figures have ids


def test_headings_descend_without_a_gap(text):
    levels = [int(tag[1]) for tag, _ in Page(text).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_name_that_is_referred_to_exists_once(text):
    page = Page(text)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "aria-describedby", "for"):
        for value in page.attributes(attribute):
            assert set(value.split()) <= set(ids), value
    assert {link[1:] for link in page.attributes("href") if link.startswith("#")} <= set(ids)


def test_every_figure_has_a_title_and_a_description(text):
    for svg in re.findall(r"<svg [^>]*class=\"plot\".*?</svg>", text, flags=re.DOTALL):
        assert 'role="img"' in svg and "aria-labelledby" in svg
        title, desc = (re.search(rf"<{t} [^>]*>([^<]+)</{t}>", svg) for t in ("title", "desc"))
        assert title and desc and len(desc[1]) > 10


def test_every_table_has_a_caption_and_scopes(text):
    for table in re.findall(r"<table>.*?</table>", text, flags=re.DOTALL):
        assert re.search(r"<caption[^>]*>[^<]+</caption>", table)
        assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", table))


def test_what_scrolls_can_be_reached_by_keys_and_has_a_name(text):
    for tag, attrs in Page(text).tags:
        if attrs.get("role") == "region":
            assert attrs.get("tabindex") == "0" and attrs.get("aria-label"), tag
