"""The main door, as a user types it: one process, several, and every mistake in one line."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import several_processes
from filelock import FileLock

from fairjax import main as door
from fairjax.core.results import load_results
from fairjax.run.progress import read_metrics

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "configs" / "tiny.py"


def command(workdir, *flags, config=TINY):
    return [
        sys.executable,
        "-m",
        "fairjax.main",
        f"--config={config}",
        f"--workdir={workdir}",
        *flags,
    ]


def environment(devices=1, **more):
    clean = {k: v for k, v in os.environ.items() if k != "FAIRJAX_DATA"}
    return {**clean, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), **more}


def main(workdir, *flags, devices=1, config=TINY, **more):
    return subprocess.run(
        command(workdir, *flags, config=config),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(devices, **more),
    )


def refused(done):
    """The one line of a refusal: 2 for a command line or a config, 1 for data or a folder."""
    assert done.returncode in (1, 2), done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("fairjax: "), done.stderr
    assert "Traceback" not in done.stderr
    return lines[-1]


def losses(workdir):
    lines = read_metrics(workdir / "metrics.jsonl")
    return {line["step"]: line["loss"] for line in lines if line["kind"] == "train"}


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one")
    done = main(workdir, "--profile=2")
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_a_run_leaves_what_the_readme_says(one_device):
    workdir, done = one_device
    assert {
        "config.json",
        "environment.json",
        "data.json",
        "metrics.jsonl",
        "checkpoints",
        "predictions.npz",
        "results.json",
        "report.html",
        "outcome.json",
        "profile",
    } <= {path.name for path in workdir.iterdir()}
    assert done.stdout.strip().endswith(f"Report: {workdir / 'report.html'}")
    results = load_results(workdir / "results.json")
    assert (
        results.provenance["data_hash"] == json.loads((workdir / "data.json").read_text())["hash"]
    )
    assert results.get("gender_accuracy").n == 36


def test_the_same_line_again_prints_the_same_verdict_and_trains_nothing(one_device):
    workdir, first = one_device
    before = (workdir / "metrics.jsonl").read_bytes()
    again = main(workdir)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert "holds a finished run" in again.stderr
    assert (workdir / "metrics.jsonl").read_bytes() == before


def fairjax(*arguments):
    """The console script, in a process that must not load JAX."""
    code = "import sys; from fairjax.cli import main; s = main(); assert 'jax' not in sys.modules"
    return subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(s)", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_fairjax_report_makes_the_same_numbers_from_the_predictions_alone(one_device, tmp_path):
    copy = tmp_path / "run"
    kept = shutil.ignore_patterns("checkpoints", "results.json", "report.html")
    shutil.copytree(one_device[0], copy, ignore=kept)
    done = fairjax("report", copy)
    assert done.returncode == 0, done.stderr
    assert (copy / "results.json").read_bytes() == (one_device[0] / "results.json").read_bytes()
    assert (copy / "report.html").exists()


def test_fairjax_report_of_a_folder_that_holds_no_run_is_refused(tmp_path):
    done = fairjax("report", tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"fairjax: {tmp_path}/config.json is missing; is {tmp_path} the folder of a run?\n"
    )


@pytest.mark.exhaustive
def test_four_devices_equal_one(one_device, tmp_path):
    done = main(tmp_path, devices=4)
    assert done.returncode == 0, done.stderr
    expected, got = losses(one_device[0]), losses(tmp_path)
    assert got.keys() == expected.keys()
    np.testing.assert_allclose([got[s] for s in got], [expected[s] for s in got], rtol=1e-3)


def pair_of_processes(folder, kinds):
    """Folder of a run by two processes of two devices; beside it what `several_processes` left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logs = [folder / f"process{k}.log" for k in range(2)]
    script = ROOT / "tests" / "several_processes.py"
    with contextlib.ExitStack() as stack:
        processes = []
        for k, log in enumerate(logs):
            flags = [f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={k}"]
            run = [f"--config={TINY}", f"--workdir={folder / 'run'}", *flags]
            process = subprocess.Popen(
                [sys.executable, str(script), str(folder), ",".join(kinds), *run],
                stdout=stack.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment(2),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        codes = [process.wait(timeout=1200) for process in processes]
    assert codes == [0, 0], "\n".join(log.read_text()[-2000:] for log in logs)
    return folder / "run"


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return pair_of_processes(tmp_path_factory.mktemp("two"), several_processes.KINDS)


@pytest.mark.slow
def test_two_processes_of_two_devices_equal_one_process_of_one(one_device, two_processes):
    expected, got = losses(one_device[0]), losses(two_processes)
    assert got.keys() == expected.keys()
    np.testing.assert_allclose([got[s] for s in got], [expected[s] for s in got], rtol=1e-3)
    environment_said = json.loads((two_processes / "environment.json").read_text())
    assert environment_said["devices"]["processes"] == 2
    assert (two_processes / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", several_processes.KINDS)
def test_two_processes_four_devices_and_one_have_the_same_losses(two_processes, kind):
    assert_one_process_trains_alike(two_processes, kind, (4, 1))


@pytest.mark.exhaustive
def test_two_processes_train_autoencoders_and_two_views_like_one(tmp_path):
    run = pair_of_processes(tmp_path, several_processes.MORE_KINDS)
    for kind in several_processes.MORE_KINDS:
        # `test_every_method` compares their steps on four devices and on one
        assert_one_process_trains_alike(run, kind, (4,))


def assert_one_process_trains_alike(run, kind, meshes):
    got = json.loads((run.parent / "losses.json").read_text())[kind]
    assert len(got) == several_processes.STEPS and len(set(got)) > 1
    for devices in meshes:
        steps = several_processes.train(kind, devices)
        np.testing.assert_allclose([loss for _, loss, _ in steps], got, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fewer"), [("fpr_penalty", (2, 1)), ("adversarial_removal", (1,))]
)
def test_a_split_head_and_an_adversary_resume_on_fewer_devices(
    two_processes, tmp_path, kind, fewer
):
    """What two processes of two devices saved; the class weights lay on two of them."""
    got = json.loads((two_processes.parent / "losses.json").read_text())[kind]
    folder = shutil.copytree(two_processes.parent / kind, tmp_path / kind)
    for devices in fewer:
        recipe = several_processes.recipe_of(kind, several_processes.mesh_of(kind, devices))
        with several_processes.saved(folder) as checkpoints:
            state, _ = checkpoints.restore(recipe.abstract_state)
            number, loss, state = next(several_processes.train(kind, devices, state))
            np.testing.assert_allclose(loss, got[number - 1], rtol=1e-4)
            checkpoints.save(state, step=number, config={}, position={}, metrics=None)
    assert number == several_processes.SAVED + len(fewer)


@pytest.mark.slow
def test_sigterm_saves_says_how_to_go_on_and_two_devices_finish_what_four_began(
    one_device, tmp_path
):
    with subprocess.Popen(
        command(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(4),
    ) as process:
        while len(losses(tmp_path)) < 3 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "all is saved. To go on:" in out
    assert f"python -m fairjax.main --config={TINY} --workdir={tmp_path}" in out
    stopped_at = max(losses(tmp_path))
    done = main(tmp_path, devices=2)
    assert done.returncode == 0, done.stderr
    assert f"Resumed from step {stopped_at}" in done.stderr
    expected, got = losses(one_device[0]), losses(tmp_path)
    assert got.keys() == expected.keys()
    np.testing.assert_allclose([got[s] for s in got], [expected[s] for s in got], rtol=1e-3)


def test_another_config_in_the_same_workdir_is_refused_by_key(one_device):
    said = refused(main(one_device[0], "--config.optim.peak_lr=0.5"))
    assert "optim.peak_lr: 0.02 -> 0.5" in said


def test_other_data_under_the_same_config_is_refused(one_device, tmp_path):
    for name in ("config.json", "data.json"):
        shutil.copy(one_device[0] / name, tmp_path)
    manifest = json.loads((tmp_path / "data.json").read_text())
    (tmp_path / "data.json").write_text(json.dumps({**manifest, "splits_hash": "0" * 32}))
    assert "holds a run on other data (its splits differ" in refused(main(tmp_path))


def test_two_runs_in_one_workdir_at_once_are_refused(tmp_path):
    with FileLock(tmp_path / ".lock"):
        (tmp_path / ".owner").write_text("4711\n")
        done = main(tmp_path)
    assert "in use by another run (process 4711)" in refused(done)
    assert done.returncode == 1


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_says_how_to_call_the_command_and_names_every_flag(flag, capsys):
    with pytest.raises(SystemExit) as caught:
        door.parse(["fairjax.main", "--workdir=x", flag])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert said.startswith("usage: python -m fairjax.main --config FILE[:ARG] --workdir DIR")
    flags = set(door.flags.FLAGS.flags_by_module_dict()[door.__name__])
    assert {f"--{flag.name}" for flag in flags} <= set(re.findall(r"^  (--\w+)", said, re.M))
    assert max(map(len, said.splitlines())) <= 100
    assert "exit codes: 0 done; 1 " in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--config.train.epoch=1"], "did you mean 'train.epochs'"),
        (["--config.train.batch_size=-2"], "config.train.batch_size=-2 must be above 0"),
        (["--config.backbone.name=resnext"], "did you mean 'resnet'"),
        (["--processes=2"], "--coordinator, --process is missing"),
    ],
)
def test_a_mistake_gives_one_line_that_says_what_to_type(tmp_path, flags, said):
    done = main(tmp_path / "run", *flags)
    assert said in refused(done)
    assert done.returncode == 2
    assert not (tmp_path / "run").exists(), "nothing was touched"


def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path):
    done = main(tmp_path / "run", devices=3)
    assert "config.train.batch_size=16 must be a multiple of the 3 devices; try 18" in refused(done)


def test_a_workdir_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert "cannot be written" in refused(main(tmp_path / "file" / "run"))


def test_a_missing_data_root_says_where_the_data_is_from(tmp_path):
    config = ROOT / "configs" / "utkface" / "resnet50.py"
    said = refused(main(tmp_path / "run", config=f"{config}:small"))
    for words in ("FAIRJAX_DATA", "non-commercial research", "--config.data.root"):
        assert words in said
