import json

import pytest

from fairjax.core.results import Measure, Results, load_results, save_results


def make_results():
    return Results(
        kind="attributes",
        protocol={"name": "utkface"},
        measures=[
            Measure(
                "gender_fpr",
                0.25,
                "fraction",
                8,
                group={"race": "White"},
                interval=(0.1, 0.4),
                level=0.95,
                method="cluster bootstrap",
                n_clusters=7,
                n_errors=2,
                rule="positive = female",
            ),
            Measure("gender_fpr", None, "fraction", 0, group={"race": "Asian"}, note="undefined"),
            Measure("gender_fpr_difference", 0.1, "fraction", 16, across="race"),
        ],
        arrays={"confusion": {"gender": [[1, 0], [0, 1]]}},
        limits=["labels are guesses"],
        provenance={"data_hash": "ab"},
    )


def test_results_come_back_as_they_were(tmp_path):
    save_results(tmp_path / "results.json", make_results())
    assert load_results(tmp_path / "results.json") == make_results()


def test_the_file_follows_the_schema_of_the_readme(tmp_path):
    save_results(tmp_path / "results.json", make_results())
    tree = json.loads((tmp_path / "results.json").read_text())
    assert tree["schema_version"] == "1.1"
    assert set(tree) == {
        "schema_version",
        "kind",
        "protocol",
        "measures",
        "arrays",
        "limits",
        "provenance",
    }
    assert set(tree["measures"][0]) == {
        "name",
        "value",
        "unit",
        "n",
        "group",
        "across",
        "interval",
        "level",
        "method",
        "n_clusters",
        "n_errors",
        "ddof",
        "rule",
        "note",
        "at",
        "threshold",
        "threshold_source",
        "system",
    }


def test_nan_is_refused_because_json_has_none(tmp_path):
    bad = make_results()
    bad.measures.append(Measure("x", float("nan"), "fraction", 1))
    with pytest.raises(ValueError, match="JSON compliant"):
        save_results(tmp_path / "results.json", bad)
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": "2.0"}, "schema_version is 2.0"),
        ({"kind": None, "x": 1}, "not a results"),
    ],
)
def test_another_schema_is_refused(tmp_path, change, said):
    path = tmp_path / "results.json"
    save_results(path, make_results())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=said):
        load_results(path)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_a_file_with_a_number_that_json_has_not_is_refused(tmp_path, number):
    path = tmp_path / "results.json"
    save_results(path, make_results())
    path.write_text(path.read_text().replace('"value": 0.25', f'"value": {number}', 1))
    with pytest.raises(ValueError, match="not a results file of schema .* JSON compliant"):
        load_results(path)


def test_get_finds_one_measure_and_names_what_is_missing():
    results = make_results()
    assert results.get("gender_fpr", race="White").value == 0.25
    assert results.get("gender_fpr_difference", across="race").value == 0.1
    with pytest.raises(KeyError, match="no measure 'gender_fpr' for group {'race': 'Black'}"):
        results.get("gender_fpr", race="Black")
