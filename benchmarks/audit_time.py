"""How long commands of the auditor's desk take: python benchmarks/audit_time.py [CASE ...].

Each case is a whole command in a process of its own, from reading the table to the report, on
made-up scores. One JSON line a case: elapsed seconds, processor seconds (of all threads) and the
process's peak memory; of `--repeats` runs the one with the fewest processor seconds.

    rfw         `audit` of 24,000 pairs of 4 groups of 2,500 people, with --out
    bfw         `audit` of 924,000 pairs of 8 groups of 100 people, with --out
    stream      `audit --stream` of 5,000,000 pairs of 4 groups (Parquet)
    demo        `audit --demo --tables`
    demo_out    `audit --demo --out`, with the report
    plan        `plan audit`
    calibrate   `calibrate fit` of group_norm and platt on 1,000,000 scores, by their table
    covariates  what two covariates add to an `audit` of 1,000,000 pairs: all of it is timed

Give `--keep DIR` to leave the tables and what the commands wrote there.
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

PAIRS = ("image1", "image2", "subject1", "subject2", "group1", "group2", "fold", "score")


def table(size: "Size") -> pa.Table:
    """Different pairs within groups whose scores of two people differ a little."""
    groups, people, images, pairs, mated = size
    rng = np.random.default_rng(0)
    left, right = np.triu_indices(images, 1)
    sides, same = [], []
    for g in range(groups):
        number = round(mated * pairs)
        chosen = rng.choice(people * len(left), number, replace=False)
        person, two = np.divmod(chosen, len(left))
        own = person * images
        sides.append(np.stack([own + left[two], own + right[two]], axis=1))
        same.append(np.ones(number, bool))
        wanted = pairs - number
        drawn = rng.integers(0, people * images, (round(1.3 * wanted) + 1000, 2))
        drawn.sort(axis=1)
        drawn = drawn[drawn[:, 0] // images != drawn[:, 1] // images]
        _, first = np.unique(drawn @ [people * images, 1], return_index=True)
        drawn = drawn[rng.permutation(first)[:wanted]]
        sides.append(drawn)
        same.append(np.zeros(len(drawn), bool))
        sides[-2:] = [side + g * people * images for side in sides[-2:]]
    image, is_mated = np.concatenate(sides), np.concatenate(same)
    subject = image // images
    group = subject // people
    likeness = rng.normal(0, 0.05, groups * people)
    mean = np.where(is_mated, 0.5, 0.05 + 0.02 * group[:, 0] + likeness[subject].sum(axis=1))
    score = rng.normal(mean, 0.13).clip(-1, 1)
    names = pa.array([f"p{s}" for s in range(groups * people)])
    files = pa.array([f"p{s}/{k}.jpg" for s in range(groups * people) for k in range(images)])
    letters = pa.array(list("ABCDEFGH")[:groups])
    columns = [files.take(pa.array(image[:, side])) for side in (0, 1)]
    columns += [names.take(pa.array(subject[:, side])) for side in (0, 1)]
    columns += [letters.take(pa.array(group[:, side])) for side in (0, 1)]
    columns += [pa.array(np.arange(len(score)) % 10), pa.array(score.round(6))]
    return pa.table(dict(zip(PAIRS, columns, strict=True)))


def pictures(pairs: pa.Table) -> pa.Table:
    """Two covariates of every image, of which one is worse in the first group."""
    rng = np.random.default_rng(1)
    files = pa.chunked_array([pairs["image1"].combine_chunks(), pairs["image2"].combine_chunks()])
    files = files.unique()
    blurred = np.char.startswith(files.to_numpy(zero_copy_only=False).astype(str), "p1")
    sharp = rng.normal(100 - 10 * blurred, 20)
    bright = rng.normal(120, 25, len(files))
    return pa.table({"image": files, "sharpness": sharp, "brightness": bright})


class Size(NamedTuple):
    """Size of a table.

    Attributes:
      groups: Number of groups.
      people: People in each group.
      images: Images of each person.
      pairs: Pairs in each group.
      mated: Share of the pairs that show one person.
    """

    groups: int
    people: int
    images: int
    pairs: int
    mated: float


SIZES = {
    "rfw": Size(4, 2500, 4, 6000, 0.5),
    "bfw": Size(8, 100, 25, 115_500, 0.25),
    "stream": Size(4, 1000, 20, 1_250_000, 0.1),
    "calibrate": Size(4, 500, 20, 250_000, 0.1),
    "covariates": Size(4, 500, 20, 250_000, 0.1),
}
_FIT = ["calibrate", "fit", "TABLE", "--method"]
COMMANDS = {
    "rfw": [["audit", "TABLE", "--out", "OUT"]],
    "bfw": [["audit", "TABLE", "--out", "OUT"]],
    "stream": [["audit", "TABLE", "--stream", "--out", "OUT"]],
    "demo": [["audit", "--demo", "--tables"]],
    "demo_out": [["audit", "--demo", "--out", "OUT"]],
    "plan": [["plan", "audit", "--ratio", "2", "--fmr", "1e-3", "--fnmr", "0.05"]],
    "calibrate": [[*_FIT, name, "--out", f"OUT.{name}.json"] for name in ("group_norm", "platt")],
    "covariates": [["audit", "TABLE", "--covariates", "IMAGES", "--out", "OUT"]],
}


def path_of(case: str, folder: Path) -> Path:
    """The table of a case: CSV, as most people have it, or Parquet where it is large."""
    return folder / f"{case}.{'csv' if case in ('rfw', 'bfw') else 'parquet'}"


def write(case: str, folder: Path) -> None:
    """Writes the tables of a case, where it has any."""
    if case not in SIZES:
        return
    pairs, path = table(SIZES[case]), path_of(case, folder)
    if path.suffix == ".csv":
        csv.write_csv(pairs, path)
    else:
        parquet.write_table(pairs, path)
    if case == "covariates":
        csv.write_csv(pictures(pairs), folder / "images.csv")


def measure(command: list[str]) -> dict[str, float]:
    """Seconds and GiB of one command; it ends the benchmark where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fairjax", *command], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: fairjax {' '.join(command)}")
    return {
        "elapsed_s": round(elapsed, 2),
        "processor_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),  # Linux counts in KiB
    }


def main() -> None:
    """Times the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("cases", metavar="CASE", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", metavar="DIR", type=Path)
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.cases) - set(COMMANDS))
    if unknown:
        parser.error(f"no case {unknown[0]}; there are {', '.join(COMMANDS)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for case in arguments.cases or COMMANDS:
            # In a process of its own: a command's peak would count what its parent holds.
            writing = multiprocessing.get_context("spawn").Process(
                target=write, args=(case, folder)
            )
            writing.start()
            writing.join()
            if writing.exitcode:
                raise SystemExit(f"{case}: its tables could not be written.")
            words = {"TABLE": path_of(case, folder), "IMAGES": folder / "images.csv"}
            for line in COMMANDS[case]:
                command = [str(words.get(word, word)) for word in line]
                command = [word.replace("OUT", str(folder / case), 1) for word in command]
                runs = [measure(command) for _ in range(arguments.repeats)]
                best = min(runs, key=lambda run: run["processor_s"])
                said = {"case": case, "command": " ".join(line), **best}
                said |= {"load": round(os.getloadavg()[0], 1), "python": platform.python_version()}
                print(json.dumps(said | {"numpy": np.__version__}), flush=True)


if __name__ == "__main__":
    main()
