"""How long a whole audit takes: python benchmarks/audit.py [--resamples 2000].

One JSON line a case: everything `measure_comparisons` gives (rates by group and cell at
three FMRs, gaps with noise floors and p-values, curves, threshold-free measures, ten-fold accuracy
on RFW size), with 2,000 resamples of people, and the process's peak memory.

The peer resamples pair by pair: it draws people, copies the pairs they form as often as drawn,
sorts the copies' scores for the thresholds and masks them by group. It gives the resampled FMR and
FNMR by group and nothing else, so the ratio favours it. It is timed on one in fifty of the
resamples and scaled up, for it would take minutes to hours.

  rfw  four groups of 6,000 pairs, 10,000 people
  bfw  eight groups, 900,000 pairs, 800 people
"""

import argparse
import json
import platform
import resource
import time

import numpy as np

from fairjax.core.comparisons import Comparisons
from fairjax.metrics import verification as rates
from fairjax.metrics.subject_bootstrap import draw_subjects
from fairjax.protocols.verification import core as verification

FMRS = (1e-1, 1e-2, 1e-3)
FRACTION = 50
REPETITIONS = 3


def comparisons(groups: int, pairs: int, people: int, share: float, folds: int) -> Comparisons:
    """Pairs of `people` a group, a `share` of them mated, scores with a likeness of each person."""
    rng = np.random.default_rng(0)
    mated = np.tile(np.arange(pairs) < share * pairs, groups)
    group = np.repeat(np.arange(groups), pairs)
    first = rng.integers(people, size=len(mated))
    other = (first + 1 + rng.integers(people - 1, size=len(mated))) % people
    subject = np.stack([first, np.where(mated, first, other)], axis=1) + people * group[:, None]
    likeness = rng.normal(0, 0.05, groups * people)
    mean = np.where(mated, 0.5, 0.05 + 0.02 * group + likeness[subject].sum(axis=1))
    return Comparisons(
        score=rng.normal(mean, 0.13).clip(-1, 1).astype(np.float32),
        mated=mated,
        subject=subject,
        group=np.stack([group, group], axis=1),
        groups=tuple("ABCDEFGH"[:groups]),
        fold=np.tile(np.arange(pairs) % folds, groups),
    )


def audit(pairs: Comparisons, resamples: int) -> None:
    verification.measure_comparisons(
        {"": pairs},
        attribute="group",
        fmrs=FMRS,
        accuracies=["uncentred"],
        resamples=resamples,
        level=0.95,
        seed=0,
        limits=[],
    )


def pair_by_pair(pairs: Comparisons, resamples: int) -> None:
    """The resampled rates by group, the plain way."""
    draws = draw_subjects(pairs, resamples=resamples, seed=0)
    group = pairs.group[:, 0]
    for weights in draws.weights:
        times = weights.astype(np.int64)[draws.person]
        copies = np.repeat(
            np.arange(len(pairs)), np.where(pairs.mated, times[:, 0], times[:, 0] * times[:, 1])
        )
        score, mated, of = pairs.score[copies], pairs.mated[copies], group[copies]
        for fmr in FMRS:
            threshold = rates.threshold_at_fmr(score[~mated], fmr=fmr)
            for g in range(len(pairs.groups)):
                rates.fmr(score[~mated & (of == g)], threshold)
                rates.fnmr(score[mated & (of == g)], threshold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--resamples", type=int, default=2000)
    resamples = parser.parse_args().resamples
    sizes = {"rfw": (4, 6000, 2500, 0.5, 10), "bfw": (8, 112_500, 100, 0.26, 5)}
    memory = {}
    for case, size in sizes.items():  # the smaller first: a process's peak never falls
        audit(comparisons(*size), resamples)
        memory[case] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # from KiB
    for case, size in sizes.items():
        pairs = comparisons(*size)
        ours, peer = [], []
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            audit(pairs, resamples)
            middle = time.perf_counter()
            pair_by_pair(pairs, max(1, resamples // FRACTION))
            ours.append(middle - start)
            peer.append((time.perf_counter() - middle) * FRACTION)
        line: dict[str, object] = {"case": case, "unit": "seconds", "pairs": len(pairs)}
        line |= {"resamples": resamples, "peak_gib": round(memory[case], 2)}
        line["peer_measured_on"] = f"1/{FRACTION} of the resamples, scaled; rates by group alone"
        ratio = np.array(peer) / np.array(ours)
        for name, values in (("fairjax", ours), ("peer", peer), ("ratio", ratio)):
            low, median, high = np.percentile(values, [0, 50, 100]).round(2)
            line[name] = {"min": low, "median": median, "max": high}
        print(
            json.dumps(line | {"numpy": np.__version__, "machine": platform.machine()}), flush=True
        )


if __name__ == "__main__":
    main()
