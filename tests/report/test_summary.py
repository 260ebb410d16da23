"""The words of the first screen, for audits of pairs and for attribute models alike."""

from dataclasses import replace

import pytest
from results_example import example_results
from verification_example import verification_example

from fairjax.core.results import Measure, Results
from fairjax.core.verdict import ALPHA, verdict
from fairjax.report.cards import BADGES, card
from fairjax.report.gaps import gap_tables
from fairjax.report.model_card import model_card
from fairjax.report.summary import summarise

AT = {"at": "FMR 1e-3", "threshold": 0.5, "threshold_source": "given"}


def rate(name, value, *, n_errors=50, n=1000, **group):
    return Measure(name, value, "fraction", n, group, n_errors=n_errors, n_clusters=70, **AT)


def across(name, value, unit="fraction", **more):
    return Measure(name, value, unit, 1000, across="g", **AT, **more)


def audit(rates, *more, p=None, rate_name="fmr", **arrays):
    """An audit of one rate: {group: value}, and the p-value that decides about it."""
    measures = [rate(rate_name, value, g=group) for group, value in rates.items()]
    if p is not None:
        measures.append(across(f"{rate_name}_equality_p_value", p))
        measures.append(across(f"{rate_name}_equality_p_value_holm", p))
    protocol = {"name": "toy", "attribute": "g"}
    return Results("verification", protocol, [*measures, *more], arrays, [], {})


def attributes(rates, p, name="gender_accuracy", unit="fraction"):
    measures = [
        Measure(name, value, unit, 500, {"g": group}, n_errors=50) for group, value in rates.items()
    ]
    measures.append(Measure(f"{name}_equality_p_value", p, "fraction", 500, across="g"))
    return Results("attributes", {"name": "toy"}, measures, {}, [], {})


def words(results):
    return " ".join(summarise(results).text)


def test_a_gap_that_is_shown_is_said_with_every_groups_number():
    assert summarise(audit({"a": 0.004, "b": 0.001, "c": 0.0032}, p=0.01)).text == [
        "Shown to differ between groups: false matches.",
        "False matches: a people are taken for each other 40 times in 10,000 comparisons, c 32 "
        "and b 10. This is more than chance explains.",
    ]


def test_a_gap_that_chance_may_explain_is_not_shown():
    found = summarise(audit({"a": 0.004, "b": 0.001}, p=0.06))
    assert found.headline == "Not shown to be unfair."
    assert found.sentences[0].endswith("Such a gap could be chance.")


def test_the_verdict_of_a_smoke_test_says_that_it_is_one():
    results = audit({"a": 0.004, "b": 0.001}, p=0.06)
    smoke = replace(results, provenance={"command": "python -m fairjax.main --config x:smoke"})
    plain, said = summarise(results), summarise(smoke)
    assert plain.headline == "Not shown to be unfair."
    assert said.headline == "Smoke test, no evidence of anything: not shown to be unfair."
    assert said.answer == plain.answer and said.sentences == plain.sentences


def test_few_errors_are_owned_up_to():
    few = [rate("fmr", 0.004, n_errors=4, g="c")]
    assert "So few errors could be chance." in words(audit({"a": 0.004, "b": 0.001}, *few, p=0.5))


@pytest.mark.parametrize("p", [0.0005, ALPHA, 0.0501, 0.14, 1.0])
@pytest.mark.parametrize("kind", ["verification", "attributes"])
def test_headline_badge_table_and_model_card_say_the_same_by_the_adjusted_p_value(p, kind):
    rates = {"a": 0.4, "b": 0.1}
    results = audit(rates, p=p) if kind == "verification" else attributes(rates, p)
    shown = p <= ALPHA
    found = summarise(results)
    (compared,) = found.compared
    assert found.headline.startswith("Shown to differ") is shown
    assert ("more than chance explains" in words(results)) is shown
    assert ("could be chance" in words(results)) is not shown
    assert card(compared, "k").badge == BADGES["shown" if shown else "not shown"]
    (table,) = gap_tables(results)
    assert table.rows[0][-1] == ("shown" if shown else "not shown")
    assert ("more than chance explains" in model_card(results)) is shown
    assert verdict(results).answer == ("shown" if shown else "not shown")


def test_a_noise_floor_alone_shows_nothing():
    floor = across("fmr_max_over_min_noise_floor", 1.2, "ratio")
    gap = across("fmr_max_over_min", 4.0, "ratio")
    assert "Not shown" in words(audit({"a": 0.004, "b": 0.001}, gap, floor, p=0.14))


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"a": 0.0, "b": 0.0}, "False matches: no error was counted in any group."),
        (
            {"a": 0.02, "b": 0.02},
            "False matches: alike in all groups, 200 times in 10,000 comparisons.",
        ),
        ({"a": None, "b": None}, "False matches: no group has anything to count over."),
    ],
)
def test_ties_are_not_ranked(rates, said):
    assert summarise(audit(rates)).sentences == [said]


