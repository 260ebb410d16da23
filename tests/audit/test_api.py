"""`fairjax.audit(...)` from Python: the command's numbers, from whatever holds the table."""

import csv
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import fairlearn.metrics
import numpy as np
import pyarrow as pa
import pytest
from audit_example import LABELS, PAIRS, pairs_frame, predictions_frame
from scored_pairs import benchmark

import fairjax
from fairjax import cli
from fairjax.audit.tables import InputError
from fairjax.core.results import load_results

ROOT = Path(__file__).parents[2]


class Stream:
    """A frame that is known by Arrow's C stream alone, as Polars' is."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def pairs():
    return pairs_frame()


@pytest.fixture(scope="module")
def predictions():
    return predictions_frame()


def by_command(tmp_path, table, *flags):
    """What the command finds in a table that is written as CSV."""
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    line = ["audit", str(path), "--bootstrap", "20", "--out", str(tmp_path / "out"), *flags]
    assert cli.main(line) == 0
    return load_results(tmp_path / "out" / "results.json")


def without_files(results):
    """Every field but those that name the command and its files."""
    fields = asdict(results)
    origin = fields.pop("provenance")
    fields["provenance"] = {k: v for k, v in origin.items() if k not in ("command", "files")}
    fields["protocol"] = {**fields["protocol"]}
    return fields


def test_pairs_give_the_commands_numbers_field_by_field(tmp_path, pairs):
    expected = without_files(by_command(tmp_path, pairs, "--fmr", "0.05"))
    path = tmp_path / "table.csv"
    for table in (
        str(path),
        path,
        pairs,
        pairs.astype({"group1": "category"}),
        pairs.to_dict("list"),
        {name: pairs[name].to_numpy() for name in pairs},
        pa.Table.from_pandas(pairs),
        Stream(pa.Table.from_pandas(pairs)),
    ):
        found = without_files(fairjax.audit(table, **PAIRS).results)
        for field, value in expected.items():
            assert jsonable(found[field]) == jsonable(value), (type(table), field)


def jsonable(value):
    """Tuples as lists, which is what results.json makes of them."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    return [jsonable(v) for v in value] if isinstance(value, list | tuple) else value


def test_predictions_give_the_commands_numbers_field_by_field(tmp_path, predictions):
    flags = ("--label", "gender", "--probability", "p_female", "--positive", "female")
    expected = without_files(by_command(tmp_path, predictions, *flags, "--by", "race"))
    found = without_files(fairjax.audit(predictions, **LABELS).results)
    arrays = fairjax.audit(
        y_true=predictions.gender,
        y_score=predictions.p_female,
        image=predictions.file,
        sensitive_features={"race": predictions.race.tolist()},
        pos_label="female",
        n_boot=20,
    )
    for field, value in expected.items():
        assert jsonable(found[field]) == jsonable(value), field
        assert jsonable(without_files(arrays.results)[field]) == jsonable(value), field


def test_embeddings_give_the_commands_numbers_field_by_field(tmp_path):
    columns, chosen = benchmark(("a", "b"), people=10, pairs=40)
    images, race = columns["id"], np.array(["a", "b"])[columns["race"]]
    who = np.array([f"p{k}" for k in columns["cluster"]])
    np.savez(
        tmp_path / "net.npz", embedding=columns["embedding"], id=images, subject=who, race=race
    )
    couples = np.unique(np.sort([chosen.first, chosen.second], axis=0), axis=1).T
    rows = images[couples]
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image1", "image2"), *rows.tolist()])
    line = ["audit", tmp_path / "net.npz", "--pairs", tmp_path / "pairs.csv", "--by", "race"]
    line += ["--fmr", "0.05", "--bootstrap", "20", "--out", tmp_path / "out"]
    assert cli.main(list(map(str, line))) == 0
    expected = load_results(tmp_path / "out" / "results.json").measures
    brought = {"image": images, "subject": who, "sensitive_features": {"race": race}}
    found = fairjax.audit(columns["embedding"], pairs=rows, **brought, **PAIRS)
    assert found.results.measures == expected
    by_row = fairjax.audit(
        columns["embedding"],
        subject=who,
        sensitive_features={"race": race},
        pairs=couples,
        **PAIRS,
    )
    assert by_row.results.measures == expected


