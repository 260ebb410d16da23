import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, write
from verification_example import GROUPS, HOSTILE, verification_example, verification_tables

from fairjax.core.comparisons import UNKNOWN, Comparisons
from fairjax.core.results import Measure, Results, load_results, save_results
from fairjax.protocols.verification import core as verification
from fairjax.report.wording import times

SECTIONS = [
    "summary",
    "gaps",
    "rates",
    "curves",
    "matrix",
    "indices",
    "accuracy",
    "scores",
    "adequacy",
    "tables",
    "method",
    "standards",
    "limits",
    "provenance",
    "numbers",
]
WITHOUT_TABLES = [s for s in SECTIONS if s != "tables"]
TWO_SYSTEMS = [*WITHOUT_TABLES[:7], "systems", *WITHOUT_TABLES[7:]]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return write(
        tmp_path_factory.mktemp("full"), verification_example(), tables=verification_tables()
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write(tmp_path_factory.mktemp("two"), verification_example(systems=("A & B", "C")))


def sections(page):
    return re.findall(r'<section id="([\w-]+)"', page)


def scripts(page):
    return re.findall(r"<script([^>]*)>(.*?)</script>", page, flags=re.DOTALL)


def test_every_part_is_there_in_order(full, two):
    assert sections(full) == SECTIONS
    assert sections(two) == TWO_SYSTEMS


def test_it_loads_nothing_and_runs_one_script_of_our_own_that_its_policy_names(full):
    page = Page(full)
    assert not page.named("link") + page.named("img") + page.named("iframe")
    assert not page.attributes("src") and not re.search(r"@import|url\((?!#)", full)
    assert all(link.startswith("#") for link in page.attributes("href"))
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    run = [body for attributes, body in scripts(full) if "application/json" not in attributes]
    assert len(run) == 1
    for forbidden in ("eval", "innerHTML", "fetch", "XMLHttp", "import(", "http", "Function("):
        assert forbidden not in run[0]
    (policy,) = [m["content"] for m in page.named("meta") if "http-equiv" in m]
    digest = base64.b64encode(hashlib.sha256(run[0].encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'"
    )
    assert len(full) < 1_500_000


def test_the_data_of_the_slider_cannot_leave_its_script_element(full):
    page = Page(full)
    assert len(page.named("script")) == 2  # the hostile group's name opens no third
    (data,) = [body for attributes, body in scripts(full) if "application/json" in attributes]
    assert "<" not in data and ">" not in data and data.isascii()
    assert [group["name"] for group in json.loads(data)["groups"]] == list(GROUPS)


def test_the_slider_is_native_and_without_script_the_bars_stand_alone(full):
    page = Page(full)
    (slider,) = page.named("input")
    assert slider["type"] == "range"
    assert [attrs["for"] for attrs in page.named("label")] == [slider["id"]]
    assert [attrs["type"] for attrs in page.named("button")] == ["button"] * 2
    assert page.attributes("aria-live") == ["polite"]
    data = json.loads(next(b for a, b in scripts(full) if "json" in a))
    assert int(slider["value"]) == data["points"][0]["place"]
    assert int(slider["max"]) == len(data["thresholds"]) - 1
    css = full[full.index("<style>") : full.index("</style>")]
    assert ".live { display: none;" in css and ".scripted > .live { display: block; }" in css
    printed = css[css.index("@media print") :]
    assert ".scripted > .live, .mark { display: none; }" in printed
    first_screen = full[full.index('<section id="summary"') : full.index("</section>")]
    assert "687 of 24,000" in first_screen and "<svg" in first_screen  # the bars


def test_the_first_screen_comes_in_order_verdict_reasons_bars_slider(full):
    first = full[full.index('<section id="summary"') : full.index("</section>")]
    places = [
        first.index(text)
        for text in (
            "Shown to differ between groups: false matches.",
            "This is more than chance explains.",
            '<ul class="cards">',
            'type="range"',
            "What these data cannot say",
        )
    ]
    assert places == sorted(places)


def test_what_is_long_is_folded_and_what_a_reviewer_needs_is_printed(full):
    keys = re.findall(r'<section id="([\w-]+)"[^>]*>\s*<details([^>]*)>', full)
    folded = {key for key, attributes in keys if "open" not in attributes}
    assert {"curves", "matrix", "indices", "method", "numbers"} <= folded
    printed = {key for key, attributes in keys if "printed" in attributes}
    assert {"gaps", "rates", "curves", "matrix", "indices", "adequacy", "method"} <= printed
    css = full[full.index("@media print") : full.index("</style>")]
    assert ".printed::details-content { content-visibility: visible;" in css


def test_a_screen_reader_finds_its_way(two):
    page = Page(two)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = Counter(page.attributes("id"))
    assert max(ids.values()) == 1
    wanted = [i for value in page.attributes("aria-labelledby") for i in value.split()]
    wanted += [link[1:] for link in page.attributes("href")] + page.attributes("for")
    assert set(wanted) <= set(ids)
    assert len(page.named("caption")) == len(page.named("table"))
    assert {th["scope"] for th in page.named("th")} == {"col", "row"}
    cards = re.findall(r'<ul class="cards">.*?</ul>', two, flags=re.DOTALL)[0].count("<svg")
    assert len(page.named("figcaption")) == len(page.named("figure"))
    assert len(page.named("svg")) == len(page.named("figure")) + cards


def test_the_minimum_report_is_there(full):
    text = Page(full).text
    results = verification_example()
    fmr = results.get("fmr", at="FMR 1e-3", race="African")
    for said in (
        "at threshold 0.3867 (FMR 1e-3, from all non-mated pairs)",
        f"{fmr.n_errors} of",
        "African, Asian: 0.022 0.016 to 0.031 2 of 9,000",  # the matrix in words
        "South-East Asian and Pacific Islander: – no pair",
        "FMR: largest over geometric mean",
        "Fairness discrepancy rate",
        "GARBE, Gini of both rates",
        "Inequity rate",
        "Worst error rate multiplier",
        "▲ Differs between groups",
        "design effect, FMR",
        "lowest FMR backed",
        "annotators' guess",
        "probit axes",
        "insufficient data: 1e-6 needs 1000000 pairs",
        "sha256:5f3a",
    ):
        assert " ".join(said.split()) in " ".join(text.split()), said


def test_a_raw_measure_that_is_undefined_stands_beside_its_smoothed_twin(two):
    text = Page(two).text
    assert "undefined (0 errors in group South-East Asian and Pacific Islander)" in text
    assert "FNMR: largest over smallest, smoothed" in text


def test_hostile_names_stay_text(two):
    page = Page(two)
    assert page.text.count(HOSTILE) > 20
    assert len(page.named("script")) == 3


def test_two_systems_are_compared_pair_by_pair(two):
    assert "C minus A &amp; B: False match rate, change at FMR 1e-2" in two
    assert "C minus A &amp; B: change of the summaries" in two


def test_results_read_back_from_a_file_give_the_same_page(full, tmp_path):
    save_results(tmp_path / "results.json", verification_example())
    results = load_results(tmp_path / "results.json")
    assert write(tmp_path, results, tables=verification_tables()) == full


def test_what_is_absent_leaves_no_heading_and_no_slider(tmp_path: Path):
    one = Results("verification", {}, [Measure("fmr", 0.001, "fraction", 9)], {}, [], {})
    page = write(tmp_path, one)
    assert sections(page) == ["summary", "provenance", "numbers"]
    assert len(scripts(page)) == 1 and "aria-valuetext" not in page
    assert "0.1%" in page


def comparisons(groups, *, mated=400, nonmated=4000, people=60, shift=0.0):
    """Normal scores of random pairs; the first group's non-mated ones lie higher."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, len(groups), people) if groups else np.full(people, UNKNOWN)
    one = rng.integers(0, people, mated + nonmated)
    other = (one + rng.integers(1, people, mated + nonmated)) % people
    is_mated = np.arange(mated + nonmated) < mated
    subject = np.stack([one, np.where(is_mated, one, other)], axis=1)
    higher = 0.1 * (group[subject] == 0).all(axis=1) + shift
    score = rng.normal(np.where(is_mated, 0.6, 0.1 + higher), 0.1)
    fold = np.arange(len(score)) % 10
    return Comparisons(score, is_mated, subject, group[subject], groups, fold)


def evaluated(**systems):
    return verification.measure_comparisons(
        systems,
        attribute="race",
        fmrs=(1e-2, 1e-6),
        thresholds=(0.5,),
        resamples=40,
        level=0.95,
        seed=0,
        limits=["Made-up people."],
        tolerances={"fmr_max_over_min": 2.0},
        accuracies=("insightface",),
    )


def test_what_the_protocol_gives_fills_the_page(tmp_path):
    groups = ("one", "two", HOSTILE)
    results = evaluated(Plain=comparisons(groups), Moved=comparisons(groups, shift=0.05))
    page = write(tmp_path, results)
    assert sections(page) == [s for s in TWO_SYSTEMS if s != "matrix" or results.arrays["matrix"]]
    text = Page(page).text
    worst = results.get("fmr", at="FMR 1e-2", system="Plain", race="one")
    assert f"one people are taken for each other {times(worst.value, 10_000)} times" in text
    assert f"{worst.n_errors} of {worst.n}" in text
    assert "at threshold 0.5 (given)" in text
    assert "FMR 1e-6: insufficient data" in text
    ratio = results.get("fmr_max_over_min", across="race", at="FMR 1e-2", system="Plain")
    assert f"{ratio.value:.2f}" in text and "against a tolerance of 2.00" in text


@pytest.mark.parametrize(
    "given",
    [
        {"groups": ()},
        {"groups": ("all",)},
        {"groups": ("a", "b", "c"), "mated": 20, "nonmated": 20, "people": 5},
        {"groups": ("a", "b"), "mated": 0},
    ],
    ids=["no groups", "one group", "hardly a pair", "no mated pair"],
)
def test_audits_that_lack_something_are_reported_all_the_same(given, tmp_path):
    results = evaluated(**{"": comparisons(**given)})
    page = Page(write(tmp_path, results))
    assert "pairs of images" in page.text
    assert "nan" not in page.text.lower().split()
    for svg in page.named("svg"):
        assert svg["aria-labelledby"]