def test_a_group_without_an_error_is_told_and_not_called_best():
    said = words(audit({"a": 0.004, "b": 0.0, "c": 0.0}, p=0.2))
    assert "a people are taken for each other 40 times in 10,000 comparisons, b 0 and c 0." in said


def test_the_table_of_gaps_names_the_ends_and_does_not_rank_ties():
    (table,) = gap_tables(audit({"a": 0.004, "b": 0.001, "c": 0.001}, p=0.2))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["worst"], row["best"]) == ("a 0.4%", "2 groups 0.1%")
    (table,) = gap_tables(audit({"a": 0.004, "b": 0.004}, p=0.2))
    assert [*table.rows[0][1:3]] == ["–", "–"]


def test_the_table_of_gaps_marks_a_smoothed_ratio_and_explains_what_it_has():
    ratio = across("fmr_max_over_min_smoothed", 26.98, "ratio")
    (table,) = gap_tables(audit({"a": 0.004, "b": 0.0}, ratio, p=0.2))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["gap"] == "26.98× smoothed"
    assert "Smoothed: a group has no error" in table.note and "By chance" not in table.note
    floor = across("fmr_max_over_min_noise_floor", 1.2, "ratio")
    plain = across("fmr_max_over_min", 4.0, "ratio")
    (table,) = gap_tables(audit({"a": 0.004, "b": 0.001}, plain, floor, p=0.2))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["gap"] == "4.00×" and "By chance: what the gap" in table.note
    assert "moothed" not in table.note


def test_of_many_groups_the_highest_and_the_lowest_are_named():
    rates = {f"g{k}": 0.001 * (k + 1) for k in range(7)}
    assert (
        "g6 people are taken for each other 70 times in 10,000 comparisons, g5 60, g4 50 and at "
        "the low end g0 10."
    ) in words(audit(rates, p=0.2))
    rates["g1"] = 0.001
    assert "at the low end 2 groups 10." in words(audit(rates, p=0.2))
    rates |= {f"g{k}": 0.001 for k in range(6)}  # each group is told once
    said = words(audit(rates, p=0.2))
    assert "g6 people are taken for each other 70 times in 10,000 comparisons, at the low" in said
    assert "comparisons, at the low end 6 groups 10." in said


def test_rare_errors_are_counted_in_more_comparisons():
    assert "a people are taken for each other 40 times in 1,000,000 comparisons, b 5." in words(
        audit({"a": 4e-5, "b": 5e-6}, p=0.2)
    )


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (
            474,
            "To settle a factor of 2 in false matches you need about 480 people a group; the "
            "smallest has 70.",
        ),
        (
            31,
            "These people are enough to settle a factor of 2: about 31 a group are needed, and the "
            "smallest has 70.",
        ),
    ],
)
def test_people_needed_are_rounded_up_and_compared_with_the_smallest_group(needed, said):
    more = across("fmr_people_needed", float(needed), "count")
    assert summarise(audit({"a": 0.004, "b": 0.001}, more, p=0.3)).sentences[-1] == said


def test_a_small_group_beside_large_ones_is_no_lack_where_the_ratio_would_be_shown():
    more = [
        across("fmr_people_needed", 90.0, "count"),
        across("fmr_detectable_ratio", 1.9, "ratio"),
    ]
    found = summarise(audit({"a": 0.004, "b": 0.001}, *more, p=0.3))
    assert found.sentences[-1] == "These people are enough to settle a factor of 2."


def test_people_are_not_enough_where_another_rate_could_show_nothing():
    more = [rate("fnmr", value, g=group) for group, value in {"a": 0.02, "b": 0.01}.items()]
    more += [across("fnmr_equality_p_value", 0.2), across("fnmr_equality_p_value_holm", 0.2)]
    enough = across("fmr_people_needed", 31.0, "count")
    unknown = across("fnmr_people_needed", None, "count")
    found = summarise(audit({"a": 0.004, "b": 0.001}, enough, unknown, *more, p=0.3))
    said = "How many people would settle a factor of 2 in false non-matches cannot be told."
    assert found.sentences[-1] == said


def test_data_that_would_miss_any_ratio_are_too_few():
    more = across("fmr_detectable_ratio", None, "ratio")
    found = summarise(audit({"a": 0.004, "b": 0.001}, more, p=0.3))
    assert found.headline == "Too few data to tell."
    assert "Too few errors to tell whether this is chance." in found.sentences[0]


def test_without_a_test_there_is_no_verdict():
    found = summarise(audit({"a": 0.004, "b": 0.001}))
    assert found.headline == "No verdict: no gap between groups was tested."
    assert "was not tested" in found.sentences[0]