def test_error_rates_of_groups_are_fairlearns(predictions):
    positive = (predictions.gender == "female").to_numpy()
    said = (predictions.said == "female").to_numpy()
    frame = fairlearn.metrics.MetricFrame(
        metrics={
            "fpr": fairlearn.metrics.false_positive_rate,
            "fnr": fairlearn.metrics.false_negative_rate,
        },
        y_true=positive,
        y_pred=said,
        sensitive_features=predictions.race,
    )
    found = fairjax.audit(
        y_true=positive, y_pred=said, sensitive_features=predictions.race, n_boot=2
    )
    for name in ("fpr", "fnr"):
        for group in ("Asian", "Black"):
            assert found.measure(name, group=group).value == frame.by_group.loc[group, name]
        assert found.measure(f"{name}_difference").value == pytest.approx(frame.difference()[name])


def test_several_sensitive_features_are_intersected_as_in_fairlearn(predictions):
    features = {"race": predictions.race, "side": np.where(np.arange(200) % 2, "left", "right")}
    found = fairjax.audit(
        y_true=predictions.gender,
        y_pred=predictions.said,
        pos_label="female",
        sensitive_features=features,
        n_boot=2,
    )
    chosen = (predictions.race == "Asian") & (features["side"] == "left")
    right = (predictions.gender == predictions.said)[chosen]
    assert found.measure("accuracy", group="Asian left").value == right.mean()


def test_series_of_one_name_are_not_taken_for_each_other(predictions):
    said = predictions.said.rename("gender")
    found = fairjax.audit(
        y_true=predictions.gender,
        y_pred=said,
        pos_label="female",
        sensitive_features=predictions.race,
        n_boot=2,
    )
    right = (predictions.gender == predictions.said).mean()
    assert found.measure("gender_accuracy").value == right
    brought = {"y_true": predictions.gender, "y_pred": predictions.said}
    with pytest.raises(InputError, match="two arguments bring a column named 'gender' with other"):
        fairjax.audit(**brought, sensitive_features=predictions.race.rename("gender"))
    with pytest.raises(InputError, match="has a column 'race' with other values"):
        fairjax.audit(predictions, **brought, sensitive_features=predictions.file.rename("race"))
    same = fairjax.audit(predictions, **brought, pos_label="female", sensitive_features="gender")
    assert same.results.protocol["group_by"] == "gender"


def test_series_of_one_index_in_two_orders_are_refused(predictions):
    frame = predictions.sample(frac=1, random_state=0)
    asked = dict(y_true=frame.gender, sensitive_features=frame.race, pos_label="female", n_boot=2)
    with pytest.raises(InputError, match="'said' and 'gender' have one index in two orders"):
        fairjax.audit(**asked, y_pred=frame.said.sample(frac=1, random_state=1))
    other = frame.said.set_axis(range(10_000, 10_000 + len(frame)))  # rows go by position
    right = (predictions.gender == predictions.said).mean()
    for said in (frame.said, other, frame.said.to_numpy()):
        assert fairjax.audit(**asked, y_pred=said).measure("accuracy").value == right


def test_a_table_of_a_measure_that_is_not_there_is_refused(predictions):
    asked = dict(y_true="gender", y_pred="said", sensitive_features="race", pos_label="female")
    found = fairjax.audit(predictions, **asked, n_boot=2)
    assert len(found.table("accuracy")) > 1
    with pytest.raises(KeyError, match="no measure 'acuracy'; did you mean"):
        found.table("acuracy")


def test_one_word_is_a_list_of_one(predictions):
    silent = predictions.assign(said=predictions.said.where(predictions.index > 4, "no face"))
    found = fairjax.audit(
        silent,
        y_true="gender",
        y_pred="said",
        pos_label="female",
        no_answer="no face",
        sensitive_features="race",
        n_boot=2,
    )
    assert "5 of 200 rows have no answer" in found.results.limits[0]


