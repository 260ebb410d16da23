import pytest
from results_example import example_results

from fairjax.core.results import Measure, Results
from fairjax.report.attributes import summary


def results_of(*measures: Measure) -> Results:
    return Results("attributes", {"name": "toy"}, measures, {}, [], {})


def rate(value, *, n_errors=50, name="x_fpr", **group):
    return Measure(name, value, "fraction", n=500, group=group, n_errors=n_errors)


def gap(value, floor=None):
    more = {"unit": "fraction", "n": 1000, "across": "g"}
    made = [Measure("x_fpr_difference", value, interval=(0.05, 0.15), level=0.9, **more)]
    return made + ([Measure("x_fpr_difference_noise_floor", floor, **more)] if floor else [])


def test_worst_depends_on_the_direction_of_the_measure():
    rates = [rate(0.2, g="a"), rate(0.1, g="b"), rate(None, g="c"), rate(0.3, g="d")]
    assert [m.group["g"] for m in summary.worst_to_best(rates)] == ["d", "a", "b"]
    accuracies = [rate(m.value, name="x_accuracy", **m.group) for m in rates]
    assert [m.group["g"] for m in summary.worst_to_best(accuracies)] == ["b", "a", "d"]
    unknown = [rate(m.value, name="x_base_rate", **m.group) for m in rates]
    assert summary.worst_to_best(unknown) == []


def test_a_gap_above_its_noise_floor_is_said_to_exceed_it():
    measures = results_of(rate(0.2, g="a"), rate(0.1, g="b"), *gap(0.1, floor=0.04))
    (finding,) = summary.findings(measures)
    assert finding.verdict == "beyond"
    assert finding.title == "X false positive rate by g"
    assert finding.text == (
        "Worst for a (20.0%), best for b (10.0%): a gap of 10.0 points (90% interval 5.0 to 15.0). "
        "Equal groups of these sizes show up to 4.0 points by chance."
    )


def test_a_gap_within_its_noise_floor_is_not_claimed():
    measures = results_of(rate(0.2, g="a"), rate(0.1, g="b"), *gap(0.1, floor=0.12))
    (finding,) = summary.findings(measures)
    assert finding.verdict == "within"
    assert "can't tell this gap from none" in finding.text
    assert "0 exceed the noise floor" in summary.lead(measures)


def test_a_gap_without_a_noise_floor_is_left_open():
    (finding,) = summary.findings(results_of(rate(0.2, g="a"), rate(0.1, g="b"), *gap(0.1)))
    assert finding.verdict == "open"
    assert "chance is not ruled out" in finding.text


def test_groups_with_few_errors_are_named():
    measures = results_of(rate(0.2, g="a", n_errors=29), rate(0.1, g="b"), *gap(0.1, floor=0.04))
    (finding,) = summary.findings(measures)
    assert finding.text.endswith("Few errors stand behind the number of a.")


def test_findings_begin_with_the_clearest():
    found = summary.findings(example_results())
    assert found[0].title == "Race accuracy by race"
    assert [f.verdict for f in found] == ["beyond"] * 9 + ["within"] * 3


def test_the_lead_counts_what_the_findings_say():
    lead = summary.lead(example_results())
    assert (
        "Over 3,021 examples (protocol utkface, test split): age mean absolute error 6.40 years"
        in lead
    )
    assert "Of 12 gaps between groups, 9 exceed the noise floor" in lead
    assert "The clearest is race accuracy by race." in lead


def test_words_stay_careful():
    results = example_results()
    text = " ".join([summary.lead(results), *(f.text for f in summary.findings(results))]).lower()
    for word in ("bias", "discriminat", "fair", "solved", "significan"):
        assert word not in text


def test_cards_hold_headline_numbers_and_their_ends():
    cards = summary.cards(example_results())
    assert [card.name for card in cards[:2]] == ["Age mean absolute error", "Gender accuracy"]
    assert cards[1].value == "89.3%"
    assert cards[1].interval.startswith("95% interval 88.")
    assert cards[1].ends[0] == ("race", "Asian 82.7", "Black 91.3")


@pytest.mark.parametrize(
    ("name", "base", "suffix"),
    [
        ("x_fpr_difference_noise_floor", "x_fpr", "difference_noise_floor"),
        ("x_fpr_std_over_mean", "x_fpr", "std_over_mean"),
        ("x_equalized_odds_mean_difference", "x_equalized_odds_mean", "difference"),
        ("garbe", "garbe", ""),
    ],
)
def test_summaries_over_groups_are_told_from_their_base(name, base, suffix):
    found = summary.across_groups(results_of(Measure(name, 0.1, "fraction", n=9, across="g")))
    assert list(found["g"]) == [base]
    assert list(found["g"][base]) == [suffix]


def test_nothing_is_said_of_nothing():
    empty = results_of()
    assert summary.lead(empty) == ""
    assert summary.cards(empty) == summary.findings(empty) == []
