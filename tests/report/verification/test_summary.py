import pytest
from verification_example import verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.verification import summary as summary
from fairjax.report.verification.summary import judged_against_chance

AT = {"at": "FMR 1e-3", "threshold": 0.5, "threshold_source": "all non-mated pairs"}


def rate(name, value, *, n_errors=50, n=1000, **group):
    return Measure(name, value, "fraction", n, group, n_errors=n_errors, n_clusters=70, **AT)


def spread(name, value, unit="ratio", **more):
    return Measure(name, value, unit, 1000, across="g", **AT, **more)


def audit(*measures, **arrays):
    protocol = {"name": "toy", "attribute": "g"}
    return Results("verification", protocol, measures, arrays, [], {})


def rates(high=0.004, low=0.001, **more):
    return [
        rate("fmr", 0.001),
        rate("fnmr", 0.02),
        rate("fmr", high, g="a", **more),
        rate("fmr", low, g="b"),
        rate("fmr", None, n=0, g="c"),
    ]


def test_the_lead_says_what_was_compared_at_which_threshold_and_who_pays():
    floor = spread("fmr_max_over_min_noise_floor", 1.5)
    said = summary.lead(audit(*rates(), spread("fmr_max_over_min", 4.0), floor)).splitlines()
    assert said == [
        "2,000 pairs of images of 70 people in 3 groups (g) were compared under the protocol toy: "
        "1,000 show one person (mated), 1,000 two (non-mated).",
        "The system accepts a pair whose score is at least 0.5 (FMR 1e-3, from all non-mated "
        "pairs): it takes 0.1% of non-mated pairs for one person and 2.0% of mated pairs for two "
        "people. "
        "False matches fall most on a (0.4%), 4 times the rate of b (0.1%): more than chance "
        "explains.",
    ]


@pytest.mark.parametrize(
    ("floor", "verdict", "words"),
    [
        (
            1.5,
            "beyond",
            "Equal groups of these sizes show up to 1.50 by chance; p 0.001 after Holm.",
        ),
        (9.0, "within", "These data can't tell this gap from none."),
        (None, "open", "No noise floor was computed: chance is not ruled out."),
    ],
)
def test_a_factor_is_judged_by_its_noise_floor(floor, verdict, words):
    made = [*rates(), spread("fmr_max_over_min", 4.0, interval=(2.0, 7.0), level=0.9)]
    if floor:
        made.append(spread("fmr_max_over_min_noise_floor", floor))
        made.append(spread("fmr_max_over_min_p_value_holm", 0.001, "fraction"))
    (finding,) = summary.findings(audit(*made))
    assert finding.verdict == verdict
    assert finding.title == "False match rate by g at FMR 1e-3"
    assert finding.text.startswith("Highest for a (0.4%), 4 times the rate of b (0.1%).")
    assert words in finding.text
    assert ("Largest over smallest: 4.00 (90% interval 2.00 to 7.00)." in finding.text) is bool(
        floor
    )


def test_an_undefined_factor_is_judged_smoothed_and_no_group_is_dropped():
    made = [
        *rates(low=0.0),
        spread("fmr_max_over_min", None, note="undefined (0 errors in group b)"),
        spread("fmr_max_over_min_smoothed", 9.0),
        spread("fmr_max_over_min_smoothed_noise_floor", 3.0),
    ]
    (finding,) = summary.findings(audit(*made))
    assert finding.verdict == "beyond"
    assert finding.text.startswith("Highest for a (0.4%), against b (0.0%).")
    assert "Largest over smallest, smoothed: 9.00" in finding.text


def test_few_errors_are_owned_up_to():
    (finding,) = summary.findings(audit(*rates(n_errors=29)))
    assert finding.text.endswith("Few errors stand behind the number of a.")
    assert "(few errors behind a)" in summary.lead(audit(*rates(n_errors=29)))