def test_two_sides_make_a_pair_and_decisions_are_counted(pairs):
    same = (pairs.subject1 == pairs.subject2).to_numpy()
    accepted = (pairs.score > 0.3).to_numpy()
    found = fairjax.audit(
        y_true=same,
        y_pred=accepted,
        subject=pairs[["subject1", "subject2"]].to_numpy(),
        sensitive_features=pairs[["group1", "group2"]].to_numpy(),
        n_boot=2,
    )
    inside = ~same & (pairs.group1 == "a") & (pairs.group2 == "a")
    assert found.measure("fmr", group="a").value == accepted[inside].mean()
    across = (pairs.group1 != pairs.group2).to_numpy()
    assert found.measure("fmr", group=("b", "a")).value == accepted[across].mean()
    frames = fairjax.audit(
        y_true=same,
        y_pred=accepted,
        subject=pairs[["subject1", "subject2"]],
        sensitive_features=pairs[["group1", "group2"]],
        n_boot=2,
    )
    assert frames.measure("fmr", group="a") == found.measure("fmr", group="a")


@pytest.mark.parametrize(("label", "said"), [(int, bool), (bool, int), (int, int), (bool, bool)])
def test_true_is_one_in_labels_and_predictions(predictions, label, said):
    truth = (predictions.gender == "female").astype(label)
    answer = (predictions.said == "female").astype(said)
    found = fairjax.audit(
        y_true=truth, y_pred=answer, sensitive_features=predictions.race, n_boot=2
    )
    right = (predictions.gender == predictions.said).mean()
    assert found.measure("accuracy").value == right
    lists = {"y_true": truth.tolist(), "y_pred": answer.tolist()}
    listed = fairjax.audit(**lists, sensitive_features=predictions.race, n_boot=2)
    assert listed.measure("accuracy").value == right
    table = predictions.drop(columns="said").assign(truth=truth)
    named = fairjax.audit(table, y_true="truth", y_pred=answer, sensitive_features="race", n_boot=2)
    assert named.measure("accuracy").value == right
    assert found.measure("fnr").value == pytest.approx(1 - answer[truth.astype(bool)].mean())


def test_one_score_may_be_a_list_or_a_list_of_one_name(predictions):
    table = predictions.assign(again=predictions.p_female)
    of_name = fairjax.audit(table, **LABELS)
    for brought in ([*table.p_female], ["p_female"], ("p_female",)):
        found = fairjax.audit(table, **{**LABELS, "y_score": brought})
        for name in ("accuracy", "ece"):
            assert found.measure(name).value == of_name.measure(name).value
    for several in (["p_female", "again"], ("p_female", "again")):
        with pytest.raises(ValueError, match="there is one y_score"):
            fairjax.audit(table, **{**LABELS, "y_score": several})


def test_a_word_is_a_label_as_it_is_spelled(predictions):
    words = [str(sex == "female") for sex in predictions.gender]
    answers = [str(sex == "female") for sex in predictions.said]
    found = fairjax.audit(
        y_true=words,
        y_pred=answers,
        pos_label="True",
        sensitive_features=predictions.race,
        n_boot=2,
    )
    assert found.measure("accuracy").value == (predictions.gender == predictions.said).mean()


def test_two_names_of_columns_are_the_two_sides(pairs):
    names = {"subject1": "probe person", "subject2": "reference person"}
    asked = dict(y_score="score", sensitive_features="group", n_boot=2, fmr=0.05)
    found = fairjax.audit(pairs.rename(columns=names), subject=[*names.values()], **asked)
    wanted = fairjax.audit(pairs, subject="subject", **asked)
    assert found.measure("fmr", group="a") == wanted.measure("fmr", group="a")


