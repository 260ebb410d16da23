import pytest

from fairjax.core.results import Measure
from fairjax.report.wording import (
    comparisons_per,
    describe,
    digits,
    listed,
    more_is_better,
    number,
    parts_of,
    printable,
    span,
    times,
)


@pytest.mark.parametrize(
    ("name", "words", "better"),
    [
        ("gender_accuracy", "Gender accuracy", True),
        ("gender_fpr", "Gender false positive rate", False),
        ("age_mae", "Age mean absolute error", False),
        ("fnmr", "False non-match rate", False),
        ("race_balanced_accuracy", "Race balanced accuracy", True),
        ("age_base_rate", "Age labelled positive", None),
        ("something_else", "Something else", None),
        ("tmr", "True match rate", True),
        ("fmr_max_over_min", "False match rate: largest over smallest", None),
        ("fmr_change", "False match rate, change", None),
        ("accuracy_insightface", "Accuracy, insightface", True),
        ("accuracy_std", "Accuracy: standard deviation over groups", None),
        ("fairness_discrepancy_rate", "Fairness discrepancy rate", True),
        ("inequity_rate", "Inequity rate", False),
    ],
)
def test_a_name_is_read_by_its_longest_known_suffix(name, words, better):
    assert describe(name) == words
    assert more_is_better(name) is better


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0642, "fraction", "6.4%"),
        (1.0, "fraction", "100.0%"),
        (0.0, "fraction", "0.0%"),
        (0.00123, "fraction", "0.12%"),
        (0.00998, "fraction", "1.0%"),
        (0.0000456, "fraction", "0.0046%"),  # a false match rate keeps two digits
        (6.404, "years", "6.40 years"),
        (1.5, "ratio", "1.50"),
        (12345, "count", "12,345"),
        (None, "fraction", "undefined"),
    ],
)
def test_numbers_are_rounded_for_a_reader(value, unit, text):
    assert number(value, unit) == text


def test_differences_of_rates_are_percentage_points():
    assert number(0.088, "fraction", difference=True) == "8.8 points"
    assert number(3.4, "years", difference=True) == "3.40 years"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fmr", ("fmr", "", "")),
        ("fmr_gini", ("fmr", "gini", "")),
        ("gender_fpr_std_over_mean", ("gender_fpr", "std_over_mean", "")),
        ("fmr_max_over_geomean_smoothed", ("fmr", "max_over_geomean", "smoothed")),
        ("fmr_gini_smoothed_noise_floor", ("fmr", "gini", "smoothed_noise_floor")),
        ("garbe_p_value_holm", ("garbe", "", "p_value_holm")),
        ("fnmr_difference_change", ("fnmr", "difference", "change")),
    ],
)
def test_a_name_is_taken_apart(name, parts):
    assert parts_of(name) == parts


def test_a_smoothed_floor_is_said_to_be_both():
    said = describe("fnmr_gini_smoothed_noise_floor")
    assert said == "False non-match rate: Gini coefficient, smoothed, noise floor"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.38, "0.380"), (0.98765, "0.988"), (0.999876, "0.99988"), (1.0, "1"), (None, "–")],
)
def test_an_index_near_one_keeps_its_digits(value, text):
    assert digits(value, "index") == text


def test_names_are_listed_as_in_a_sentence():
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_a_span_has_no_unit_and_may_be_absent():
    assert span((0.059, 0.069), "fraction") == "5.9 to 6.9"
    assert span(None, "years") == ""


def test_thin_counts_errors_where_they_are_counted_and_examples_elsewhere():
    assert Measure("a_fpr", 0.1, "fraction", n=900, n_errors=29).is_thin
    assert not Measure("a_fpr", 0.1, "fraction", n=900, n_errors=30).is_thin
    assert Measure("a_mae", 5.0, "years", n=29).is_thin
    assert not Measure("a_mae", 5.0, "years", n=30).is_thin


@pytest.mark.parametrize(
    ("rates", "per"),
    [([0.2, 0.01], 100), ([0.0302], 10_000), ([4e-5, 0.0], 1_000_000), ([], 10**8)],
)
def test_errors_are_counted_so_that_the_highest_rate_gives_ten(rates, per):
    assert comparisons_per(rates) == per


def test_expected_errors_are_rounded_half_up_as_the_slider_does():
    assert times(0.03025, 10_000) == "303"
    assert times(0.00035, 10_000) == "3.5"
    assert times(0.0, 10_000) == "0"
    assert times(0.2, 10_000) == "2,000"


def test_printable_text_holds_no_control_characters_and_keeps_letters():
    assert printable("a\x1b[31mb\x00\u202ec") == "a\ufffd[31mb\ufffd\ufffdc"
    assert printable("one\ntwo\tthree") == "one two three"
    assert printable("日本 Ωmega ñ") == "日本 Ωmega ñ"
    assert printable("\udc80") == "\ufffd"
    assert printable("abcdef", limit=4) == "abc…"
    assert printable("abcd", limit=4) == "abcd"
