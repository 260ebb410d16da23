"""Memory, threads and descriptors of a run that trains for minutes: do they level off?

    python benchmarks/long_run.py [--minutes 10] [--checkpoint-every 2]

A tiny ResNet trains on generated faces in a process of its own, with a checkpoint every two
seconds (a real run: every five minutes) and a validation every 20 epochs. Every ten seconds one
JSON line gives what Linux says of that process:

    seconds, steps     since the start; steps that are logged
    saved              the newest checkpoint's step
    rss_mib            memory in use
    virtual_mib        address space
    anonymous_mib      memory in use that belongs to no file
    threads, files     threads and open descriptors

The last line gives the growth of memory in MiB a minute (least squares) over the first and over
the second half of the samples, the first minute left out. No peer; Linux alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

WARM_UP_S = 60.0  # compilation, caches
SAMPLE_S = 10.0
MIB = {"VmRSS": "rss_mib", "VmSize": "virtual_mib", "RssAnon": "anonymous_mib"}


def sample(pid: int, workdir: Path) -> dict[str, float]:
    """What Linux and the run's folder say now; empty once the process has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if "VmRSS" not in fields:  # it has ended
        return {}
    log, saved = workdir / "metrics.jsonl", workdir / "checkpoints"
    lines = log.read_text().splitlines() if log.exists() else []
    steps = [p.name for p in saved.iterdir() if p.name.isdecimal()] if saved.exists() else []
    return {
        "steps": json.loads(lines[-1])["step"] if lines else 0,
        "saved": max(map(int, steps), default=0),
        **{name: round(int(fields[key].split()[0]) / 1024) for key, name in MIB.items()},
        "threads": int(fields["Threads"]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


def growth(samples: Sequence[Mapping[str, float]], name: str) -> float:
    """Least-squares slope in units a minute."""
    minutes = [s["seconds"] / 60 for s in samples]
    return round(float(np.polyfit(minutes, [s[name] for s in samples], 1)[0]), 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--checkpoint-every", type=float, default=2.0)
    options = parser.parse_args()
    samples: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        line = [sys.executable, "-m", "fairjax.main", "--config", "quickstart:smoke"]
        line += ["--workdir", str(workdir), "--config.train.epochs=1e6"]
        line += ["--config.input.image_size=32", "--config.backbone.width=8"]
        line += [f"--config.train.checkpoint_every={options.checkpoint_every}"]
        line += ["--config.train.evaluate_every=20.0", "--config.train.log_every=50"]
        with open(Path(folder) / "log", "w", encoding="utf-8") as log:
            run = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        try:
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < 60 * options.minutes:
                now = sample(run.pid, workdir)
                if run.poll() is not None or not now:
                    sys.exit((Path(folder) / "log").read_text()[-2000:])
                samples.append({"seconds": round(passed), **now})
                print(json.dumps(samples[-1]), flush=True)
                time.sleep(SAMPLE_S)
        finally:
            run.terminate()
            run.wait()
    late = [s for s in samples if s["seconds"] >= WARM_UP_S]
    half = len(late) // 2
    print(
        json.dumps(
            {
                f"{name}_a_minute": [growth(late[:half], name), growth(late[half:], name)]
                for name in (*MIB.values(), "threads", "files")
            }
        )
    )


if __name__ == "__main__":
    main()