def test_a_flat_group_needs_the_task_to_be_a_pair(pairs):
    inside = pairs[pairs.group1 == pairs.group2]
    same = inside.subject1 == inside.subject2
    brought = {
        "y_true": same,
        "y_score": inside.score.clip(0, 1),
        "sensitive_features": inside.group1,
    }
    assert fairjax.audit(**brought, n_boot=2).results.kind == "attributes"
    found = fairjax.audit(**brought, **PAIRS, task="verification")
    assert found.results.kind == "verification"


def test_a_mistake_is_an_exception_with_the_commands_line(tmp_path, pairs, capsys):
    wrong = pairs.assign(score=np.where(np.arange(len(pairs)) == 3, np.nan, pairs.score))
    path = tmp_path / "table.csv"
    wrong.to_csv(path, index=False)
    assert cli.main(["audit", str(path)]) == 1
    line = capsys.readouterr().err.strip()
    with pytest.raises(ValueError, match="data row 4: score is missing") as raised:
        fairjax.audit(path)
    assert line == f"fairjax: {raised.value}"
    with pytest.raises(InputError) as raised:
        fairjax.audit(wrong)
    assert line == f"fairjax: {str(raised.value).replace('the table', str(path))}"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "nothing to audit"),
        ({"data": 3}, "a int is no table"),
        ({"data": "none.csv"}, "none.csv does not exist"),
        ({"data": {"a": [1, "x"]}}, "'a' cannot be read .*; make each column"),
        ({"data": {"a": [1, 2], "b": [1]}}, "'b' has 1 rows, the others have 2"),
        ({"data": {"a": 3}}, "'a' is no column"),
        ({"data": "none.csv", "y_true": [1, 0]}, "is a file and 'label' an array"),
        ({"y_true": [1, 0], "y_pred": [1], "sensitive_features": ["a", "b"]}, "has 1 rows"),
        ({"y_pred": [1, 0], "sensitive_features": ["a", "b"]}, "y_true is missing"),
        ({"y_true": [1, 0], "y_score": np.ones((2, 2))}, r"shape \(2, 2\); give one score a row"),
        ({"data": np.ones((2, 4))}, "embeddings need --pairs"),
        ({"y_true": [1, 0], "y_pred": [1, 0], "n_boot": 0}, "n_boot=0"),
        ({"y_true": [1, 0], "y_pred": [1, 0], "task": "faces"}, "task='faces': expected"),
        ({"data": np.ones((2, 4)), "fmr": 2}, "fmr=2: a rate is a fraction"),
    ],
)
def test_what_cannot_be_audited_is_said_in_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as raised:
        fairjax.audit(**arguments)
    assert "\n" not in str(raised.value)


def test_importing_fairjax_loads_nothing_and_takes_a_fifth_of_a_second():
    code = (
        "import sys, time; before = set(sys.modules); start = time.perf_counter(); import fairjax; "
        "fairjax.audit; took = time.perf_counter() - start; "
        "print(took, sorted({'numpy', 'pyarrow', 'matplotlib', 'jax'} & set(sys.modules)))"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        for _ in range(3)
    ]
    took = [float(one.stdout.split()[0]) for one in done]
    assert {one.stdout.split(maxsplit=1)[1].strip() for one in done} == {"[]"}
    assert min(took) < 0.2


def test_the_package_can_be_called_and_is_still_a_package():
    import inspect

    import fairjax.audit.run

    assert list(inspect.signature(fairjax.audit).parameters)[0] == "data"
    assert fairjax.audit.run.FMRS and "audit" in dir(fairjax)
    import fairjax.serve

    assert fairjax.load is fairjax.serve.load and "load" in dir(fairjax)
    with pytest.raises(AttributeError, match="no attribute 'audits'"):
        fairjax.audits  # noqa: B018


def test_what_predictions_alone_take_is_refused_for_pairs():
    with pytest.raises(ValueError, match="labels, no_answer and regression are for predictions"):
        fairjax.audit(
            y_true=[1, 0, 1, 0],
            y_score=[0.9, 0.1, 0.8, 0.2],
            sensitive_features=[["a", "a"], ["a", "b"], ["b", "b"], ["b", "a"]],
            regression=True,
        )
