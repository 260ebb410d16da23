"""Seconds until the first training step is done: of a config's first start, and of its second one.

    python benchmarks/second_start.py [--flags --config.backbone.depth=50 ...]

Both starts train generated faces in a new folder; the first one with an empty cache of compiled
programs, the second one with what the first left there. One line of JSON: seconds by the clock and
of the processors, from the start of Python until the log has the first step.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

RESNET_50 = (
    "--config.backbone.depth=50",
    "--config.backbone.width=64",
    "--config.backbone.stages=4",
    "--config.input.image_size=64",
)


def first_step(folder: Path, cache: Path, flags: Sequence[str]) -> dict[str, float]:
    """Seconds until the first step of a run in a new folder is logged; the run is then ended."""
    line = [sys.executable, "-m", "fairjax.main", "--config=quickstart:smoke"]
    line += [f"--workdir={folder}", "--config.train.log_every=1", *flags]
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)  # where a run keeps its programs by default
    begun, log = time.monotonic(), folder / "metrics.jsonl"
    with open(folder.with_suffix(".log"), "w", encoding="utf-8") as output:
        run = subprocess.Popen(line, stdout=output, stderr=output, env=environment)
        while not (log.exists() and log.stat().st_size):
            if run.poll() is not None:
                sys.exit(folder.with_suffix(".log").read_text()[-2000:])
            time.sleep(0.05)
        seconds = time.monotonic() - begun
        used = Path(f"/proc/{run.pid}/stat").read_text().rsplit(")", 1)[1].split()
        run.send_signal(signal.SIGKILL)
        run.wait()
    processor = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    return {"seconds": round(seconds, 1), "processor_seconds": round(processor, 1)}


def main() -> None:
    """Starts the run twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=RESNET_50)
    flags = parser.parse_args().flags
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        starts = [first_step(Path(folder) / f"run{k}", cache, flags) for k in (1, 2)]
    ratio = {f"{name}_ratio": round(starts[1][name] / starts[0][name], 3) for name in starts[0]}
    print(json.dumps({"flags": flags, "first": starts[0], "second": starts[1], **ratio}))


if __name__ == "__main__":
    main()
