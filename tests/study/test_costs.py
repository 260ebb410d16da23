import json
from dataclasses import replace

import pytest

from fairjax.config import ConfigError
from fairjax.config.study import Column, Row, Study
from fairjax.study.costs import Cost, choices_of, costs_of
from fairjax.study.numbers import Cell
from fairjax.study.runs import require_consistent
from fairjax.study.tables import cost_table

STUDY = Study(
    title="Costs",
    source="",
    rows=(Row("Base"), Row("Slow"), Row("Missing")),
    columns=(Column("Accuracy", "a"), Column("Spread", "b")),
    seeds=(0, 1),
    trade_off=("Accuracy", "Spread"),
    baseline="Base",
    facts={"Base": {"labels": "no"}, "Slow": {"labels": "yes"}},
)


def run(folder, speeds, parameters):
    folder.mkdir()
    lines = [{"step": i, "kind": "train", "images_per_second": s} for i, s in enumerate(speeds, 1)]
    lines.append({"step": 9, "kind": "validation", "loss": 1.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "outcome.json").write_text(json.dumps({"parameters": parameters}))


def test_costs_are_relative_to_the_baseline_seed_by_seed(tmp_path):
    for seed in (0, 1):
        run(tmp_path / f"base-seed{seed}", [1.0, 100.0, 110.0, 90.0], 1000)
    run(tmp_path / "slow-seed0", [1.0, 50.0], 1250)
    run(tmp_path / "slow-seed1", [40.0], 1250)  # one line: it is all there is
    costs = costs_of(tmp_path, STUDY, STUDY.rows)
    assert costs["Base"] == Cost(0, 1.0)
    assert costs["Slow"] == Cost(250, (100 / 50 + 100 / 40) / 2)
    assert costs["Missing"] == Cost(None, None)
    table = cost_table(STUDY, costs)
    assert table.columns == ["", "labels", "parameters", "time of a step"]
    assert table.rows[1:] == [["Slow", "yes", "+250", "2.25"], ["Missing", "–", "–", "–"]]


def test_a_run_of_before_parameters_were_kept_has_no_number(tmp_path):
    for name in ("base", "slow"):
        run(tmp_path / f"{name}-seed0", [1.0, 10.0], 5)
    (tmp_path / "base-seed0" / "outcome.json").write_text("{}")
    assert costs_of(tmp_path, STUDY, STUDY.rows)["Slow"] == Cost(None, 1.0)


def cell(mean):
    return Cell((mean,), mean, None, None, "", None)


def test_the_front_has_the_rows_that_no_other_beats():
    points = {
        "best of one": (90.0, 3.0),
        "best of other": (80.0, 1.0),
        "beaten": (79.0, 2.0),
        "as good": (80.0, 1.0),
        "beaten in one": (90.0, 3.5),
    }
    cells = {n: {"Accuracy": cell(x), "Spread": cell(y)} for n, (x, y) in points.items()}
    cells["unknown"] = {"Accuracy": cell(None), "Spread": cell(0.0)}
    choices = choices_of(STUDY, cells)
    assert [c.name for c in choices] == [*points]
    assert [c.name for c in choices if c.front] == ["best of one", "best of other", "as good"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "Other"}, "costs and facts name 'Other', which is no row"),
        ({"facts": {"Other": {}}}, "costs and facts name 'Other', which is no row"),
        ({"trade_off": ("Accuracy", "Speed")}, "`trade_off` names 'Speed', which is no column"),
    ],
)
def test_a_study_that_names_what_it_lacks_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        require_consistent(replace(STUDY, **change))
