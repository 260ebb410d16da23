"""From a plan to runs: folders, configs, who starts from whom, and plans that make no sense."""

from dataclasses import replace
from pathlib import Path

import pytest

from fairjax.config import (
    Claim,
    Column,
    ConfigError,
    Floor,
    Noise,
    Row,
    Study,
    Thesis,
    base_config,
    dataset,
    load,
    method,
    study,
)
from fairjax.run.build import build_run
from fairjax.run.workdir import WorkdirError, read_json, write_json
from fairjax.study import chosen, expand
from fairjax.study.runs import folder_name, settle, unusable_data

COLUMNS = (Column("Accuracy", "gender_accuracy"),)
CLAIM = Claim("x", "A", "A", "Accuracy", "lower")
THESIS = Thesis("t", ("x",), ("y",), holds="", contradicted="", inconclusive="")


def plan(*rows, **changes):
    settings = dict(title="T", source="", rows=rows, columns=COLUMNS, seeds=(3, 4))
    return study(base_config(), Study(**(settings | changes)))


def runs(*rows, given=None, **changes):
    return expand(plan(*rows, **changes), Path("at"), overrides=given or {})


def test_every_row_is_run_once_a_seed_in_a_folder_of_its_own():
    found = runs(Row("FPR penalty (paper)"), Row("Plain", {"optim.peak_lr": 0.5}))
    assert [run.name for run in found] == [
        "fpr-penalty-paper-seed3",
        "plain-seed3",
        "fpr-penalty-paper-seed4",
        "plain-seed4",
    ]
    assert [run.tree["seed"] for run in found] == [3, 3, 4, 4]
    assert found[1].tree["optim"]["peak_lr"] == 0.5
    assert found[0].tree["optim"]["peak_lr"] == base_config().optim.peak_lr
    assert "study" not in found[0].tree


def test_a_row_starts_from_the_run_of_its_own_seed():
    found = runs(Row("Base"), Row("Next", needs={"init.run": "Base"}))
    assert found[3].tree["init"]["run"] == str(Path("at") / "base-seed4")
    assert found[3].needs == ("base-seed4",)


def test_rows_that_share_a_section_change_it_each_its_own_way():
    section = method("fpr_penalty")
    found = runs(
        Row("One", {"method": section, "method.alpha": 0.25}),
        Row("Other", {"method": section, "method.alpha": 2.0}),
    )
    assert [run.tree["method"]["alpha"] for run in found] == [0.25, 2.0, 0.25, 2.0]
    assert section.alpha == 1.0


def test_the_command_line_sets_what_a_row_does_not():
    given = {"optim.peak_lr": 0.1, "optim.weight_decay": 0.2}
    one, *_ = runs(Row("One", {"optim.peak_lr": 0.5}), given=given)
    assert (one.tree["optim"]["peak_lr"], one.tree["optim"]["weight_decay"]) == (0.5, 0.2)


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ((Row("A b"), Row("a-B")), {}, "two rows are called 'a-B'"),
        ((Row("A", needs={"init.run": "B"}), Row("B")), {}, "names 'B', not an earlier row"),
        ((Row("A", published={"Speed": 1.0}),), {}, "names 'Speed', not a column"),
        ((Row("A"),), {"cited": {"B": {"Speed": 1.0}}}, "cited 'B' names 'Speed', not a column"),
        ((Row("A"),), {"seeds": ()}, "there must be a seed"),
        ((Row("A", {"optim.peak_rl": 1.0}),), {}, "did you mean 'optim.peak_lr'"),
        ((Row("A", {"train.epochs": -1.0}),), {}, "row 'A': config.train.epochs=-1.0"),
        (
            (Row("A"),),
            {"claims": (Claim("x", "A", "Z", "Accuracy", "lower"),)},
            "names 'Z', which is none",
        ),
        ((Row("A"),), {"claims": (CLAIM, CLAIM)}, "two claims say 'x'"),
        ((Row("A"),), {"claims": (replace(CLAIM, margin=-1.0),)}, "margin=-1.0; it must be 0 or"),
        ((Row("A"),), {"claims": (CLAIM,), "thesis": THESIS}, "names 'y', which is no claim"),
        (
            (Row("A"),),
            {"claims": (CLAIM,), "thesis": replace(THESIS, must_hold=())},
            "no claim that must hold",
        ),
        ((Row("A"),), {"similar": (("A", "Z"),)}, "`similar` names 'Z', which is no row"),
        (
            (Row("A", {"method.save_features": True}), Row("B")),
            {"similar": (("A", "B"),)},
            "features of row 'B' are to be compared, but it saves none",
        ),
        (
            (Row("A", {"method": method("fpr_penalty")}),),
            {"similar": (("A", "A"),)},
            "features of row 'A' are to be compared, but it saves none",
        ),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(rows, changes, said):
    with pytest.raises(ConfigError, match=said):
        runs(*rows, **changes)


