"""The page for somebody who decides and knows no statistics."""

import re
from dataclasses import replace

import pytest
from html_page import Page
from results_example import example_results
from verification_example import HOSTILE, verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.one_page import one_page, write_one_page

JARGON = ("p-value", "p ", "FNMR", "interval", "bootstrap", "hypothesis", "Holm", "σ")


@pytest.fixture(scope="module")
def shown():
    return verification_example()


def test_it_says_what_was_tested_the_answer_how_sure_and_what_is_missing(shown, tmp_path):
    path = tmp_path / "summary.html"
    write_one_page(path, shown, title="Gate 7", report="report.html")
    text = path.read_text()
    page = Page(text)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert headings == [
        "What was tested",
        "What goes wrong",
        "How sure is this?",
        "What is missing",
    ]
    assert re.search(r"<h1>Gate 7: does it work equally well", text)
    assert not page.named("script") and [a["href"] for a in page.named("a")] == ["report.html"]
    said = one_page(shown, title="Gate 7")
    assert said.answer.startswith(("No. It makes more errors", "No difference", "This cannot be"))
    assert said.answer in page.text


@pytest.mark.parametrize("results", [verification_example(), example_results()])
def test_its_words_are_those_of_everybody(results):
    said = one_page(results, title="It")
    parts = [*said.tested, *said.errors, *said.sure, *said.missing, said.answer]
    assert parts and not [word for word in JARGON for part in parts if word in part]


def test_an_operating_point_is_said_in_plain_words(shown):
    said = " ".join(one_page(shown, title="It").tested)
    assert "of all comparisons of two different people, 1 in" in said and "FMR" not in said


def test_an_operating_point_over_all_pairs_keeps_its_name(shown):
    measures = [replace(m, at=m.at and f"{m.at} of all pairs") for m in shown.measures]
    said = " ".join(one_page(replace(shown, measures=measures), title="It").tested)
    assert re.search(r"FMR 1e-\d of all pairs", said)


def test_images_of_failures_are_no_comparisons(shown):
    (attribute,) = {
        name for m in shown.measures for name in m.group if not name.startswith("other")
    }
    groups = [{}, *({attribute: name} for name in shown.protocol["groups"])]
    failures = [Measure("fta", 0.1, "fraction", 1234, group) for group in groups]
    more = replace(shown, measures=[*shown.measures, *failures])
    tested = one_page(shown, title="It").tested
    assert tested == one_page(more, title="It").tested
    assert any("comparisons of two pictures" in line for line in tested)


def test_groups_that_tie_for_an_end_are_not_ranked():
    at = {"at": "FMR 1e-3", "threshold": 0.5, "threshold_source": "given"}
    claim = {"across": "g", **at}
    names = ("fmr_equality_p_value", "fmr_equality_p_value_holm")
    tests = [Measure(name, 0.2, "fraction", 1000, **claim) for name in names]

    def errors(**rates):
        measures = [
            Measure("fmr", rate, "fraction", 1000, {"g": g}, n_errors=50, n_clusters=70, **at)
            for g, rate in rates.items()
        ]
        results = Results("verification", {"attribute": "g"}, [*measures, *tests], {}, [], {})
        return one_page(results, title="It").errors[0]

    assert "least often b and c, 10." in errors(a=0.004, b=0.001, c=0.001)
    assert "least often 3 groups, 10." in errors(a=0.004, b=0.001, c=0.001, d=0.001)
    assert "most often b, 40 in" in errors(a=0.001, b=0.004)
    assert ": alike in all groups, 10 in 10,000 comparisons." in errors(a=0.001, b=0.001)


def test_a_mean_error_is_large_not_often():
    said = [one for one in one_page(example_results(), title="It").errors if "years" in one]
    assert said and all("largest for" in one and "often" not in one for one in said)


def test_few_errors_and_what_no_audit_of_scores_sees_are_missing(shown):
    said = " ".join(one_page(shown, title="It").missing)
    assert "Few errors (under 30)" in said and "could not be taken" in said and "Attacks" in said


def test_names_from_a_file_stay_text(tmp_path):
    write_one_page(tmp_path / "s.html", verification_example(systems=("A & B", "C")), title=HOSTILE)
    text = (tmp_path / "s.html").read_text()
    assert HOSTILE in Page(text).text and "<script" not in text


def test_nothing_measured_is_said(shown, tmp_path):
    empty = Results("verification", {}, [], {}, [], {})
    assert one_page(empty, title="It").answer.startswith("This cannot be said")
    write_one_page(tmp_path / "s.html", replace(shown, measures=[]), title="It")
