import numpy as np
import pytest

from fairjax.core.results import Results
from fairjax.protocols import attributes


def evaluate(label, prediction, group, classes=("no", "yes"), **more) -> Results:
    settings = {
        "probability": None,
        "positive": 1,
        "groups": ("X", "Y"),
        "cluster": np.arange(len(label)),
        "attribute": "smiles",
        "group_by": "race",
        "decision_rule": "as given",
        "resamples": 20,
        "level": 0.95,
        "seed": 0,
        "limits": ["made up"],
    }
    return attributes.measure_decisions(
        label=np.array(label),
        prediction=np.array(prediction),
        classes=classes,
        group=np.array(group),
        **{**settings, **more},
    )


def test_rates_and_gaps_are_those_worked_by_hand():
    #           X: tp fn fp tn          Y: tp tp fp fp tn
    results = evaluate([1, 1, 0, 0, 1, 1, 0, 0, 0], [1, 0, 1, 0, 1, 1, 1, 1, 0], [0] * 4 + [1] * 5)
    value = {
        g: {
            n: results.get(f"smiles_{n}", race=g).value
            for n in ("accuracy", "fpr", "fnr", "positive_rate", "base_rate")
        }
        for g in "XY"
    }
    assert value["X"] == {
        "accuracy": 0.5,
        "fpr": 0.5,
        "fnr": 0.5,
        "positive_rate": 0.5,
        "base_rate": 0.5,
    }
    assert value["Y"] == pytest.approx(
        {"accuracy": 0.6, "fpr": 2 / 3, "fnr": 0.0, "positive_rate": 0.8, "base_rate": 0.4}
    )
    for name, gap in (
        ("demographic_parity", 0.3),
        ("equal_opportunity", 0.5),
        ("equalized_odds", 0.5),
    ):
        found = results.get(f"smiles_{name}_difference", across="race")
        assert found.value == pytest.approx(gap), name
    assert results.limits == ["made up"]


def test_each_of_several_classes_is_measured_against_the_rest():
    label, prediction = [0, 1, 2, 0, 1, 2], [0, 2, 2, 0, 1, 1]
    results = evaluate(label, prediction, [0, 0, 0, 1, 1, 1], classes=("a", "b", "c"))
    assert results.get("smiles_c_fpr", race="X").value == 0.5  # b taken for c, a not
    assert results.get("smiles_c_fnr", race="Y").value == 1.0
    assert results.get("smiles_a_fpr").value == 0.0


def test_tables_hold_every_group_and_the_gaps():
    results = evaluate([1, 1, 0, 0] * 6, [1, 0, 1, 0] * 6, [0, 1] * 12)
    accuracy, rates, gaps = attributes.tables(results)
    assert (
        [row[0] for row in accuracy.rows]
        == [row[0] for row in rates.rows]
        == [
            "X",
            "Y",
            "everyone",
        ]
    )
    assert any("equalized odds" in row[0] for row in gaps.rows)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"classes": ("no",)}, "two or more classes"), ({"groups": ("X",)}, "two or more groups")],
)
def test_nothing_to_compare_is_refused(more, words):
    with pytest.raises(ValueError, match=words):
        evaluate([0, 0], [0, 0], [0, 0], **more)
