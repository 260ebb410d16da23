"""`fairjax plan` as it is typed; compiler and clock are put off by a formula."""

import re
from pathlib import Path

import pytest

from fairjax.cli import main
from fairjax.config import ConfigError, base_config, leaf, override, set_leaf
from fairjax.run import capacity

FACES = str(Path(__file__).parents[1] / "configs" / "tiny_faces.py")


@pytest.fixture(autouse=True)
def formula(monkeypatch):
    def step_bytes(config, recipe, examples, mesh, *, batch):
        return 2**30 + 2**24 * batch

    monkeypatch.setattr(capacity, "step_bytes", step_bytes)
    monkeypatch.setattr(capacity, "time_step", lambda settings, dataset: 9.0)


def test_it_says_what_the_head_and_a_step_need_and_which_batch_fits(capsys):
    flags = ["--config.method.head.name=sharded", "--config.train.head_shards=4"]
    line = ["plan", "--config", FACES, *flags, "--classes", "1000000", "--memory", "3"]
    assert main(line) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "on 4 x cpu, sharded head over 4" in said
    assert "class weights 16,001,024 0.015" in said
    assert "a step of 16 images 1.250" in said
    assert "largest batch: 128 images 3.000" in said


def test_each_setting_that_saves_memory_is_tried_alone_and_those_that_help_together(
    monkeypatch, capsys
):
    def bytes_of_run(settings, dataset):
        size = 2**30 + 2**24 * settings.train.batch_size
        size -= 3 * 2**27 * ("bfloat16" in str(settings.backbone.dtype))
        size -= 2**28 * settings.train.shard_optimizer
        return size + 2**26 * settings.backbone.remat

    monkeypatch.setattr(capacity, "bytes_of_run", bytes_of_run)
    line = ["plan", "--config", FACES, "--config.train.batch_size=24", "--config.seed=7"]
    assert main([*line, "--classes", "10", "--memory", "3", "--savings"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "as it is 1.375 100%" in said
    assert "--config.compute_dtype=bfloat16 1.000 73%" in said
    assert "--config.train.shard_optimizer=True 1.125 82%" in said
    assert "--config.backbone.remat=True 1.438 105%" in said
    assert "all that save memory 0.750 55%" in said
    assert "accumulate=4 is not for this run: config.train.batch_size=24 must be a multiple" in said


def test_without_classes_the_data_is_read(capsys):
    assert main(["plan", "--config", FACES, "--memory", "0.5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "class weights 384 0.000" in said  # 24 people are left to train on
    assert "largest batch: none fits" in said


def test_it_tells_the_hours_of_all_steps_from_one(capsys):
    line = ["plan", "--config", FACES, "--config.train.epochs=100.0"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "a step of 16 images" in said and "9 s" in said
    steps = int(re.search(r"100 epochs: ([\d,]+) steps", said)[1].replace(",", ""))
    assert steps > 100 and f"{steps * 9 / 3600:,.2f} h" in said


@pytest.mark.parametrize("flag", [["--memory", "3"], ["--memory-only"]])
def test_a_plan_for_other_devices_tells_no_hours(capsys, flag):
    assert main(["plan", "--config", FACES, "--classes", "10", *flag]) == 0
    assert "Time on the devices" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--config.method.hed.name=sharded"], "did you mean 'method.head.name'?"),
        (["--config.train.batch_size=many"], "='many' is not a valid int; write for example"),
        (["--config.train.batch_size=10"], "must be a multiple of the 4 devices; try 12"),
        (["--config.train.head_shards=2"], "head_shards=2 splits class weights"),
        (["--config.method.head.chunk=0"], "head.chunk=0 must be above 0"),
        (["--memory", "0"], "--memory=0.0 must be above 0"),
        (["--classes", "1"], "--classes=1 must be above 1"),
    ],
)
def test_a_mistake_is_one_line(capsys, flags, said):
    assert main(["plan", "--config", FACES, "--classes", "10", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_what_training_would_refuse_is_not_planned(capsys):
    for flag, said in (
        ("--config.train.batch_size=1000000000", "is more than the"),
        ("--config.eval.protocol.resamples=0", "resamples=0 must be 1 or more"),
        ("--config.input.balance=planet", "is no class of this dataset"),
        ("--config.eval.protocol.group_by=planet", "planet"),
    ):
        assert main(["plan", "--config", FACES, flag, "--memory", "0.5"]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--config", FACES, "--epochs", "3"])
    with pytest.raises(SystemExit):
        main(["report", "somewhere", "--config.seed=3"])
    assert "unrecognized arguments: --config.seed=3" in capsys.readouterr().err


def test_so_many_devices_are_simulated(monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr("jax.config.update", lambda key, value: asked.update({key: value}))
    line = ["plan", "--config", FACES, "--classes", "10", "--memory", "9", "--devices", "4"]
    assert main(line) == 0
    assert asked == {"jax_platforms": "cpu", "jax_num_cpu_devices": 4}
    assert "on 4 x cpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("train.epochs=3", "train.epochs", 3.0),
        ("optim.peak_lr=1e-3", "optim.peak_lr", 0.001),
        ("title=a run", "title", "a run"),
        ("method.save_features=true", "method.save_features", True),
        ("method.save_features=False", "method.save_features", False),
        ("input.image_size=64", "input.image_size", 64),
    ],
)
def test_a_key_of_the_command_line_takes_the_type_of_its_default(word, key, value):
    config = base_config()
    override(config, [f"--config.{word}"])
    found = leaf(config, key)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trian.epochs=3", "--config.trian.epochs cannot be set; did you mean 'train.epochs'?"),
        ("train=3", "--config.train cannot be set"),
        ("train.batch_size=1e", "--config.train.batch_size='1e' is not a valid int; write for"),
        ("train.batch_size=", "--config.train.batch_size='' is not a valid int"),
        ("input.augment.brightness=[1,x]", "--config.input.augment.brightness='[1,x]' is not"),
    ],
)
def test_a_key_that_is_none_or_has_another_type_is_refused(word, said):
    with pytest.raises(ConfigError) as caught:
        override(base_config(), [f"--config.{word}"])
    assert str(caught.value).startswith(said)


def test_a_value_is_set_by_its_path_or_refused_with_the_nearest():
    config = base_config()
    set_leaf(config, "optim.peak_lr", 0.5)
    set_leaf(config, "seed", 7)
    assert (config.optim.peak_lr, config.seed) == (0.5, 7)
    with pytest.raises(ConfigError, match="optim.peak_rl cannot be set to 0.5; did you mean 'opt"):
        set_leaf(config, "optim.peak_rl", 0.5)
    with pytest.raises(ConfigError, match="seed.more cannot be set to 1"):
        set_leaf(config, "seed.more", 1)


def test_the_plan_of_an_audit_needs_no_config(capsys, tmp_path):
    line = ["plan", "audit", "--fmr", "1e-2", "--groups", "3", "--out", str(tmp_path / "plan")]
    assert main(line) == 0
    assert "people in each of the 3 groups" in capsys.readouterr().out
    assert main(["plan", "audit", "--fmr", "1e-2", "--people", "90,80,70"]) == 0
    assert "These people can show" in capsys.readouterr().out
    assert main(["plan", "audit", "--fmr", "1e-2", "--people", "90,80", "--groups", "3"]) == 2
    assert "one for each of the 3 groups" in capsys.readouterr().err
    assert (tmp_path / "plan" / "results.json").exists()
    assert main(["plan", "audit", "--people", "100", "--ratio", "3"]) == 0
    assert "can show a ratio of" in capsys.readouterr().out


def test_a_plan_is_of_a_run_or_of_an_audit(capsys):
    assert main(["plan"]) == 2
    assert "fairjax plan audit" in capsys.readouterr().err
    assert main(["plan", "--config", FACES, "audit"]) == 2
    assert "leave out --config" in capsys.readouterr().err
    assert main(["plan", "audit", "--groups", "1"]) == 2
    assert capsys.readouterr().err == "fairjax: --groups 1 must be 2 or more.\n"


def test_every_assumption_of_an_audits_plan_can_be_said(capsys, tmp_path):
    line = ["plan", "audit", "--fnmr", "0.1", "--images-per-person", "3", "--power", "0.9"]
    line += ["--points", "2", "--shared", "0.2", "--nonmated-pairs", "50000"]
    line += ["--ratio", "3", "--fmr", "1e-2"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "with 3 images each" in said and "in 90% of audits" in said
    assert "over 4 two-sided tests" in said and "assumed: 20%" in said
    assert main(["plan", "audit", "--like", str(tmp_path)]) == 1
    assert "there is no results.json" in capsys.readouterr().err
