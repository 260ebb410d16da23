"""Which trainings count, from their logs."""

import json

import pytest

from fairjax.config.study import Floor, Noise, Row, Study
from fairjax.core.results import Measure, Results, save_results
from fairjax.study.learned import Training, not_learned, training_of, trainings, why_not

LEARNED = Training(first_loss=2.0, last_loss=1.0, margined=None, threshold=None, validation=1.0)


def write(folder, losses, *, validation=(), **more):
    folder.mkdir(exist_ok=True)
    lines = [
        {"step": 10 * (k + 1), "kind": "train", "loss": loss} | {n: v[k] for n, v in more.items()}
        for k, loss in enumerate(losses)
    ]
    lines += [{"step": 100, "kind": "validation", "loss": loss} for loss in validation]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)


def test_the_end_is_the_last_tenth_of_the_steps(tmp_path):
    # 20 lines, steps 10 to 200; those after 180 are the end.
    losses = [5.0] + [9.0] * 17 + [2.0, 4.0]
    write(tmp_path, losses, margined_cosine=[0.0] * 18 + [0.5, 0.7], validation=(3.0, 2.5, 2.6))
    found = training_of(tmp_path)
    assert found == Training(5.0, 3.0, pytest.approx(0.6), None, 2.5)


def test_the_threshold_is_the_lowest_of_the_tests_for_everyone(tmp_path):
    write(tmp_path, [2.0] * 5, margined_cosine=[0.4] * 5)

    def fmr(threshold, **group):
        return Measure("fmr", 0.01, "fraction", 9, group, at="FMR", threshold=threshold)

    measures = [fmr(0.3), fmr(0.5), fmr(0.1, race="Asian"), Measure("eer", 0.1, "fraction", 9)]
    save_results(tmp_path / "results.json", Results("verification", {}, measures, {}, [], {}))
    assert training_of(tmp_path).threshold == 0.3
    (tmp_path / "results.json").write_text("{")
    assert training_of(tmp_path).threshold is None


def test_a_folder_without_a_log_and_a_log_of_few_lines_say_nothing(tmp_path):
    assert training_of(tmp_path) == Training(None, None, None, None, None)
    write(tmp_path, [2.0, 2.0])
    assert why_not(training_of(tmp_path), None) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"last_loss": 1.89}, ""),
        ({"last_loss": 1.9}, "its loss is still on the plateau: 1.9 at the end, 2 at the start"),
        ({"last_loss": 2.0, "margined": 0.31, "threshold": 0.3}, ""),  # the margin grew
        (
            {"margined": 0.3, "threshold": 0.3},
            "mean target cosine after it 0.30, the test accepts from 0.30 on",
        ),
        ({"validation": 1.51}, "above 1.5 times the 1 of training from labels alone"),
        ({"validation": 1.5}, ""),
        ({"validation": None}, ""),
    ],
)
def test_why_a_training_has_not_learned(changed, said):
    found = why_not(LEARNED._replace(**changed), LEARNED)
    assert said in found and bool(said) == bool(found)


def test_a_row_has_learned_where_all_its_seeds_and_those_it_is_made_from_have(tmp_path):
    rows = (
        Row("Labels"),
        Row("Before"),
        Row("After", needs={"init.run": "Before"}, control="Labels"),
        Row("Costly", control="Labels"),
        Row("Noisy", noise=Noise("Before", "Labels")),
        Row("Fine", noise=Noise("Labels", "Before")),
    )
    study = Study("S", "", rows, (), seeds=(0, 1), floor=Floor("Accuracy", "Labels", 1.0))
    falling, flat = [2.0, 1.5, 1.2, 1.1, 1.0], [2.0] * 5
    for name, seed, losses, validation in (
        ("labels", 0, falling, (1.0,)),
        ("labels", 1, falling, (2.0,)),
        ("before", 0, falling, ()),
        ("before", 1, flat, ()),
        ("after", 0, falling, (1.0,)),
        ("after", 1, falling, (1.0,)),
        ("costly", 0, falling, (1.6,)),
        ("costly", 1, falling, (2.9,)),
    ):
        write(tmp_path / f"{name}-seed{seed}", losses, validation=validation)
    trained = trainings(tmp_path, study)
    assert "Noisy" not in trained
    found = not_learned(study, trained)
    assert found.keys() == {"Before", "After", "Costly", "Noisy"}
    assert found["Before"].startswith("seed 1: its loss") and "(1 of 2 seeds)" in found["Before"]
    assert found["After"].startswith("Before, which it is made from, has not: seed 1")
    assert found["Costly"].startswith("seed 0: its validation loss is 1.6")
    assert found["Noisy"].startswith("Before, which it is made from")


@pytest.mark.parametrize(("lines", "start"), [(4, None), (5, 2.0)])
def test_a_start_and_an_end_are_told_apart_from_five_lines_on(tmp_path, lines, start):
    write(tmp_path, [2.0] * lines)
    assert training_of(tmp_path) == Training(start, 2.0, None, None, None)


def test_the_end_is_by_steps_and_not_by_lines(tmp_path):
    lines = [{"step": step, "kind": "train", "loss": loss} for step, loss in STEPS.items()]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_of(tmp_path).last_loss == pytest.approx(2.0)


STEPS = {1: 9.0, 2: 8.0, 3: 7.0, 90: 6.0, 91: 3.0, 100: 1.0}  # logged often where it starts


def test_the_first_seed_that_has_not_learned_is_quoted_and_all_are_counted():
    study = Study("S", "", (Row("A"),), (), seeds=(3, 5, 8))
    flat = LEARNED._replace(last_loss=2.0)
    found = not_learned(study, {"A": [LEARNED, flat, flat._replace(last_loss=1.95)]})
    assert found["A"].startswith("seed 5: its loss is still on the plateau: 2 at the end")
    assert found["A"].endswith("(2 of 3 seeds)")
    assert not_learned(study, {"A": [LEARNED] * 3}) == {}


def test_each_seed_costs_as_much_as_its_own_control():
    study = Study("S", "", (Row("Labels"), Row("A", control="Labels")), (), seeds=(0, 1))
    costs = [LEARNED._replace(validation=value) for value in (1.0, 4.0)]
    own = [LEARNED._replace(validation=value) for value in (1.4, 5.9)]
    assert not_learned(study, {"Labels": costs, "A": own}) == {}
    assert not_learned(study, {"Labels": costs[::-1], "A": own}).keys() == {"A"}
