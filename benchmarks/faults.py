"""Fault campaign: a small run is disturbed, resumed and compared with an undisturbed one.

    python benchmarks/faults.py [--kills 50] [--each 12] [--seed 0] [--only kill ...]

A tiny ResNet trains on generated faces for 60 steps, with checkpoints as often as they can be
written. The faults:

    kill      SIGKILL at random moments, every third one while a checkpoint is being written
    signal    SIGTERM and SIGINT: at the start, while training, while saving, at the end
    disk      no space left at each write of a whole file, one after the other
    damage    a flipped bit in a file of the newest checkpoint, or half of the file cut off
    gone      the folder of checkpoints disappears while the run trains, and comes back
    writers   two runs of one folder at once
    clock     the wall clock is set back by an hour, twice, while the run trains; or it is a day
              off at every second look, and the run trains to its end

After each fault the same line is started again until the run is finished. A fault is survived if
the weights are bit for bit those of the undisturbed run and so are the results; else it is lost.
Prints a line a kind of fault: injected, survived, lost, and how many came too late, after the run's
end, and are not counted. Ends with 1 if anything is lost.

Runs are forked from a process that has imported everything. Linux alone.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "tests" / "configs" / "tiny.py"
FLAGS = ("--config.train.epochs=8.0", "--config.train.checkpoint_every=0.05")
Hook = Callable[[], None]


class Missed(Exception):
    """The run had ended before the fault struck."""


def child(workdir: str, log: str, hook: Hook | None) -> None:
    """One start of the training line; never returns."""
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from absl import app

    from fairjax import main as door

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, door.leave_at_once)
    sys.argv = ["fairjax.main", f"--config={CONFIG}", f"--workdir={workdir}", *FLAGS]
    if hook is not None:
        hook()
    app.run(door.guarded, flags_parser=door.parse)


class Run:
    """The run of one folder, started as often as need be."""

    def __init__(self, context: Any, folder: Path) -> None:
        self.context, self.folder, self.log = context, folder, folder.with_suffix(".log")

    def start(self, hook: Hook | None = None) -> Any:
        """Starts the line."""
        arguments = (str(self.folder), str(self.log), hook)
        process = self.context.Process(target=child, args=arguments)
        process.start()
        return process

    def finish(self) -> int:
        """Starts the line and waits; returns the exit code."""
        process = self.start()
        process.join()
        return int(process.exitcode)

    def steps(self) -> int:
        """Number of steps that are logged."""
        log = self.folder / "metrics.jsonl"
        lines = log.read_bytes().splitlines() if log.exists() else []
        return sum(b'"train"' in line for line in lines)

    def is_saving(self) -> bool:
        """Whether a checkpoint is half-written."""
        return any(self.folder.glob("checkpoints/*tmp*"))

    def newest(self) -> Path | None:
        """The newest whole checkpoint."""
        found = [p for p in self.folder.glob("checkpoints/*") if p.name.isdecimal()]
        return max(found, key=lambda path: int(path.name), default=None)

    def wait(self, process: Any, ready: Callable[[], bool]) -> None:
        """Returns once a state is reached or the process has ended."""
        while process.is_alive() and not ready():
            time.sleep(0.002)

    def outcome(self) -> dict[str, Any]:
        """Weights, predictions and measures of the finished run."""
        from fairjax.run.checkpoint import read_variables

        with np.load(self.folder / "predictions.npz") as arrays:
            predictions = {name: arrays[name] for name in arrays.files}
        results = json.loads((self.folder / "results.json").read_text())
        return {
            "weights": read_variables(self.folder),
            "predictions": predictions,
            "measures": results["measures"],
        }


def end(process: Any, number: int) -> int:
    """Sends a signal and waits; returns the exit code.

    Raises:
      Missed: If the process has ended by itself.
    """
    if not process.is_alive():
        raise Missed
    os.kill(process.pid, number)
    process.join()
    if process.exitcode == 0:
        raise Missed
    return int(process.exitcode)


def at_random(run: Run, wait_s: float) -> Hook:
    def fault() -> None:
        process = run.start()
        process.join(wait_s)
        end(process, signal.SIGKILL)

    return fault


def while_saving(run: Run) -> None:
    process = run.start()
    run.wait(process, run.is_saving)
    end(process, signal.SIGKILL)


def kills(run: Run, rng: np.random.Generator, *, number: int, seconds: float) -> Iterator[Hook]:
    """SIGKILL at random moments of a start, or while it writes a checkpoint."""
    for k in range(number):
        yield partial(while_saving, run) if k % 3 == 2 else at_random(run, rng.uniform(0, seconds))


def signals(run: Run) -> Iterator[Hook]:
    """A signal in each phase: the run ends with the signal's exit code."""
    phases: Mapping[str, Callable[[], bool]] = {
        "start": lambda: run.folder.exists(),
        "training": lambda: run.steps() > 3,
        "saving": run.is_saving,
        "end": lambda: run.steps() >= 60,
    }

    def fault(number: int, ready: Callable[[], bool]) -> None:
        process = run.start()
        run.wait(process, ready)
        code = end(process, number)
        assert code == 128 + number, f"exit code {code}"

    for number, ready in itertools.product((signal.SIGTERM, signal.SIGINT), phases.values()):
        yield partial(fault, number, ready)