def test_a_run_that_is_not_of_the_study_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match="'b-seed0' is no run .* a-seed3, a-seed4"):
        chosen(runs(Row("A")), "b-seed0")


def test_folder_names_are_plain():
    assert folder_name("  R50: 1e-4 / p=2!", 7) == "r50-1e-4-p-2-seed7"


def tiny_runs(workdir, *rows):
    config = load(str(Path(__file__).parents[1] / "configs" / "tiny.py"))
    whole = study(config, Study(title="T", source="", rows=rows, columns=COLUMNS, seeds=(0,)))
    return expand(whole, workdir, overrides={})


def test_data_that_cannot_be_used_is_named_for_each_run_before_any_is_trained(tmp_path):
    rows = (Row("Whole"), Row("Unbalanced", {"input.balance": "hair"}))
    reasons = unusable_data(tiny_runs(tmp_path, *rows))
    assert [*reasons] == ["unbalanced-seed0"]
    assert "config.input.balance='hair' is no class of this dataset" in reasons["unbalanced-seed0"]


def test_a_study_that_was_moved_goes_on(tmp_path):
    rows = (Row("Base"), Row("Next", needs={"init.run": "Base"}))
    before = tiny_runs(tmp_path / "before", *rows)[1]
    before.folder.mkdir(parents=True)
    write_json(before.folder / "config.json", before.tree)
    write_json(before.folder / "data.json", {"hash": "0", "attributes": {}})
    (tmp_path / "before").rename(tmp_path / "after")
    after = tiny_runs(tmp_path / "after", *rows)
    settle(after)
    kept = read_json(after[1].folder / "config.json")
    assert kept["init"]["run"] == str(tmp_path / "after" / "base-seed0")


def test_a_run_is_done_with_its_last_file(tmp_path):
    run, *_ = expand(plan(Row("A")), tmp_path, overrides={})
    run.folder.mkdir()
    assert not run.done
    (run.folder / "results.json").touch()
    assert not run.done
    (run.folder / "report.html").touch()
    assert run.done


def test_a_run_is_called_by_its_row_and_seed():
    found = runs(Row("FPR penalty"))
    assert [run.tree["title"] for run in found] == ["FPR penalty, seed 3", "FPR penalty, seed 4"]
    assert chosen(found, "fpr-penalty-seed4") is found[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": 3}, "row 'A': train cannot be set to 3"),
        ({"train.epochs": "long"}, "row 'A': train.epochs cannot be set to 'long'"),
        ({"nothing.here": 3}, "row 'A': nothing.here cannot be set to 3"),
        ({"sed": 3}, "row 'A': sed cannot be set to 3; did you mean 'seed'"),
    ],
)
def test_a_change_that_fits_no_key_names_the_row_and_the_key(changes, said):
    with pytest.raises(ConfigError) as caught:
        runs(Row("A", changes))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_of_the_command_line_that_a_row_has_not_is_passed_over():
    one, other, *_ = runs(
        Row("Penalty", {"method": method("fpr_penalty")}),
        Row("Plain"),
        given={"method.alpha": 0.5, "seed": 9},
    )
    assert one.tree["method"]["alpha"] == 0.5
    assert "alpha" not in other.tree["method"]
    assert (one.tree["seed"], other.tree["seed"]) == (3, 3)  # the study's seeds are its own


def test_runs_that_are_compared_save_features():
    row = Row("A", {"method.save_features": True})
    found = runs(row, similar=(("A", "A"),))
    assert all(run.saves_features for run in found)
    assert not any(run.saves_features for run in runs(Row("A")))
    assert not any(run.saves_features for run in runs(Row("A", {"method": method("fpr_penalty")})))


def test_a_finished_run_of_another_config_is_refused_with_the_key(tmp_path):
    before, *_ = tiny_runs(tmp_path, Row("A"))
    before.folder.mkdir(parents=True)
    write_json(before.folder / "config.json", before.tree)
    write_json(before.folder / "data.json", {"hash": "0", "attributes": {}})
    settle([before])
    (after,) = tiny_runs(tmp_path, Row("A", {"optim.peak_lr": 0.5}))
    with pytest.raises(WorkdirError, match="optim.peak_lr"):
        settle([after])


def test_a_base_that_lies_elsewhere_stays_where_it_is(tmp_path):
    rows = (Row("Base"), Row("Next", needs={"init.run": "Base"}))
    run = tiny_runs(tmp_path, *rows)[1]
    run.folder.mkdir(parents=True)
    elsewhere = str(tmp_path / "quite" / "another-seed0")
    kept = {**run.tree, "init": {**run.tree["init"], "run": elsewhere}}
    write_json(run.folder / "config.json", kept)
    write_json(run.folder / "data.json", {"hash": "0", "attributes": {}})
    with pytest.raises(WorkdirError, match="init.run"):
        settle([run])
    assert read_json(run.folder / "config.json")["init"]["run"].endswith("another-seed0")


