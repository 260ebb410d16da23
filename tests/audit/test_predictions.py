import re
from pathlib import Path

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    equalized_odds_difference,
    true_positive_rate_difference,
)
from results_example import stale_levels

from fairjax.audit.layout import TableOptions
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.predictions import audit_predictions, positive_class
from fairjax.audit.tables import InputError
from fairjax.core.verdict import verdict

GOOD = "subject,race,label,said,chance\n" + "".join(
    f"p{k // 2},{'XYZ'[k % 3]},{k % 2},{(k % 2) ^ (k % 5 == 0)},{0.2 + 0.1 * (k % 7)}\n"
    for k in range(120)
)


def results_of(folder: Path, text: str = GOOD, **columns: str):
    path = folder / "predictions.csv"
    path.write_text(text)
    chosen = PredictionColumns("label", **({"prediction": "said"} | columns))
    # somebody may have several images here, but groups are per image as in any attribute data
    return audit_predictions(path, chosen, TableOptions(), "race", resamples=50, level=0.95, seed=0)


def test_the_named_gaps_are_fairlearns(tmp_path):
    results = results_of(tmp_path)
    k = np.arange(120)
    label, said, race = k % 2, (k % 2) ^ (k % 5 == 0), np.array(list("XYZ"))[k % 3]
    for name, oracle in (
        ("label_demographic_parity_difference", demographic_parity_difference),
        ("label_equalized_odds_difference", equalized_odds_difference),
        ("label_equal_opportunity_difference", true_positive_rate_difference),
    ):
        ours = results.get(name, across="race").value
        assert ours == pytest.approx(oracle(label, said, sensitive_features=race)), name
    assert results.get("label_accuracy").n_clusters == 60


def test_a_probability_decides_at_half_and_is_calibrated(tmp_path):
    results = results_of(tmp_path, prediction="", probability="chance")
    k = np.arange(120)
    chance = np.round(0.2 + 0.1 * (k % 7), 10)
    assert results.get("label_accuracy").value == pytest.approx(np.mean((chance >= 0.5) == k % 2))
    assert results.get("label_ece").value is not None
    assert results.protocol["decision"] == "decision = chance >= 0.5"


def test_more_than_two_classes_take_turns(tmp_path):
    text = GOOD.replace(",0,0,", ",none,none,").replace(",1,1,", ",beard,beard,")
    text = text.replace(",0,1,", ",none,hat,").replace(",1,0,", ",hat,none,")
    results = results_of(tmp_path, text)
    for name in ("beard", "hat", "none"):
        assert results.get(f"label_{name}_fpr", race="X").value is not None
    assert results.protocol["positive"] == "each class in turn"


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        (GOOD, {"prediction": "", "probability": ""}, "needs --prediction COLUMN or --probability"),
        (GOOD.replace("0.2", "1.2", 1), {"probability": "chance"}, "data row 1: chance is 1.2"),
        (GOOD.replace(",1,1,", ",1,maybe,"), {}, "said holds 'maybe', which no label is"),
        ("race,label,said\nX,a,b\nY,b,b\n", {}, "which of 'a', 'b' counts as positive"),
        (GOOD.replace(",1,1,", ",1,1 1,"), {}, "name all classes with --classes"),
        (GOOD, {"positive": "2"}, "--positive '2' is no label"),
        (GOOD.replace(",X,", ",,", 1), {}, "data row 1: race is empty; --unknown-groups"),
        (GOOD.replace(",1,1,", ",1,NA,"), {}, "said is 'NA', which says nothing; --classes"),
        (GOOD.replace(",Y,", ",X,").replace(",Z,", ",X,"), {}, "by race there is 'X'"),
        ("race,label,said\nX,1,1\nY,1,1\n", {}, "label holds '1' only"),
        ("race,label,said\n", {}, "has no rows"),
    ],
)
def test_unfit_predictions_are_one_line(tmp_path, text, columns, words):
    with pytest.raises(InputError) as caught:
        results_of(tmp_path, text, **columns)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_without_a_group_count_among_everyone_only(tmp_path):
    """Their groups' numbers are those of the table without such rows."""
    path, lines = tmp_path / "p.csv", GOOD.splitlines()
    mixed = [line.replace(",X,", ",,") if k % 6 == 1 else line for k, line in enumerate(lines)]
    columns = PredictionColumns("label", probability="chance")

    def audited(text, **options):
        path.write_text("\n".join(text))
        return audit_predictions(
            path, columns, TableOptions(**options), "race", resamples=20, level=0.95, seed=0
        )

    results = audited(mixed, unknown_groups=True, any_direction=True)
    known = audited([line for line in mixed if ",," not in line], any_direction=True)
    everyone = audited(lines, any_direction=True)
    for name in ("label_accuracy", "label_fpr"):
        assert results.get(name).value == everyone.get(name).value
        for race in "XYZ":
            assert results.get(name, race=race).value == known.get(name, race=race).value
    confusion = results.arrays["confusion"]["label"]
    assert confusion["overall"] == everyone.arrays["confusion"]["label"]["overall"]
    assert confusion["by_group"] == known.arrays["confusion"]["label"]["by_group"]
    assert any("rows have no known race" in limit for limit in results.limits)


