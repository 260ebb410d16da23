"""The loop end to end on generated faces, with a backbone small enough for seconds."""

import json
import math
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from fairjax.config import ConfigError, load, method, task, vit
from fairjax.core.results import load_results
from fairjax.core.settings import InputSettings
from fairjax.core.types import Target
from fairjax.data.dataset import DataError, Dataset
from fairjax.run import train
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_variables
from fairjax.run.experiment import run_experiment
from fairjax.run.prepare import check_balance, check_batch, check_labels, dry_run, targets_of
from fairjax.run.progress import read_metrics

TINY = Path(__file__).parents[1] / "configs" / "tiny.py"


def tiny_config(**changes):
    config = load(str(TINY))
    config.update_from_flattened_dict(changes)
    return config


def run(config, workdir):
    workdir.mkdir(exist_ok=True)
    settings = build_run(config)
    return train.train(settings, workdir, settings.data.load(seed=settings.seed))


def ready(config):
    settings = build_run(config)
    return settings, settings.data.load(seed=settings.seed)


def losses(workdir):
    lines = read_metrics(workdir / "metrics.jsonl")
    return {line["step"]: line["loss"] for line in lines if line["kind"] == "train"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished")
    outcome = run(tiny_config(), workdir)
    assert outcome.finished
    return workdir, outcome


def test_a_run_lowers_its_loss_and_leaves_predictions(finished):
    workdir, outcome = finished
    by_step = losses(workdir)
    steps = sorted(by_step)
    assert steps == list(range(1, outcome.step + 1))
    third = len(steps) // 3
    assert np.mean([by_step[s] for s in steps[-third:]]) < np.mean(
        [by_step[s] for s in steps[:third]]
    )
    with np.load(workdir / "predictions.npz") as columns:
        assert {"id", "cluster", "age", "pred_age", "prob_gender", "prob_group"} <= set(columns)
        assert len(set(columns["id"])) == len(columns["id"])
        np.testing.assert_allclose(columns["prob_gender"].sum(axis=1), 1.0, rtol=1e-5)


def interrupt_after(workdir, step):
    """Sends SIGTERM to this process once the log has reached a step."""

    def watch():
        path = workdir / "metrics.jsonl"
        while not (path.exists() and len(path.read_text().splitlines()) >= step):
            threading.Event().wait(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_stopped_and_resumed_equals_uninterrupted(finished, tmp_path):
    thread = interrupt_after(tmp_path, 3)
    first = run(tiny_config(), tmp_path)
    thread.join()
    assert not first.finished
    assert first.signal_number == signal.SIGTERM
    assert 3 <= first.step < finished[1].step
    second = run(tiny_config(), tmp_path)
    assert second.finished
    expected, got = losses(finished[0]), losses(tmp_path)
    assert got.keys() == expected.keys()
    np.testing.assert_array_equal([got[s] for s in got], [expected[s] for s in got])
    with (
        np.load(finished[0] / "predictions.npz") as whole,
        np.load(tmp_path / "predictions.npz") as parts,
    ):
        np.testing.assert_array_equal(whole["pred_age"], parts["pred_age"])


@pytest.mark.exhaustive
def test_a_head_over_two_devices_stopped_and_resumed_equals_uninterrupted(tmp_path):
    def config():
        config = load(str(TINY.with_name("tiny_faces.py")))
        config.backbone = vit(dim=16, depth=1, heads=2)
        config.method = method("fpr_penalty", head=dict(name="streamed", chunk=48), gamma_u=0.1)
        config.train.update(head_shards=2, ema_decay=0.5, epochs=3.0, evaluate_every=3.0)
        return config

    assert run(config(), tmp_path / "whole").step == 9
    (tmp_path / "parts").mkdir()
    thread = interrupt_after(tmp_path / "parts", 3)
    assert not run(config(), tmp_path / "parts").finished
    thread.join()
    assert run(config(), tmp_path / "parts").finished
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    variables = []
    for name in ("whole", "parts"):
        (tmp_path / name / "outcome.json").write_text(json.dumps({"evaluated_step": 9}))
        variables.append(read_variables(tmp_path / name))
    whole, parts = variables
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    kernel = whole["params"]["head"]["kernel"]
    assert kernel.shape == (128, 16)
    assert kernel[:24].any(axis=1).all()
    assert not kernel[24:].any(), "a class that is none has moved"


def test_a_head_that_is_whole_is_not_split():
    config = load(str(TINY.with_name("tiny_faces.py")))
    for head, shards, said in (
        ("dense", 2, "set config.method.head.name='streamed'"),
        ("streamed", 3, "head_shards=3 must be a power of two, at most 128"),
    ):
        config.method.head.name, config.train.head_shards = head, shards
        with pytest.raises(ConfigError, match=said):
            build_run(config)
    config.method.head.name, config.train.head_shards = "streamed", 4
    build_run(config)
    with pytest.raises(ConfigError, match="head_shards=2 splits class weights"):
        build_run(tiny_config(**{"train.head_shards": 2}))


def test_a_killed_run_loses_only_what_its_log_said_after_the_checkpoint(finished, tmp_path):
    thread = interrupt_after(tmp_path, 3)
    first = run(tiny_config(), tmp_path)
    thread.join()
    with (tmp_path / "metrics.jsonl").open("a") as file:  # lines of steps that were never saved
        file.write(json.dumps({"step": first.step + 1, "kind": "train", "loss": -1.0}) + "\n")
        file.write('{"step": 99, "kin')
    run(tiny_config(), tmp_path)
    assert losses(tmp_path) == losses(finished[0])


def test_early_stop_ends_after_its_patience(tmp_path):
    config = tiny_config(**{"train.patience": 1, "train.epochs": 40.0, "optim.peak_lr": 1e-12})
    outcome = run(config, tmp_path)
    looks = [m for m in read_metrics(tmp_path / "metrics.jsonl") if m["kind"] == "validation"]
    assert outcome.finished
    assert outcome.step < 200
    assert len(looks) >= 2
    assert run(config, tmp_path).step == outcome.step, "a stopped run stays stopped"


def test_a_non_finite_loss_names_step_images_and_checkpoint(tmp_path):
    config = tiny_config(**{"optim.peak_lr": 1e30, "train.epochs": 3.0})
    with pytest.raises(FloatingPointError, match=r"not finite at step \d+; its images: .*; there"):
        run(config, tmp_path)


def test_logged_means_are_over_all_steps_since_the_last_line_however_often_it_was_saved(
    finished, tmp_path
):
    config = tiny_config(**{"train.log_every": 5, "train.checkpoint_every": 0.0})
    thread = interrupt_after(tmp_path, 1)  # in the second window, as a rule
    assert not run(config, tmp_path).finished
    thread.join()
    assert run(config, tmp_path).finished
    by_step = losses(finished[0])
    windows = {5: range(1, 6), 10: range(6, 11), 15: range(11, 16), 16: [16]}
    found = losses(tmp_path)
    assert found.keys() == windows.keys()
    for step, steps in windows.items():
        assert found[step] == pytest.approx(np.mean([by_step[s] for s in steps]), rel=1e-6)


def test_the_speed_leaves_out_pauses_and_steps_of_an_earlier_process(monkeypatch):
    now = iter([0.0, 0.5, 1.25, 1.5, 1.8, 2.0, 5.0, 5.0, 5.9, 6.0])
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: next(now)))
    batches = SimpleNamespace(waited_s=0.0)
    window = train.Window(batches, [{"loss": 1.0}])  # at 0
    with window.dispatching():  # from 0.5 to 1.25
        pass
    window.add(pending(loss=2.0))  # from 1.5 to 1.8
    window.pause()  # from 2 to 5
    window.go_on()
    window.add(pending(loss=3.0))  # from 5 to 5.9
    batches.waited_s = 0.3
    speed = window.speed(30)  # at 6: two steps of 30 in three seconds
    assert speed == pytest.approx(
        {
            "images_per_second": 20.0,
            "waiting_share": 0.1,
            "dispatch_share": 0.25,
            "device_share": 0.4,
            "paused_seconds": 3.0,
        }
    )
    assert window.means() == {"loss": 2.0}