@pytest.mark.parametrize(
    ("name", "value", "interval", "note", "text"),
    [
        (
            "fmr_max_over_min",
            7.0,
            (5.0, 10.0),
            "",
            "7.00 (95% interval 5.00 to 10.00) against a tolerance of 0.50.",
        ),
        (
            "fnmr_difference",
            0.6,
            (0.1, 0.9),
            "",
            "60.0 points (95% interval 10.0 to 90.0) against a tolerance of 50.0 points.",
        ),
        (
            "garbe",
            0.6,
            (0.1, 0.9),
            "",
            "0.600 (95% interval 0.100 to 0.900) against a tolerance of 0.500.",
        ),
        (
            "fmr_max_over_min",
            None,
            None,
            "undefined (0 errors in group b)",
            "undefined against a tolerance of 0.50. Undefined (0 errors in group b).",
        ),
    ],
)
def test_a_verdict_is_told_in_the_unit_of_its_summary(name, value, interval, note, text):
    unit = "ratio" if name == "fmr_max_over_min" else "fraction"
    m = spread(name, value, unit, interval=interval, level=0.95, note=note)
    verdict = {"measure": name, "at": "FMR 1e-3", "tolerance": 0.5, "verdict": "inconclusive"}
    (finding,) = summary.findings(audit(m, verdicts=[verdict]))
    assert (finding.text, finding.verdict) == (text, "open")


def test_verdicts_on_tolerances_come_first():
    found = summary.findings(verification_example())
    assert [f.badge for f in found[:3]] == [
        "▲ Exceeds the tolerance",
        "? Inconclusive",
        "○ Within the tolerance",
    ]
    assert found[0].title == "False match rate: largest over smallest at FMR 1e-2"


def test_what_the_data_cannot_say_names_the_groups_with_their_counts():
    said = summary.unresolved(audit(*rates(n_errors=29)))
    assert said == [
        "FMR 1e-3: fewer than 30 errors stand behind the false match rate of a (29).",
        "FMR 1e-3: no pair speaks about the false match rate of c.",
    ]
    assert "FMR 1e-6: insufficient data: 1e-6 needs 1000000 pairs." in (
        summary.unresolved(verification_example())
    )


@pytest.mark.parametrize(
    ("name", "value", "floor", "beyond"),
    [
        ("garbe", 0.3, 0.2, True),
        ("garbe", 0.2, 0.3, False),
        ("fairness_discrepancy_rate", 0.98, 0.99, True),  # 1 is best: the floor is a lower one
        ("fairness_discrepancy_rate", 0.995, 0.99, False),
        ("garbe", None, 0.2, None),
    ],
)
def test_beyond_chance_is_on_the_bad_side(name, value, floor, beyond):
    floor = Measure(f"{name}_noise_floor", floor, "ratio", 9)
    assert judged_against_chance(Measure(name, value, "ratio", 9), floor) is beyond
    assert judged_against_chance(Measure(name, value, "ratio", 9), None) is None


def test_cards_hold_the_first_operating_point_and_what_needs_none():
    cards = summary.cards(verification_example())
    assert [card.name for card in cards][:3] == [
        "False match rate at FMR 1e-2",
        "False non-match rate at FMR 1e-2",
        "Accuracy",
    ]
    assert cards[0].ends == [("race", "African 2.9", "Caucasian 0.47")]


def test_an_accuracy_that_exists_by_group_alone_is_told_as_their_mean():
    by_group = [
        Measure("accuracy", v, "fraction", 9, {"g": g}) for g, v in (("a", 0.9), ("b", 1.0))
    ]
    mean = Measure("accuracy_mean", 0.95, "fraction", 18, across="g")
    (card,) = summary.cards(audit(*by_group, mean))
    assert (card.name, card.value) == ("Accuracy: mean over groups", "95.0%")
    assert card.ends == [("g", "a 90.0", "b 100.0")]


def test_several_systems_are_told_apart_and_their_changes_counted():
    results = verification_example(systems=("A", "B"))
    said = summary.lead(results).splitlines()
    assert said[0].endswith("2 systems scored them: A and B.")
    assert said[1].startswith("A accepts a pair") and said[2].startswith("B accepts a pair")
    changes = [m for m in results.measures if m.system == "B minus A"]
    clear = [m for m in changes if m.interval[0] > 0 or m.interval[1] < 0]
    assert said[3] == (
        f"B minus A: of {len(changes)} changes, {len(clear)} have an interval without zero."
    )
    assert summary.cards(results)[0].name == "A: False match rate at FMR 1e-2"


def test_words_stay_careful():
    results = verification_example()
    found = [f.text + f.badge for f in summary.findings(results)]
    text = " ".join([summary.lead(results), *found, *summary.unresolved(results)]).lower()
    for word in ("bias", "discriminat", "unfair", "solved", "significan"):
        assert word not in text


def test_nothing_is_said_of_nothing():
    nothing = audit()
    assert summary.lead(nothing) == ""
    assert summary.cards(nothing) == summary.findings(nothing) == summary.unresolved(nothing) == []