def fill_disk(write: int) -> None:
    """In the run's process: the write of that number, and all later ones, find no space."""
    import errno

    from fairjax.core import files

    count, sync = itertools.count(), os.fsync

    def full(descriptor: int) -> None:
        if next(count) >= write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    files.os.fsync = full


def disks(run: Run) -> Iterator[Hook]:
    """A full disk from one write of a whole file on."""

    def fault(write: int) -> None:
        process = run.start(partial(fill_disk, write))
        process.join()
        if process.exitcode == 0:
            raise Missed  # a run has fewer writes
        last = run.log.read_text(errors="replace").strip().splitlines()[-1]
        assert process.exitcode == 1, f"exit code {process.exitcode}"
        assert "No space left on device" in last, last

    for write in range(12):
        yield partial(fault, write)


def damages(run: Run, rng: np.random.Generator) -> Iterator[Hook]:
    """A flipped bit, or a cut, in a random file of the newest checkpoint of a killed run."""

    def fault(cut: bool) -> None:
        process = run.start()
        run.wait(process, lambda: run.steps() > 20 and run.newest() is not None)
        end(process, signal.SIGKILL)
        newest = run.newest()
        files = sorted(p for p in newest.rglob("*") if p.is_file()) if newest else []
        if not files:
            raise Missed
        path = files[int(rng.integers(len(files)))]
        content = bytearray(path.read_bytes())
        if cut or not content:
            del content[len(content) // 2 :]
        else:
            content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)

    for cut in itertools.cycle((False, True)):
        yield partial(fault, cut)


def vanishings(run: Run) -> Iterator[Hook]:
    """The checkpoints' folder is moved away while the run trains."""

    def fault() -> None:
        process = run.start()
        run.wait(process, lambda: run.steps() > 3 and run.newest() is not None)
        folder, away = run.folder / "checkpoints", run.folder.with_suffix(".away")
        if not process.is_alive():
            raise Missed
        folder.rename(away)
        process.join()
        assert process.exitcode in (0, 1), f"exit code {process.exitcode}"
        shutil.rmtree(folder, ignore_errors=True)
        away.rename(folder)

    yield fault


def two_writers(run: Run) -> Iterator[Hook]:
    """Two starts at once: one trains, the other is refused."""

    def fault() -> None:
        processes = [run.start(), run.start()]
        for process in processes:
            process.join()
        codes = sorted(process.exitcode for process in processes)
        assert codes in ([0, 0], [0, 1]), f"exit codes {codes}"  # the second may come too late

    yield fault