def pending(**scalars):
    """A step that has been dispatched, with these scalars."""
    scalars = {name: jnp.float32(value) for name, value in scalars.items()}
    return train.Pending(1, scalars, np.array(["a"]), None)


def test_a_signal_that_is_ignored_stays_so_and_the_first_one_gives_way_to_the_second():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    own = signal.getsignal(signal.SIGTERM)
    try:
        with train.stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.number == 0
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.number == signal.SIGTERM
            assert signal.getsignal(signal.SIGTERM) == own
    finally:
        signal.signal(signal.SIGHUP, before)


def test_means_are_known_where_other_code_resumes_a_run_and_logs_other_names():
    before = [{"loss": 1.0, "old": 4.0}, {"loss": float("nan"), "old": 6.0}]
    window = train.Window(SimpleNamespace(waited_s=0.0), before)
    window.add(pending(loss=5.0, new=2.0))
    assert window.means() == {"loss": 3.0, "old": 5.0, "new": 2.0}


def test_a_mean_is_over_the_steps_that_had_rows_for_it():
    window = train.Window(SimpleNamespace(waited_s=0.0))
    for seen, never in ((1.0, math.nan), (math.nan, math.nan), (3.0, math.nan)):
        window.add(pending(loss=2.0, seen=seen, never=never))
    assert window.means() == {"loss": 2.0, "seen": 2.0}