def small(words="01", rows=40, **changes):
    """A table of as many images: half of each label, an eighth decided wrongly, two groups."""
    k = np.arange(rows)
    truth, wrong = k % 2, k % 8 == 0
    table = {
        "file": [f"{n}.jpg" for n in k],
        "race": np.array(list("XY"))[k // 2 % 2],
        "sex": np.array(list("fm"))[k // 4 % 2],
        "label": [words[t] for t in truth],
        "said": [words[t ^ w] for t, w in zip(truth, wrong, strict=True)],
        "chance": np.where(truth ^ wrong, 0.7, 0.2),
    }
    table = {name: column for name, column in (table | changes).items() if column is not None}
    lines = zip(*table.values(), strict=True)
    return ",".join(table) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in lines)


def measured(folder, text, by="race", options=None, **columns):
    path = folder / "predictions.csv"
    path.write_text(text)
    chosen = PredictionColumns("label", **({"prediction": "said"} | columns))
    return audit_predictions(
        path, chosen, options or TableOptions(), by, resamples=9, level=0.9, seed=1
    )


def test_rates_of_each_group_are_counted_over_its_rows(tmp_path):
    results = measured(tmp_path, small())
    k = np.arange(40)
    truth, said, race = k % 2, (k % 2) ^ (k % 8 == 0), k // 2 % 2
    for name, group in (("X", race == 0), ("Y", race == 1), (None, race >= 0)):
        wanted = {} if name is None else {"race": name}
        for kind, of, value in (
            ("accuracy", group, said == truth),
            ("fpr", group & (truth == 0), said == 1),
            ("fnr", group & (truth == 1), said == 0),
            ("selection_rate", group, said == 1),
        ):
            found = results.find(f"label_{kind}", wanted)
            if found is not None:
                assert found.value == pytest.approx(value[of].mean()), (kind, name)
                assert found.n == of.sum()
    assert results.get("label_accuracy", race="X").level in (0.9, None)


def test_groups_meet_and_numbers_fall_into_bins(tmp_path):
    ages = [str(10 + k) for k in range(40)]
    results = measured(tmp_path, small(age=ages), by="race+age:30")
    assert results.protocol["groups"] == ["X <30", "X 30+", "Y <30", "Y 30+"]
    assert results.protocol["group_by"] == "race+age"
    named = measured(tmp_path, small(tone=ages), by="age:20,30=tone")
    assert named.protocol["groups"] == ["<20", "20-29", "30+"]
    assert named.get("label_accuracy", age="<20").n == 10


def test_another_label_may_be_the_positive_one(tmp_path):
    one, two = (measured(tmp_path, small("ab"), positive=word) for word in "ab")
    assert one.get("label_fpr").value == two.get("label_fnr").value
    assert one.get("label_accuracy").value == two.get("label_accuracy").value


@pytest.mark.parametrize(
    ("classes", "positive", "found"),
    [
        (["0", "1"], "", 1),
        (["No", "Yes"], "", 1),
        (["True", "False"], "", 0),
        (["negative", "POSITIVE"], "", 1),
        (["a", "b", "c"], "", 0),
        (["a", "b"], "b", 1),
        (["0", "1"], "0", 0),
    ],
)
def test_the_positive_label_is_named_or_customary(classes, positive, found):
    assert (
        positive_class(Path("t.csv"), PredictionColumns("label", positive=positive), classes)
        == found
    )


def test_a_prediction_comes_before_the_probability_that_stands_beside_it(tmp_path):
    results = measured(tmp_path, small(), probability="chance")
    assert results.protocol["decision"] == "decision = column said; chance is not used"
    assert results.find("label_ece") is None
    alone = measured(tmp_path, small(), prediction="", probability="chance")
    assert alone.get("label_accuracy").value == results.get("label_accuracy").value


def test_the_cut_is_at_one_half(tmp_path):
    chance = np.where(np.arange(40) % 2 == 1, 0.5, 0.4999)
    results = measured(tmp_path, small(chance=chance), prediction="", probability="chance")
    assert results.get("label_accuracy").value == 1.0


def test_people_are_clusters_and_rows_are_where_nobody_is_named(tmp_path):
    named = measured(tmp_path, small(person=[f"p{k // 4}" for k in range(40)]))
    assert named.get("label_accuracy").n_clusters == 10
    nameless = measured(tmp_path, small())
    assert nameless.get("label_accuracy").n_clusters == 40
    assert any("does not say who is on each image" in said for said in nameless.limits)
    options = TableOptions(subject="who")
    own = measured(tmp_path, small(who=[f"p{k // 8}" for k in range(40)]), options=options)
    assert own.get("label_accuracy").n_clusters == 5


def test_without_images_repeated_rows_cannot_be_told(tmp_path):
    (said,) = (
        s for s in measured(tmp_path, small(file=None)).limits if s.startswith("The table names no")
    )
    assert said.endswith("cannot be told.")
    person = [f"p{k // 20}" for k in range(40)]
    (said,) = (
        s
        for s in measured(tmp_path, small(file=None, person=person)).limits
        if s.startswith("The table names no")
    )
    assert "rows repeat another one)" in said


def test_an_image_may_show_several_people(tmp_path):
    files = [f"{k // 2}.jpg" for k in range(40)]
    two = small(file=files, person=[f"p{k}" for k in range(40)])
    assert measured(tmp_path, two).get("label_accuracy").n == 40
    with pytest.raises(InputError, match=r"file '0.jpg' is in data rows 1 and 2 \(20 rows repeat"):
        measured(tmp_path, small(file=files))
    own = TableOptions(image="shot")
    assert measured(tmp_path, small(file=files, shot=range(40)), options=own).get("label_accuracy")


def test_no_answer_is_counted_by_group_in_a_note(tmp_path):
    said = ["" if k in (0, 1, 2) else str(k % 2) for k in range(40)]
    results = measured(tmp_path, small(said=said), no_answer=["none"])
    assert results.limits[0].startswith(
        "3 of 40 rows have no answer (by race: X 2 of 20, Y 1 of 20"
    )
    assert results.get("label_no_answer", race="X").value == pytest.approx(0.1)
    assert results.get("label_accuracy").n == 37
    everyone = results.get("label_accuracy_of_all")
    assert (everyone.value, everyone.n) == (pytest.approx(37 / 40), 40)


def test_an_image_without_an_answer_needs_no_probability(tmp_path):
    text = re.sub(r"(?m)^p0,.*$", "p0,X,0,none,", GOOD, count=1)
    found = results_of(tmp_path, text, probability="chance", no_answer=("none",))
    assert found.get("label_no_answer").n_errors == 1 and found.get("label_accuracy").n == 119
    with pytest.raises(InputError, match="data row 1: chance is missing"):
        results_of(tmp_path, text.replace("none", "0"), prediction="", probability="chance")


@pytest.mark.parametrize(("columns", "tests"), [({}, 3), ({"no_answer": ["none"]}, 5)])
def test_what_decisions_would_show_is_reckoned_at_the_level_of_all_tests(tmp_path, columns, tests):
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=400)
    said = np.where(rng.random(400) < 0.8, label, 1 - label).astype(str)
    said[:: 9 if columns else 500] = "none"  # the first is none; that alone is not read
    start = 0 if columns else 1
    text = "race,label,said\n" + "".join(
        f"{'XY'[k % 2]},{label[k]},{said[k]}\n" for k in range(start, 400)
    )
    results = results_of(tmp_path, text, **columns)
    assert {c.tests for c in verdict(results).claims} == {tests}
    assert stale_levels(results) == []