def test_the_screen_shows_the_operating_point_at_which_groups_differ():
    later = {**AT, "at": "FMR 1e-4", "threshold": 0.6}
    more = [
        Measure("fmr", v, "fraction", 1000, {"g": g}, n_errors=40, **later)
        for g, v in (("a", 0.0004), ("b", 0.0001))
    ]
    more.append(Measure("fmr_equality_p_value_holm", 0.01, "fraction", 9, across="g", **later))
    more.append(Measure("fmr_equality_p_value", 0.01, "fraction", 9, across="g", **later))
    found = summarise(audit({"a": 0.004, "b": 0.003}, *more, p=0.4))
    assert found.compared[0].note.startswith("false match rate at threshold 0.6 (FMR 1e-4")
    assert found.headline == "Shown to differ between groups: false matches."


def test_an_accuracy_is_told_as_errors_and_a_mean_error_in_its_unit():
    assert "Gender errors: b faces are told wrong 40 times in 100 images, a 10." in words(
        attributes({"a": 0.9, "b": 0.6}, 0.2)
    )
    assert "Age error: b faces are misjudged by 6.10 years, a 4.00 years." in words(
        attributes({"a": 4.0, "b": 6.1}, 0.2, "age_mae", "years")
    )


def test_what_an_age_predicts_besides_stands_further_below():
    more = [
        Measure(name, value, unit, 500, {"g": group}, n_errors=50)
        for name, unit in (("age_mae", "years"), ("age_bin_accuracy", "fraction"))
        for group, value in (("a", 0.4), ("b", 0.6))
    ]
    more += [Measure(m.name, 0.5, m.unit, 1000, n_errors=50) for m in more[::2]]
    more += [
        Measure(f"{name}_difference_p_value", 0.3, "fraction", 9, across="g")
        for name in ("age_mae", "age_bin_accuracy")
    ]
    found = summarise(Results("attributes", {}, more, {}, [], {}))
    assert [q.title for q in found.compared] == ["Age error"]


def test_systems_are_told_apart():
    found = summarise(verification_example(systems=("A", "B")))
    assert found.headline == (
        "Shown to differ between groups: false matches of A and false matches of B."
    )
    assert found.sentences[0].startswith("A: False matches: African people")
    assert found.scope.endswith("2 systems scored them: A and B.")


def test_words_stay_careful():
    for results in (verification_example(), example_results()):
        found = summarise(results)
        text = " ".join([*found.text, found.scope, *found.tolerances, *found.unresolved]).lower()
        for word in ("bias", "discriminat", "solved", "significan"):
            assert word not in text


def test_nothing_is_said_of_nothing():
    for kind in ("verification", "attributes"):
        nothing = summarise(Results(kind, {}, [], {}, [], {}))
        assert nothing.text == [] and not nothing.compared


def test_a_system_that_is_mostly_wrong_is_said_to_be_and_no_factor_of_two_is_promised():
    everyone = Measure("fnmr", 0.97, "fraction", 1000, n_errors=970, n_clusters=140, **AT)
    more = [everyone, across("fnmr_people_needed", 3.0, "count")]
    rates = {"a": 0.98, "b": 0.96}
    said = summarise(audit(rates, *more, p=0.3, rate_name="fnmr")).sentences
    assert said[-1] == (
        "False non-matches are 97 in 100 comparisons of everyone: that is most of them, whatever "
        "the groups."
    )
    assert not any("factor of 2" in line for line in said)


def test_a_threshold_that_was_found_on_the_data_is_no_system_s_own():
    given = audit({"a": 0.004, "b": 0.001}, p=0.3)
    found = [replace(m, threshold_source="all non-mated pairs") for m in given.measures]
    said = summarise(replace(given, measures=found)).sentences
    assert said[:-1] == summarise(given).sentences
    assert said[-1].startswith("These counts are at FMR 1e-3, a threshold found on these data;")
    calibrated = [replace(m, threshold_source="other_people.csv") for m in given.measures]
    assert summarise(replace(given, measures=calibrated)).sentences == summarise(given).sentences
    other = [replace(m, threshold_source="all non-mated pairs of dev.csv") for m in found]
    said = summarise(replace(given, measures=other)).sentences
    assert said[-1].startswith("These counts are at FMR 1e-3, a threshold found on dev.csv;")


def test_an_accuracy_that_counts_missing_answers_is_told_as_errors_worst_group_first():
    said = words(attributes({"a": 0.9, "b": 0.76}, 0.001, name="gender_accuracy_of_all"))
    assert "b faces are told wrong or get no answer 24 times in 100 images, a 10." in said
    said = words(attributes({"a": 0.01, "b": 0.12}, 0.001, name="gender_no_answer"))
    assert "b faces get no answer 12 times in 100 images, a 1." in said