@pytest.mark.parametrize("name", ["loss", "age_loss", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_loss_and_no_gradient_may_lack_a_value(name, value):
    with pytest.raises(FloatingPointError, match=f"{name} not finite at step 7"):
        train.finite(7, {name: jnp.float32(value)}, np.array(["a"]), None)


def test_best_weights_are_evaluated_when_asked(tmp_path):
    config = tiny_config(**{"eval.weights": "best", "train.best_metric": "age_mae"})
    outcome = run(config, tmp_path)
    looks = {
        m["step"]: m["age_mae"]
        for m in read_metrics(tmp_path / "metrics.jsonl")
        if m["kind"] == "validation"
    }
    assert outcome.checkpoint == min(looks, key=looks.get)


def test_an_unknown_best_metric_is_said_before_the_first_step(tmp_path):
    with pytest.raises(ConfigError, match="'f1' is not measured; choose from: .*age_mae"):
        run(tiny_config(**{"train.best_metric": "f1"}), tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_protocol_that_does_not_fit_the_data_is_refused_before_training():
    config = tiny_config(**{"eval.protocol.group_by": "race"})
    with pytest.raises(ConfigError, match="group_by='race' must be a classified attribute: one of"):
        dry_run(*ready(config))


def test_attention_over_rightly_classified_images_needs_a_classifier_of_them():
    looks = {"eval.sensitivity.attribute": "group", "eval.sensitivity.images": "correct"}
    config = tiny_config(**looks)
    config.backbone = vit("tiny", dim=16, depth=1, heads=2, patch=8)
    config.method.tasks = ConfigDict({"age": task("regression", "age")})
    with pytest.raises(ConfigError, match="needs a classifier of group; this model is none"):
        dry_run(*ready(config))


def test_early_stopping_counts_looks_without_improvement():
    position = {"best": None, "stale": 0, "stopped": False}
    seen = []
    for value in (3.0, 2.0, 2.5, 2.0):
        position = train.update_early_stopping(position, {"loss": value}, best="loss", patience=2)
        seen.append((position["best"], position["stale"], position["stopped"]))
    assert seen == [(3.0, 0, False), (2.0, 0, False), (2.0, 1, False), (2.0, 2, True)]


def test_targets_are_those_of_the_training_split():
    _, dataset = ready(tiny_config())
    targets = targets_of(dataset)
    ages = dataset.splits["train"].labels["age"]
    assert targets["age"] == Target((), float(ages.mean()), float(ages.std()))
    assert targets["gender"].values == dataset.attributes["gender"].values


def test_a_label_outside_its_range_is_an_error_before_the_first_step():
    settings, dataset = ready(tiny_config())
    labels = dict(dataset.splits["test"].labels)
    labels["gender"] = labels["gender"].copy()
    labels["gender"][3] = 7
    broken = dataset.splits["test"].__class__(
        dataset.splits["test"].ids, labels, dataset.splits["test"].cluster, lambda rows: rows
    )
    bad = Dataset("phantom", dataset.attributes, {**dataset.splits, "test": broken}, {})
    with pytest.raises(DataError, match="gender=7 of image .* is outside 0..1"):
        check_labels(settings, bad)


def test_a_batch_of_more_than_all_images_is_refused():
    settings, dataset = ready(tiny_config())
    check_batch(settings, dataset)
    images = len(dataset.splits["train"])
    train = replace(settings.train, batch_size=images + 1)
    words = f"{images + 1} is more than the {images} training images"
    with pytest.raises(ConfigError, match=words):
        check_batch(replace(settings, train=train), dataset)


def test_training_is_balanced_by_a_class_of_the_data_or_not_at_all():
    _, dataset = ready(tiny_config())
    for name in ("", "group", "gender"):
        check_balance(InputSettings(balance=name), dataset)
    for name in ("age", "grop"):
        with pytest.raises(ConfigError, match=f"{name}' is no class .*; it has: gender, group"):
            check_balance(InputSettings(balance=name), dataset)


@pytest.mark.slow
def test_one_task_of_age_bins_runs_to_its_table(tmp_path):
    config = tiny_config(**{"train.epochs": 0.3, "train.best_metric": "age_bin_loss"})
    edges = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
    config.method.tasks = ConfigDict(dict(age_bin=task("bins", "age", edges=edges)))
    assert run_experiment(build_run(config), tmp_path) == 0
    results = load_results(tmp_path / "results.json")
    assert results.protocol["tasks"] == ["age_bin"]
    assert results.get("age_bin_weighted_f1_std", across="group").ddof == 1


@pytest.mark.slow
def test_a_part_waits_for_its_turn_in_inference_mode_and_is_then_trained(tmp_path):
    changes = {"optim.unfreeze.parts": ("backbone",), "optim.unfreeze.every_epochs": 1.0}
    outcome = run(tiny_config(**changes), tmp_path / "run")
    by_step = {}
    for step in (8, outcome.step):
        (tmp_path / "run" / "outcome.json").write_text(json.dumps({"evaluated_step": step}))
        by_step[step] = read_variables(tmp_path / "run")
    stem, later = (tree["batch_stats"]["backbone"]["stem_norm"] for tree in by_step.values())
    assert not stem["mean"].any()  # as it was created: nothing moved it
    assert later["mean"].any()
    kernels = [tree["params"]["backbone"]["stem_conv"]["kernel"] for tree in by_step.values()]
    assert not np.array_equal(*kernels)