def test_what_numbers_would_show_is_reckoned_at_the_level_of_both_tests(tmp_path):
    rng = np.random.default_rng(0)
    age = rng.integers(20, 60, 80)
    text = "race,label,said\n" + "".join(
        f"{'XY'[k % 2]},{age[k]},{age[k] + rng.normal(0, 5):.2f}\n" for k in range(80)
    )
    results = results_of(tmp_path, text, regression=True)
    assert {c.tests for c in verdict(results).claims} == {2}
    assert stale_levels(results) == []


def test_numbers_are_measured_by_their_errors(tmp_path):
    age = 20 + np.arange(40)
    race = np.arange(40) // 2 % 2
    text = small(label=age, said=age + np.where(race, 3, -1))
    results = measured(tmp_path, text, regression=True)
    assert results.get("label_mae", race="X").value == pytest.approx(1.0)
    assert results.get("label_mae", race="Y").value == pytest.approx(3.0)
    assert results.get("label_mae").value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changes", "columns", "said"),
    [
        ({}, {"regression": True, "probability": "chance"}, "--regression takes --label and --pre"),
        ({}, {"regression": True, "prediction": "", "probability": "chance"}, "--regression takes"),
        ({}, {"regression": True, "classes": ["0", "1"]}, "two columns of numbers"),
        ({"said": ["old"] * 40}, {"regression": True}, "data row 1: said is 'old', not a number;"),
        ({"said": [""] * 40}, {"no_answer": ["none"]}, "no row has an answer in said"),
        ({}, {"prediction": "", "probability": "chance", "no_answer": ["x"]}, "--no-answer names"),
        ({}, {"classes": [""]}, "each class once, in order; the table's are: --classes 0,1."),
        ({}, {"classes": ["1", "0", "1"]}, "each class once"),
        ({}, {"classes": ["0", "2"]}, "label holds '1', which no --classes names; labels are '0'"),
        (
            {"label": list("abcd") * 10, "said": list("abcd") * 10},
            {"prediction": "", "probability": "chance"},
            "--probability is of one positive label, but label holds 4",
        ),
        (
            {"chance": [-0.1] * 40},
            {"probability": "chance"},
            "data row 1: chance is -0.1, not a pr",
        ),
        ({"label": ["Yes", "yes"] * 20}, {}, "the labels 'Yes' and 'yes' differ by case"),
        ({"race": ["X", "x"] * 20}, {}, "the groups 'X' and 'x' differ by case"),
        ({"race": None}, {}, "no column for the groups by 'race'"),
        ({"label": None}, {}, "no column 'label'"),
    ],
)
def test_more_that_cannot_be_measured_is_one_line(tmp_path, changes, columns, said):
    with pytest.raises(InputError) as caught:
        measured(tmp_path, small(**changes), **columns)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [56, 80])
def test_exchanged_classes_are_seen_with_thirty_rows_of_each(tmp_path, rows):
    exchanged = small(rows=rows, said=[str(1 - k % 2) for k in range(rows)])
    if rows < 60:
        assert measured(tmp_path, exchanged).get("label_accuracy").value == 0.0
        return
    with pytest.raises(InputError, match="are its classes exchanged"):
        measured(tmp_path, exchanged)
    found = measured(tmp_path, exchanged, options=TableOptions(any_direction=True))
    assert found.get("label_accuracy").value == 0.0
    assert any(
        said.startswith("--any-direction: whether the 80 predictions") for said in found.limits
    )
