"""How often nominal 95 % intervals of verification rates hold the truth, where pairs share people.

    python benchmarks/coverage.py

One JSON line a case and method, with the share of repetitions in which the interval holds the true
rate and the mean width. The method "Wilson on pairs" takes pairs for independent trials, as
spreadsheets do; the others are those of `fairjax.metrics`. Three cases of 100 people:

    fnmr         300 mated pairs each, fixed threshold, FNMR 2 %
    fmr          all 4,950 couples with 4 non-mated pairs each, fixed threshold, FMR 1 %
    fnmr_at_fmr  both, the threshold found on the same non-mated pairs for FMR 1 %, FNMR 3.4 %

Scores are normal with variance 1, of which 30 % is the person's (mated) or 15 % each of the two
people's and 10 % the couple's (non-mated). The truth is that of new people at the true threshold.
"""

import argparse
import json
import platform
from collections import defaultdict
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import scipy

from fairjax.core.comparisons import Comparisons
from fairjax.metrics import clustered, verification
from fairjax.metrics import subject_bootstrap as subjects
from fairjax.metrics.bootstrap import percentile_interval, recentred_interval

PEOPLE, MATED_EACH, PAIRS_A_COUPLE = 100, 300, 4
FNMR, FMR, LEVEL = 0.02, 0.01, 0.95
SEPARATION = 4.15  # of mated from non-mated scores in the third case
Interval = tuple[float, float]


def comparisons(rng: np.random.Generator, *, mated: bool, nonmated: bool) -> Comparisons:
    """Scored pairs of people drawn anew; mated scores have mean SEPARATION, others 0."""
    persons, scores = [], []
    if mated:
        person = np.repeat(np.arange(PEOPLE), MATED_EACH)
        share = rng.normal(size=PEOPLE)[person]
        scores.append(
            SEPARATION + np.sqrt(0.3) * share + np.sqrt(0.7) * rng.normal(size=len(share))
        )
        persons.append(np.stack([person, person], axis=1))
    if nonmated:
        couple = np.stack(np.triu_indices(PEOPLE, 1), axis=1)
        likeness = np.sqrt(0.15) * rng.normal(size=PEOPLE)[couple].sum(axis=1)
        likeness += np.sqrt(0.1) * rng.normal(size=len(couple))
        noise = np.sqrt(0.6) * rng.normal(size=(len(couple), PAIRS_A_COUPLE))
        scores.append((likeness[:, None] + noise).ravel())
        persons.append(np.repeat(couple, PAIRS_A_COUPLE, axis=0))
    subject, score = np.concatenate(persons), np.concatenate(scores)
    same = subject[:, 0] == subject[:, 1]
    nothing = np.zeros(len(score), np.int64)
    return Comparisons(score, same, subject, np.zeros_like(subject), ("all",), nothing)


def fixed(
    rate: str, threshold: float, rng: np.random.Generator, resamples: int
) -> Iterator[tuple[str, Interval]]:
    """Intervals of FNMR or FMR at a fixed threshold, by method."""
    mated = rate == "fnmr"
    pairs = comparisons(rng, mated=mated, nonmated=not mated)
    error = pairs.score < threshold if mated else pairs.score >= threshold
    found = clustered.clustered_rate(error, pairs.subject)
    low, high = clustered.wilson_interval(found.rate, found.trials, level=LEVEL)
    yield "Wilson on pairs", (float(low), float(high))
    interval = found.interval(level=LEVEL)
    assert interval is not None  # there are pairs
    yield "Wilson on effective trials", interval
    for kind in ("multinomial", "double_or_nothing"):
        draws = subjects.draw_subjects(pairs, resamples=resamples, seed=0, kind=kind)
        rates = subjects.rates_at(
            pairs, draws, thresholds=np.array([threshold]), cell=np.zeros(len(pairs), int), cells=1
        )
        yield from of_resamples(kind, found, (rates.fnmr if mated else rates.fmr)[:, 0])


def at_fmr(rng: np.random.Generator, resamples: int) -> Iterator[tuple[str, Interval]]:
    """Intervals of FNMR at the threshold that reaches FMR on the same people, by method."""
    pairs = comparisons(rng, mated=True, nonmated=True)
    threshold = verification.threshold_at_fmr(pairs.score[~pairs.mated], fmr=FMR)
    error, subject = (pairs.score < threshold)[pairs.mated], pairs.subject[pairs.mated]
    found = clustered.clustered_rate(error, subject)
    low, high = clustered.wilson_interval(found.rate, found.trials, level=LEVEL)
    yield "Wilson on pairs", (float(low), float(high))
    interval = found.interval(level=LEVEL)
    assert interval is not None  # there are pairs
    yield "Wilson on effective trials, threshold taken as known", interval
    for kind in ("multinomial", "double_or_nothing"):
        draws = subjects.draw_subjects(pairs, resamples=resamples, seed=0, kind=kind)
        rates = subjects.rates_at_fmr(
            pairs, draws, targets=np.array([FMR]), cell=np.zeros(len(pairs), int), cells=1
        )
        yield from of_resamples(kind, found, rates.fnmr[:, 0])


def of_resamples(
    kind: str, found: clustered.ClusteredRate, drawn: np.ndarray
) -> Iterator[tuple[str, Interval]]:
    """Three intervals that resampled rates give."""
    for form, interval in (
        ("percentile", percentile_interval(drawn, level=LEVEL)),
        ("recentred", recentred_interval(found.rate, drawn, level=LEVEL)),
        ("Wilson on its effective trials", found.with_variance_of(drawn).interval(level=LEVEL)),
    ):
        assert interval is not None  # there are pairs and resamples
        yield f"subject bootstrap, {kind}, {form}", interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    normal = NormalDist()
    low, high = SEPARATION + normal.inv_cdf(FNMR), normal.inv_cdf(1 - FMR)
    cases = {
        "fnmr": (FNMR, lambda rng: fixed("fnmr", low, rng, args.resamples)),
        "fmr": (FMR, lambda rng: fixed("fmr", high, rng, args.resamples)),
        "fnmr_at_fmr": (
            normal.cdf(high - SEPARATION),
            lambda rng: at_fmr(rng, args.resamples),
        ),
    }
    for case, (truth, intervals) in cases.items():
        found: dict[str, list[Interval]] = defaultdict(list)
        for repetition in range(args.repetitions):
            for method, interval in intervals(np.random.default_rng([repetition])):
                found[method].append(interval)
        for method, seen in found.items():
            ends = np.array(seen)
            line = {
                "benchmark": "coverage",
                "case": case,
                "method": method,
                "coverage": round(float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))), 3),
                "mean_width": round(float(np.mean(ends[:, 1] - ends[:, 0])), 5),
                "truth": round(truth, 5),
                "level": LEVEL,
                "repetitions": args.repetitions,
                "resamples": args.resamples if "bootstrap" in method else None,
                "machine": platform.machine(),
                "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
