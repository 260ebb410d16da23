"""Verification protocols against the loops that are customary: python benchmarks/verification.py.

The peer is written here as public scripts do it: for every fold and every threshold a comparison of
all scores and masks over them. Both must give the same numbers, or the benchmark stops. One JSON
line a case; "ratio" is peer time / FairJAX time, repetitions interleaved after one of each.

  rfw accuracy  four groups of 6,000 pairs, ten folds, 2,000 thresholds (`rfw_official`'s grid)
  bfw rates     900,000 pairs of eight groups: thresholds at FMR 1e-1 to 1e-4 over all non-mated
                pairs, FMR and FNMR of each group there; the peer tries 1,000 thresholds
"""

import json
import platform
import time
from collections.abc import Callable

import numpy as np

from fairjax.metrics import verification
from fairjax.protocols.verification.accuracy import Folds

FMRS = (1e-1, 1e-2, 1e-3, 1e-4)


def scores(groups: int, pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, kinds and groups: half of each group's pairs are mated."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), pairs)
    mated = np.tile(np.arange(pairs) % 2 == 0, groups)
    mean = np.where(mated, 0.5, 0.05 + 0.02 * group)
    return rng.normal(mean, 0.13).clip(-1, 1).astype(np.float32), mated, group


def accuracies(score: np.ndarray, mated: np.ndarray, group: np.ndarray) -> list[float]:
    found = []
    for g in np.unique(group):
        own = group == g
        fold = np.arange(own.sum()) * 10 // own.sum()
        found.append(Folds(score[own], mated[own], fold, variant="uncentred").accuracy().mean)
    return found


def looped_accuracies(score: np.ndarray, mated: np.ndarray, group: np.ndarray) -> list[float]:
    thresholds = np.arange(-1000, 1000) / 1000
    found = []
    for g in np.unique(group):
        s, m = score[group == g], mated[group == g]
        fold = np.arange(len(s)) * 10 // len(s)
        right = []
        for k in range(10):
            train, test = fold != k, fold == k
            best = np.argmax([np.mean((s[train] >= t) == m[train]) for t in thresholds])
            right.append(np.mean((s[test] >= thresholds[best]) == m[test]))
        found.append(float(np.mean(right)))
    return found


def rates(score: np.ndarray, mated: np.ndarray, group: np.ndarray) -> np.ndarray:
    nonmated = score[~mated]
    thresholds = np.array([verification.threshold_at_fmr(nonmated, fmr=x) for x in FMRS])
    found = []
    for g in np.unique(group):
        own = group == g
        found.append(verification.fmr(score[own & ~mated], thresholds))
        found.append(verification.fnmr(score[own & mated], thresholds))
    return np.array(found)


def looped_rates(score: np.ndarray, mated: np.ndarray, group: np.ndarray) -> np.ndarray:
    grid = np.linspace(score.min(), score.max(), 1000)
    fmr = np.array([np.sum((score >= t) & ~mated) / np.sum(~mated) for t in grid])
    chosen = [grid[np.argmax(fmr <= x)] for x in FMRS]
    found = []
    for g in np.unique(group):
        one, other = (group == g) & ~mated, (group == g) & mated
        found.append([np.sum((score >= t) & one) / one.sum() for t in chosen])
        found.append([np.sum((score < t) & other) / other.sum() for t in chosen])
    return np.array(found)


def compared(case: str, ours: Callable, peer: Callable, data: tuple, repetitions: int) -> None:
    """Times both in turn and prints the line."""
    seconds: dict[str, list[float]] = {"fairjax": [], "peer": []}
    for _ in range(repetitions + 1):
        for name, function in (("fairjax", ours), ("peer", peer)):
            start = time.perf_counter()
            function(*data)
            seconds[name].append(time.perf_counter() - start)
    line: dict[str, object] = {"case": case, "unit": "seconds"}
    for name, times in seconds.items():
        low, middle, high = np.percentile(times[1:], [0, 50, 100]).round(4)
        line[name] = {"min": low, "median": middle, "max": high}
    ratios = np.array(seconds["peer"][1:]) / np.array(seconds["fairjax"][1:])
    low, middle, high = np.percentile(ratios, [0, 50, 100]).round(2)
    line["ratio"] = {"min": low, "median": middle, "max": high}
    print(json.dumps(line | {"numpy": np.__version__, "machine": platform.machine()}), flush=True)


def main() -> None:
    rfw, bfw = scores(4, 6000, seed=0), scores(8, 112_500, seed=1)
    if accuracies(*rfw) != looped_accuracies(*rfw):
        raise SystemExit("the two accuracies differ: not the same work.")
    exact, on_grid = rates(*bfw), looped_rates(*bfw)
    if np.abs(exact - on_grid).max() > 0.01:  # the grid is coarse, the thresholds are not the same
        raise SystemExit("the two rates differ by more than the grid explains.")
    compared("rfw accuracy", accuracies, looped_accuracies, rfw, repetitions=5)
    compared("bfw rates", rates, looped_rates, bfw, repetitions=5)


if __name__ == "__main__":
    main()
