import json
from dataclasses import replace
from typing import Any

import fairlearn.metrics as fairlearn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_example import measured
from sklearn import metrics as sklearn

from fairjax.core.results import Measure, Results, load_results, save_results
from fairjax.protocols import PROTOCOLS, utkface
from fairjax.protocols.by_image import decisions

CHANCE = ("_noise_floor", "_p_value", "_detectable_ratio", "_people_needed")

RACES = ("White", "Black", "Asian", "Indian", "Others")
ATTRIBUTES = {"age": (), "gender": ("male", "female"), "race": RACES}
SETTINGS: dict[str, Any] = {
    "attributes": ATTRIBUTES,
    "group_by": "race",
    "resamples": 60,
    "level": 0.95,
    "seed": 0,
    "gender_positive": 1,
    "age_rate": "threshold",
    "age_positive_from": 30,
    "age_bins": [0, 10, 20, 30, 40, 50, 60],
    "limits": ["Labels are estimates."],
}


def likely(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Probabilities that mostly favour the label."""
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += 1.5
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def predict(n: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = {
        "age": rng.integers(1, 100, n),
        "gender": rng.integers(0, 2, n),
        "race": rng.choice(5, n, p=[0.4, 0.2, 0.15, 0.15, 0.1]),
    }
    return {
        "id": np.array([f"{i}.jpg" for i in range(n)]),
        "cluster": np.where(rng.random(n) < 0.1, rng.integers(0, n, n), np.arange(n)),
        **{name: label.astype(np.int32) for name, label in labels.items()},
        "pred_age": (labels["age"] + rng.normal(0, 8, n)).astype(np.float32),
        "prob_gender": likely(labels["gender"], 2, rng),
        "prob_race": likely(labels["race"], 5, rng),
    }


def evaluate(predictions: dict[str, np.ndarray], **changes: Any) -> Results:
    return measured("utkface", predictions, **{**SETTINGS, **changes})


def points(results: Results) -> dict[Any, tuple[float | None, int, int | None]]:
    """Value, n and errors of every measure, by its name and group."""
    return {
        (m.name, m.across, tuple(sorted(m.group.items()))): (m.value, m.n, m.n_errors)
        for m in results.measures
    }


@pytest.fixture(scope="module")
def predictions() -> dict[str, np.ndarray]:
    return predict()


@pytest.fixture(scope="module")
def results(predictions: dict[str, np.ndarray]) -> Results:
    return evaluate(predictions)


def test_tables_1_to_3_are_what_masking_the_group_gives(
    predictions: dict[str, np.ndarray], results: Results
) -> None:
    p = predictions
    age_error = np.abs(p["pred_age"].astype(np.float64) - p["age"])
    said = {name: p[f"prob_{name}"].argmax(axis=1) for name in ("gender", "race")}
    for index, race in [*enumerate(RACES), (None, None)]:
        chosen = p["race"] == index if race else np.ones(400, bool)
        group = {"race": race} if race else {}
        mae = results.get("age_mae", **group)
        np.testing.assert_allclose(mae.value, age_error[chosen].mean())
        assert (mae.n, mae.unit, mae.n_errors) == (chosen.sum(), "years", None)
        for name in ("gender", "race"):
            m = results.get(f"{name}_accuracy", **group)
            np.testing.assert_allclose(m.value, np.mean((said[name] == p[name])[chosen]))
            assert m.n_errors == np.sum((said[name] != p[name])[chosen])
        for name, label, decision in [
            ("gender", p["gender"] == 1, said["gender"] == 1),
            ("age", p["age"] >= 30, p["pred_age"] >= 30),
        ]:
            tn, fp, fn, tp = sklearn.confusion_matrix(label[chosen], decision[chosen]).ravel()
            fpr, fnr = results.get(f"{name}_fpr", **group), results.get(f"{name}_fnr", **group)
            np.testing.assert_allclose(fpr.value, fp / (fp + tn))
            np.testing.assert_allclose(fnr.value, fn / (fn + tp))
            assert (fpr.n, fpr.n_errors, fnr.n, fnr.n_errors) == (fp + tn, fp, fn + tp, fn)
    assert results.get("gender_fpr").rule == "FP / (FP + TN), positive = female"
    assert results.get("age_fnr").rule == "FN / (FN + TP), positive = age >= 30"


@pytest.mark.parametrize("positive", [0, 1])
def test_gaps_agree_with_fairlearn(predictions: dict[str, np.ndarray], positive: int) -> None:
    results = evaluate(predictions, gender_positive=positive, resamples=5)
    label = predictions["gender"] == positive
    said = predictions["prob_gender"].argmax(axis=1) == positive
    for name in (
        "demographic_parity_difference",
        "demographic_parity_ratio",
        "equal_opportunity_difference",
        "equalized_odds_difference",
        "equalized_odds_ratio",
    ):
        theirs = getattr(fairlearn, name)(label, said, sensitive_features=predictions["race"])
        np.testing.assert_allclose(results.get(f"gender_{name}", across="race").value, theirs)


def test_spread_and_worst_group_are_those_of_the_printed_rates(results: Results) -> None:
    accuracies = [results.get("gender_accuracy", race=race).value for race in RACES]
    spread = results.get("gender_accuracy_std", across="race")
    np.testing.assert_allclose(spread.value, np.std(accuracies, ddof=1))
    assert spread.ddof == 1
    worst = RACES[int(np.argmin(accuracies))]
    found = results.get("gender_accuracy_worst", across="race", race=worst)
    assert found.value == min(accuracies)


def test_age_bins_of_a_classifier_are_scored_as_in_table_4() -> None:
    p = predict()
    bins = np.minimum(p["age"] // 10, 6)
    p["prob_age_bin"] = likely(bins, 7, np.random.default_rng(5))
    only = {name: p[name] for name in ("id", "cluster", "age", "race", "prob_age_bin")}
    results = evaluate(only, attributes={"age": (), "race": RACES})
    said = only["prob_age_bin"].argmax(axis=1)
    found = {name: [] for name in ("precision", "recall", "f1")}
    for index, race in enumerate(RACES):
        chosen = p["race"] == index
        theirs = sklearn.precision_recall_fscore_support(
            bins[chosen], said[chosen], average="weighted", zero_division=0
        )
        for name, value in zip(found, theirs[:3], strict=True):
            ours = results.get(f"age_bin_weighted_{name}", race=race).value
            np.testing.assert_allclose(ours, value)
            found[name].append(value)
        accuracy = results.get("age_bin_accuracy", race=race).value
        np.testing.assert_allclose(accuracy, theirs[1])  # weighted recall is accuracy
    for name, values in found.items():
        mean, std = np.mean(values), np.std(values, ddof=1)
        for suffix, value in [("mean", mean), ("std", std), ("std_over_mean", std / mean)]:
            ours = results.get(f"age_bin_weighted_{name}_{suffix}", across="race")
            np.testing.assert_allclose(ours.value, value)
    names = {m.name for m in results.measures}
    assert not any("gender" in n or "mae" in n or "fpr" in n for n in names)


def test_a_regression_is_scored_into_bins_that_hold_their_lower_edge() -> None:
    p = predict(6)
    p["age"] = np.array([9, 10, 59, 60, 99, 1], np.int32)
    p["pred_age"] = np.array([9.9, 10.0, 60.0, 59.9, 300.0, -5.0], np.float32)
    results = evaluate(p)
    assert results.get("age_bin_accuracy").value == pytest.approx(4 / 6)
    assert results.get("age_bin_accuracy").rule == "decision = bin of the predicted age"
    assert results.protocol["age_bins"][-2:] == ["50-59", "60+"]
    matrix = results.arrays["confusion"]["age_bin"]["overall"]
    assert matrix[5][6] == 1 and matrix[6][5] == 1 and matrix[0][0] == 2


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_age_rates_may_be_each_bin_against_the_rest(average: str) -> None:
    p = predict()
    results = evaluate(p, age_rate=f"ovr_{average}")
    label, said = (np.clip(a // 10, 0, 6).astype(int) for a in (p["age"], p["pred_age"]))
    white = p["race"] == 0
    recall = sklearn.recall_score(label[white], said[white], average=average)
    fnr = results.get("age_fnr", race="White")
    np.testing.assert_allclose(fnr.value, 1 - recall)
    assert f"{average} average" in fnr.rule
    specific, support = [], np.bincount(label[white], minlength=7)
    counts = sklearn.multilabel_confusion_matrix(label[white], said[white], labels=range(7))
    false, true = counts[:, 0, 1], counts[:, 0, 0]
    specific = {
        "macro": np.mean(false / (false + true)),
        "weighted": np.average(false / (false + true), weights=support),
        "micro": false.sum() / (false + true).sum(),
    }
    np.testing.assert_allclose(results.get("age_fpr", race="White").value, specific[average])


def test_intersections_decades_and_classes_are_what_masking_gives(
    predictions: dict[str, np.ndarray], results: Results
) -> None:
    p = predictions
    error = np.abs(p["pred_age"].astype(np.float64) - p["age"])
    chosen = (p["race"] == 2) & (p["gender"] == 1)
    m = results.get("age_mae", race="Asian", gender="female")
    np.testing.assert_allclose(m.value, error[chosen].mean())
    right = p["prob_race"].argmax(axis=1) == p["race"]
    m = results.get("race_accuracy", race="Asian", gender="female")
    np.testing.assert_allclose(m.value, right[chosen].mean())
    for low, name in [(20, "20-29"), (90, "90+")]:
        m = results.get("age_mae", age=name)
        np.testing.assert_allclose(m.value, error[p["age"] // 10 == low // 10].mean())
    said = p["prob_race"].argmax(axis=1)
    for metric, per_class in [
        ("recall", sklearn.recall_score),
        ("precision", sklearn.precision_score),
    ]:
        theirs = per_class(p["race"], said, average=None)
        ours = [results.get(f"race_{metric}", race=race).value for race in RACES]
        np.testing.assert_allclose(ours, theirs)
    confusion = results.arrays["confusion"]["race"]
    np.testing.assert_array_equal(confusion["overall"], sklearn.confusion_matrix(p["race"], said))
    np.testing.assert_array_equal(
        confusion["by_group"]["Asian"],
        sklearn.confusion_matrix(p["race"][p["race"] == 2], said[p["race"] == 2], labels=range(5)),
    )


def test_calibration_is_measured_by_group(
    predictions: dict[str, np.ndarray], results: Results
) -> None:
    p = predictions
    chosen = p["race"] == 1
    confidence = p["prob_gender"].max(axis=1)[chosen].astype(np.float64)
    right = (p["prob_gender"].argmax(axis=1) == p["gender"])[chosen]
    place = np.ceil(confidence * 15).astype(int)
    expected = sum(
        abs(right[place == k].sum() - confidence[place == k].sum()) for k in range(1, 16)
    ) / len(right)
    m = results.get("gender_ece", race="Black")
    np.testing.assert_allclose(m.value, expected)
    assert m.interval is not None and m.interval[0] <= m.value <= m.interval[1]
    assert "recentred" in m.method
    diagram = results.arrays["calibration"]["gender"]["by_group"]["Black"]
    assert sum(diagram["n"]) == chosen.sum()
    assert diagram["accuracy"][0] is None  # two classes: nobody is less than half sure


def test_every_number_carries_its_n_interval_clusters_and_method(results: Results) -> None:
    for m in results.measures:
        assert m.value is not None or m.note.startswith("undefined"), m
        assert m.rule, m
        assert m.n_clusters is not None and m.n_clusters <= m.n, m
        if m.value is None or m.name.endswith(CHANCE):
            assert m.interval is None, m
        elif m.interval is None:
            assert "no interval" in m.note, m
        else:
            assert m.interval[0] < m.interval[1] and m.method and m.level == 0.95, m
            if m.across and m.unit != "ratio" and not m.name.endswith("_mean"):
                assert m.interval[0] <= m.value <= m.interval[1], m
        if m.n_errors is not None and m.n > 0 and m.n_errors < 30:
            assert f"fewer than 30 errors ({m.n_errors})" in m.note, m
    assert len({(m.name, m.across, tuple(m.group.items())) for m in results.measures}) == len(
        results.measures
    )


def test_an_empty_group_is_there_undefined_and_named_in_the_gap() -> None:
    p = predict()
    p["race"] = np.where(p["race"] == 3, 0, p["race"])
    results = evaluate(p)
    m = results.get("gender_accuracy", race="Indian")
    assert (m.value, m.n, m.interval, m.note) == (
        None,
        0,
        None,
        "undefined: no example to compute it over",
    )
    gap = results.get("gender_accuracy_difference", across="race")
    assert gap.value is not None and "without Indian: undefined there" in gap.note
    assert results.get("age_mae", race="Indian", gender="male").value is None


def test_a_group_of_one_label_has_no_rate_for_the_other() -> None:
    p = predict()
    p["gender"] = np.where(p["race"] == 4, 1, p["gender"]).astype(np.int32)
    results = evaluate(p)
    assert results.get("gender_fpr", race="Others").value is None
    assert results.get("gender_fnr", race="Others").value is not None
    odds = results.get("gender_equalized_odds_difference", across="race")
    assert odds.value is not None and "without Others" in odds.note


def test_a_rate_without_errors_gets_an_exact_interval_over_clusters() -> None:
    p = predict()
    p["prob_gender"] = np.eye(2, dtype=np.float32)[p["gender"]]
    results = evaluate(p)
    m = results.get("gender_accuracy", race="Others")
    assert m.value == 1.0 and m.n_errors == 0 and m.method.startswith("Clopper-Pearson")
    assert m.interval == pytest.approx((0.025 ** (1 / m.n_clusters), 1.0))
    gap = results.get("gender_accuracy_difference", across="race")
    assert gap.value == 0  # how far each group may be from it is drawn, not taken for nothing
    assert gap.interval[0] == 0 < gap.interval[1] < 0.1
    assert results.get("gender_accuracy_difference_p_value", across="race").value == 1.0
    assert results.get("gender_fpr_ratio", across="race").note == "undefined: nothing to divide by"


def test_a_planted_gap_is_found_and_its_absence_is_not() -> None:
    rng = np.random.default_rng(7)  # not that of the labels
    p = predict(2000)
    wrong = rng.random(2000) < np.where(p["race"] == 1, 0.25, 0.05)
    p["prob_gender"] = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - p["gender"], p["gender"])]
    gap, floor, p_value = (
        evaluate(p, resamples=200).get(f"gender_accuracy_difference{suffix}", across="race")
        for suffix in ("", "_noise_floor", "_p_value")
    )
    assert gap.interval is not None
    assert 0 < gap.interval[0] < 0.2 < gap.interval[1]
    assert gap.value > floor.value and p_value.value == pytest.approx(1 / 201)
    wrong = rng.random(2000) < 0.1
    p["prob_gender"] = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - p["gender"], p["gender"])]
    results = evaluate(p, resamples=200)
    gap = results.get("gender_accuracy_difference", across="race")
    assert gap.interval is not None and gap.interval[0] == 0
    assert gap.value < results.get("gender_accuracy_difference_noise_floor", across="race").value


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_the_order_of_rows_doesn_t_matter(seed: int) -> None:
    p = predict(80, seed=1)
    order = np.random.default_rng(seed).permutation(80)
    first, second = (evaluate(q, resamples=5) for q in (p, {k: v[order] for k, v in p.items()}))
    for a, b in zip(first.measures, second.measures, strict=True):
        assert (a.name, a.group, a.n, a.note) == (b.name, b.group, b.n, b.note)
        assert a.value == pytest.approx(b.value)
        assert a.interval == pytest.approx(b.interval)


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(5)))
def test_renaming_groups_permutes_their_numbers(order: list[int]) -> None:
    p = predict(120, seed=2)
    q = {
        **p,
        "race": np.argsort(order)[p["race"]].astype(np.int32),
        "prob_race": p["prob_race"][:, order],
    }
    names = tuple(RACES[i] for i in order)
    first = points(evaluate(p, resamples=5))
    second = points(evaluate(q, resamples=5, attributes={**ATTRIBUTES, "race": names}))
    # labels are dealt out in the groups' order
    for key, value in first.items():
        if not key[0].endswith(CHANCE):
            assert value == pytest.approx(second[key]), key


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_a_dataset_held_twice_keeps_its_rates_and_intervals(seed: int) -> None:
    p = predict(80, seed)
    twice = {name: np.concatenate([column, column]) for name, column in p.items()}
    for a, b in zip(evaluate(p).measures, evaluate(twice).measures, strict=True):
        assert b.n == 2 * a.n and a.n_clusters == b.n_clusters
        assert a.value == pytest.approx(b.value), a
        assert a.interval == pytest.approx(b.interval), a  # copies share a cluster


def measure(name: str, value: float | None, n: int) -> Measure:
    return Measure(name=name, value=value, unit="fraction", n=n)


def test_the_identity_holds_rates_and_accuracy_together() -> None:
    fpr, fnr = measure("gender_fpr", 0.25, 8), measure("gender_fnr", 0.5, 2)
    utkface.check_identity(measure("gender_accuracy", 0.7, 10), fpr, fnr)
    with pytest.raises(ArithmeticError, match="gender_accuracy of everyone counts 8 right of 10"):
        utkface.check_identity(measure("gender_accuracy", 0.8, 10), fpr, fnr)
    with pytest.raises(ArithmeticError, match="not of the same predictions"):
        utkface.check_identity(measure("gender_accuracy", 0.7, 10), replace(fpr, n=7), fnr)


def test_the_published_tables_break_the_identity() -> None:
    # TFC's gender rates are at most 0.11, so its accuracy is at least 0.89; 0.88 is printed
    tfc = utkface.PUBLISHED["tfc"]
    worst = max(max(tfc["gender_fpr"].values()), max(tfc["gender_fnr"].values()))
    assert tfc["gender_accuracy"] < 1 - worst


def test_an_evaluation_that_breaks_the_identity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = utkface.mean_of

    def slipped(name: str, values: np.ndarray, **options: Any) -> Any:
        return original(name, ~values if name == "gender_fnr" else values, **options)

    monkeypatch.setattr(decisions, "mean_of", slipped)
    with pytest.raises(ArithmeticError, match="gender_accuracy"):
        evaluate(predict())


def test_results_go_to_a_file_and_back(results: Results, tmp_path: Any) -> None:
    save_results(tmp_path / "results.json", results)
    loaded = load_results(tmp_path / "results.json")
    assert points(loaded) == points(results)
    assert loaded.arrays == json.loads(json.dumps(results.arrays))
    assert loaded.limits == ["Labels are estimates."]
    assert utkface.tables(loaded) == utkface.tables(results)


def test_a_dataset_with_other_groups_is_evaluated_by_them() -> None:
    p = predict()
    p["group"], p["prob_group"] = p.pop("race"), p.pop("prob_race")
    attributes = {"age": (), "gender": ("male", "female"), "group": RACES}
    results = evaluate(p, attributes=attributes, group_by="group")
    assert results.get("group_accuracy", group="White").n > 0
    assert results.get("gender_fpr_difference", across="group").value is not None


def test_evaluating_again_gives_the_same_results(
    predictions: dict[str, np.ndarray], results: Results
) -> None:
    assert evaluate(predictions) == results
    assert evaluate(predictions, seed=1) != results


def test_the_protocol_is_in_the_list() -> None:
    assert PROTOCOLS["utkface"].measure is utkface.measure_utkface