def jump_clock() -> None:
    """In the run's process: the wall clock is an hour fast, then right, then an hour slow."""
    clock, looks = time.time, itertools.count()
    time.time = lambda: clock() + 3600 * (1 - min(next(looks) // 300, 2))


def shake_clock() -> None:
    """In the run's process: every second look at the wall clock finds it a day fast."""
    clock, looks = time.time, itertools.count()
    time.time = lambda: clock() + 86400 * (next(looks) % 2)


def clocks(run: Run) -> Iterator[Hook]:
    """A wall clock that jumps while the run trains."""

    def set_back() -> None:
        process = run.start(jump_clock)
        run.wait(process, lambda: run.steps() > 10)
        end(process, signal.SIGKILL)

    def shaken() -> None:
        process = run.start(shake_clock)
        process.join()
        assert process.exitcode == 0, f"exit code {process.exitcode}"

    yield set_back
    yield shaken


def equal(one: Any, other: Any) -> bool:
    """Whether two trees of arrays and plain values are bit for bit the same."""
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return json.dumps(one) == json.dumps(other)


def survived(run: Run, fault: Hook, expected: Mapping[str, Any], *, finish: bool) -> str:
    """Injects a fault; "" if the run is what it would have been, else why not.

    Raises:
      Missed: If the fault came too late.
    """
    try:
        fault()
        if not finish:
            return ""
        code = run.finish()
        if code:
            return f"the next start ended with {code}; see {run.log}"
        return "" if equal(run.outcome(), expected) else "other numbers than undisturbed"
    except (AssertionError, OSError, ValueError) as error:
        return f"{error}; see {run.log}"


def main() -> int:
    """Runs the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--each", type=int, default=12, help="most faults of each other kind")
    parser.add_argument("--seed", type=int, default=0)
    kinds = ("kill", "signal", "disk", "damage", "gone", "writers", "clock")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    options = parser.parse_args()
    os.environ.update(JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fairjax.main", "fairjax.run.build", "fairjax.run.train"])
    rng, lost = np.random.default_rng(options.seed), 0
    base = Path(tempfile.mkdtemp(prefix="fairjax-faults-"))
    reference = Run(context, base / "undisturbed")
    reference.finish()  # compiles
    shutil.rmtree(reference.folder)
    started = time.monotonic()
    assert reference.finish() == 0, reference.log.read_text()[-2000:]
    seconds, expected = time.monotonic() - started, reference.outcome()
    for kind in options.only:
        run = Run(context, base / kind)
        faults = {
            "kill": lambda run=run: kills(run, rng, number=options.kills, seconds=seconds),
            "signal": lambda run=run: signals(run),
            "disk": lambda run=run: disks(run),
            "damage": lambda run=run: damages(run, rng),
            "gone": lambda run=run: vanishings(run),
            "writers": lambda run=run: two_writers(run),
            "clock": lambda run=run: clocks(run),
        }[kind]()
        injected = bad = missed = 0
        for fault in itertools.islice(faults, None if kind == "kill" else options.each):
            # kills disturb one run again and again until it ends; other faults disturb a new one
            finish = kind != "kill" or (run.folder / "outcome.json").exists()
            try:
                why = survived(run, fault, expected, finish=finish)
            except Missed:
                missed += 1
                if kind != "kill":
                    shutil.rmtree(run.folder, ignore_errors=True)
                continue
            injected, bad = injected + 1, bad + bool(why)
            if why:
                print(f"{kind}, fault {injected}: {why}", flush=True)
            if why or finish:
                shutil.rmtree(run.folder, ignore_errors=True)
        if kind == "kill" and (why := survived(run, lambda: None, expected, finish=True)):
            bad += 1
            print(f"{kind}, at the end: {why}", flush=True)
        line = {"fault": kind, "injected": injected, "survived": injected - bad, "lost": bad}
        print(json.dumps(line | {"too_late": missed}), flush=True)
        lost += bad
    if not lost:
        shutil.rmtree(base)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