def test_data_that_cannot_be_loaded_stop_every_run_that_reads_them(tmp_path):
    lost = {"data": dataset("utkface", root=str(tmp_path / "none"))}
    reasons = unusable_data(
        tiny_runs(tmp_path, Row("A", lost), Row("B"), Row("C", {**lost, "optim.peak_lr": 0.5}))
    )
    assert [*reasons] == ["a-seed0", "c-seed0"]
    assert reasons["a-seed0"] == reasons["c-seed0"] and "does not exist" in reasons["a-seed0"]


def test_a_control_is_made_of_the_runs_of_its_own_seed_and_not_trained():
    noise = Row("Noisy", noise=Noise("Plain", "Odd"))
    floor = Floor("Accuracy", "Plain", 1.0)
    found = runs(Row("Plain", {"optim.peak_lr": 0.5}), Row("Odd"), noise, floor=floor)
    run = found[5]
    assert (run.name, run.needs) == ("noisy-seed4", ("plain-seed4", "odd-seed4"))
    assert run.noise == (Path("at") / "plain-seed4", Path("at") / "odd-seed4")
    assert (run.tree["optim"]["peak_lr"], run.tree["title"]) == (0.5, "Noisy, seed 4")
    with pytest.raises(ConfigError, match="noisy-seed4' is not trained"):
        chosen(found, "noisy-seed4")


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ([Row("N", noise=Noise("A", "A"))], {}, "no `floor` names"),
        ([Row("N", noise=Noise("A", "B"))], {}, "names 'B', which is no earlier row"),
        ([Row("N", {"seed": 3}, noise=Noise("A", "A"))], {"floor": "Accuracy"}, "is not trained"),
        ([Row("N", control="N")], {}, "names 'N', which is no earlier row"),
        ([], {"floor": "Speed"}, "`floor` names 'Speed'"),
        ([], {"columns": (Column("R", "fmr", over_others=True),)}, "give it one group"),
    ],
)
def test_controls_and_floors_that_make_no_sense_are_refused(rows, changes, said):
    if "floor" in changes:
        changes = {"floor": Floor(changes["floor"], "A", 1.0)}
    with pytest.raises(ConfigError, match=said):
        runs(Row("A"), *rows, **changes)


@pytest.mark.parametrize("margin", [-0.5, float("inf"), float("nan")])
def test_a_margin_is_a_number_from_nought_on(margin):
    with pytest.raises(ConfigError, match=f"has margin={margin}; it must be 0 or more"):
        runs(Row("A"), claims=(replace(CLAIM, margin=margin),))
    with pytest.raises(ConfigError, match=f"`floor` has margin={margin}; it must be 0 or more"):
        runs(Row("A"), floor=Floor("Accuracy", "A", margin))
    assert runs(Row("A"), claims=(CLAIM,), floor=Floor("Accuracy", "A", 0.0))


def test_a_control_names_rows_that_are_trained_and_come_first():
    floor = Floor("Accuracy", "A", 1.0)
    noisy = Row("N", noise=Noise("A", "A"))
    for row, name in (
        (Row("M", noise=Noise("N", "A")), "N"),
        (Row("M", noise=Noise("A", "N")), "N"),
        (Row("M", control="N"), "N"),
        (Row("M", control="Z"), "Z"),
    ):
        with pytest.raises(ConfigError, match=f"'M' names '{name}', which is no earlier row that"):
            runs(Row("A"), noisy, row, floor=floor)
    with pytest.raises(ConfigError, match="'N' is not trained; leave out changes and needs"):
        runs(Row("A"), replace(noisy, needs={"init.run": "A"}), floor=floor)
    assert runs(Row("A"), noisy, Row("M", control="A"), floor=floor)


def test_a_data_source_is_read_once_for_all_runs_that_share_it(tmp_path, monkeypatch):
    some = tiny_runs(tmp_path, Row("A"), Row("B", {"optim.peak_lr": 0.5}))
    source, loads = type(build_run(some[0].tree).data), []
    load = source.load

    def counting(self, *, seed):
        loads.append(seed)
        return load(self, seed=seed)

    monkeypatch.setattr(source, "load", counting)
    assert unusable_data(some) == {}
    assert loads == [0]


def test_runs_that_were_not_started_settle_nothing(tmp_path):
    settle(tiny_runs(tmp_path, Row("A")))
    assert not list(tmp_path.iterdir())
