from pathlib import Path

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    equalized_odds_difference,
    true_positive_rate_difference,
)

from fairjax.audit.layout import Asked
from fairjax.audit.predictions import Columns, audit_predictions
from fairjax.audit.tables import InputError

GOOD = "subject,race,label,said,chance\n" + "".join(
    f"p{k // 2},{'XYZ'[k % 3]},{k % 2},{(k % 2) ^ (k % 5 == 0)},{0.2 + 0.1 * (k % 7)}\n"
    for k in range(120)
)


def results_of(folder: Path, text: str = GOOD, **columns: str):
    path = folder / "predictions.csv"
    path.write_text(text)
    chosen = Columns("label", **({"prediction": "said"} | columns))
    # somebody may have several images here, but groups are per image as in any attribute data
    return audit_predictions(path, chosen, Asked(), "race", resamples=50, level=0.95, seed=0)


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
    columns = Columns("label", probability="chance")

    def audited(text, **asked):
        path.write_text("\n".join(text))
        return audit_predictions(
            path, columns, Asked(**asked), "race", resamples=20, level=0.95, seed=0
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
