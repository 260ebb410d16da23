"""How often nominal 95 % intervals of verification rates hold the truth, where pairs share people.

    python benchmarks/coverage.py

One JSON line a case and method, with the share of repetitions in which the interval holds the true
rate and the mean width. The method "Wilson on pairs" takes pairs for independent trials, as
spreadsheets do; the others are those of `fairjax.metrics`; "as in an audit" is what reports print
for one group. Cases of 100 people:

    fnmr                300 mated pairs each, fixed threshold, FNMR 2 %
    fmr                 all 4,950 couples with 4 non-mated pairs each, fixed threshold, FMR 1 %
    fnmr_at_fmr         both, the threshold found on the same non-mated pairs for FMR 1 %
    fnmr_unequal        1 to 45 mated pairs each, few people with many, FNMR 2 %
    fmr_unequal         4,000 non-mated pairs, of few people many, FMR 1 %
    fmr_rare            4,000 non-mated pairs, FMR 0.1 %: four errors expected
    fmr_rare_unequal    the same, of few people many
    fnmr_rare_unequal   1 to 45 mated pairs each, FNMR 0.5 %
    group_at_fmr        four alike groups, the threshold found on all their pairs for FMR 0.1 %:
                        FMR of the first group

A line of case "tests" says how often fair audits of four groups are called unfair by the test of
equality at 5 %, and how often the interval of the Gini coefficient leaves out 0. A line of case
"failures" says the same of the test that groups fail alike (`fairjax audit --failures`): four
groups whose images fail in 3 or 10 % of cases, more often for some people than for others; images
are known, or pairs alone. `--fast` runs everything a few times over: it shows that it runs, and no
number.

Scores are normal with variance 1, of which 30 % is the person's (mated) or 15 % each of the two
people's and 10 % the couple's (non-mated). The truth is that of new people at the true threshold.
"""

import argparse
import json
import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from statistics import NormalDist

import numpy as np
import scipy

from fairjax.audit.failures import with_failures
from fairjax.audit.loaded import Failures, Loaded
from fairjax.core.comparisons import Comparisons
from fairjax.core.results import Results
from fairjax.metrics import clustered, verification
from fairjax.metrics import subject_bootstrap as subjects
from fairjax.metrics.bootstrap import percentile_interval, recentred_interval
from fairjax.metrics.equality import Known
from fairjax.metrics.gap_tests import GAPS

PEOPLE, MATED_EACH, PAIRS_A_COUPLE = 100, 300, 4
FNMR, FMR, LEVEL = 0.02, 0.01, 0.95
SEPARATION = 4.15  # of mated from non-mated scores in the third case
RARE, RARE_PAIRS = 1e-3, 4_000
FAILING = [(0.03, 15), (0.03, 60), (0.1, 15), (0.1, 60)]  # share of images, people a group
TESTS = [(FMR, 60, False), (FMR, 60, True), (RARE, 60, False), (RARE, 60, True), (RARE, 15, False)]
Interval = tuple[float, float]
Method = Callable[[np.random.Generator], Iterator[tuple[str, Interval]]]


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


def drawn_pairs(
    rng: np.random.Generator, *, mated: bool, unequal: bool, people: int = PEOPLE
) -> tuple[np.ndarray, np.ndarray]:
    """Scores with mean 0 and subjects of pairs that people have unequally many of, or equally."""
    share = np.exp(rng.normal(size=people)) if unequal else np.ones(people)
    if mated:
        each = np.clip(np.rint(6 * share), 1, 45).astype(int) if unequal else np.full(people, 10)
        one = other = np.repeat(np.arange(people), each)
        common = np.sqrt(0.3) * rng.normal(size=people)[one]
        rest = 0.7
    else:
        one, other = rng.choice(people, (2, RARE_PAIRS), p=share / share.sum())
        one, other = one[one != other], other[one != other]
        common = np.sqrt(0.15) * rng.normal(size=people)
        common, rest = common[one] + common[other], 0.7
    score = common + np.sqrt(rest) * rng.normal(size=len(one))
    return score, np.stack([one, other], axis=1)


def as_in_an_audit(
    score: np.ndarray, subject: np.ndarray, threshold: float, *, mated: bool
) -> clustered.ClusteredRate:
    """The rate of one group as reports have it: with the design effect of likely errors."""
    couples = clustered.dyads(subject)
    error = score < threshold if mated else score >= threshold
    effect = clustered.likeliest_design_effect(score, couples, mated=mated)
    return replace(clustered.clustered_rate(error, couples), likeliest_effect=effect)


def one_group(
    rng: np.random.Generator, *, mated: bool, unequal: bool, threshold: float
) -> Iterator[tuple[str, Interval]]:
    """Intervals of one group's rate at a fixed threshold, by method."""
    score, subject = drawn_pairs(rng, mated=mated, unequal=unequal)
    found = as_in_an_audit(score, subject, threshold, mated=mated)
    low, high = clustered.wilson_interval(found.rate, found.trials, level=LEVEL)
    yield "Wilson on pairs", (float(low), float(high))
    plain = replace(found, likeliest_effect=np.nan, effective_people=float(found.people))
    for method, rate in (
        ("people counted equal, own design effect", plain),
        ("as in an audit", found),
    ):
        interval = rate.interval(level=LEVEL)
        assert interval is not None  # there are pairs of many people
        yield method, interval
    if mated:
        couples = clustered.dyads(subject)
        errors = np.bincount(couples.position[score < threshold], minlength=len(couples.trials))
        _, interval = clustered.person_mean(errors, couples.trials, level=LEVEL)
        assert interval is not None
        yield "mean over people", interval


def group_at_fmr(rng: np.random.Generator) -> Iterator[tuple[str, Interval]]:
    """Interval of one of four groups' FMR at the threshold found on the pairs of all."""
    groups = [drawn_pairs(rng, mated=False, unequal=False) for _ in range(4)]
    nonmated = np.concatenate([score for score, _ in groups])
    threshold = verification.threshold_at_fmr(nonmated, fmr=RARE)
    interval = as_in_an_audit(*groups[0], threshold, mated=False).interval(level=LEVEL)
    assert interval is not None
    yield "as in an audit", interval


def fair_groups(
    rng: np.random.Generator, *, fmr: float, people: int, unequal: bool
) -> tuple[bool, bool]:
    """Whether four alike groups are called unequal; whether a Gini interval leaves out 0."""
    threshold = NormalDist().inv_cdf(1 - fmr)
    rates, resampled = [], []
    for _ in range(4):
        score, subject = drawn_pairs(rng, mated=False, unequal=unequal, people=people)
        rates.append(as_in_an_audit(score, subject, threshold, mated=False))
        trials = max(rates[-1].effective_trials, 1.0)
        whole = max(round(trials), 1)
        rate = rates[-1].rate
        resampled.append(
            rng.binomial(whole, rate, 400) / whole if rate else rng.beta(0.5, trials + 0.5, 400)
        )
    observed = np.array([rate.rate for rate in rates])
    if not observed.any():
        return False, False
    effective = np.array([r.trials for r in rates]) / clustered.common_design_effects(rates)
    freedom = sum(max(r.effective_people - 1, 1.0) for r in rates)
    known = Known(float(observed @ effective / effective.sum()), effective, freedom)
    p = known.p_value(observed, known.null(399, seed=0), seed=0)
    ends = GAPS["gini"].interval([observed], [np.stack(resampled, axis=1)], level=LEVEL)
    return p <= 1 - LEVEL, ends is not None and ends[0] > 0


def fair_failures(rng: np.random.Generator, *, rate: float, people: int, has_images: bool) -> bool:
    """Whether four groups whose images fail alike are called unequal in failures.

    A person has 2 to 8 images, all compared with each other, and with one image of the next person
    of the group. Failure rates of people are beta-distributed with a correlation of 0.1.
    """
    owner = np.repeat(np.arange(4 * people), rng.integers(2, 9, 4 * people))
    first = np.searchsorted(owner, np.arange(4 * people))
    lost = rng.random(len(owner)) < rng.beta(9 * rate, 9 * (1 - rate), 4 * people)[owner]
    one, other = np.triu_indices(len(owner), 1)
    own = owner[one] == owner[other]
    following = np.arange(4 * people) // people * people + (np.arange(4 * people) + 1) % people
    image = np.concatenate(
        [
            np.stack([one[own], other[own]], axis=1),
            np.stack([np.arange(len(owner)), first[following[owner]]], axis=1),
        ]
    )
    mated = np.arange(len(image)) < own.sum()
    subject, failed = owner[image], lost[image].any(axis=1)
    group = subject // people
    sides = ("image", "image")
    failures = Failures(failed, mated, subject, group, image if has_images else None, sides)
    loaded = Loaded(
        by="group",
        groups=("A", "B", "C", "D"),
        scores={},
        mated=mated[~failed],
        subject=subject[~failed],
        group=group[~failed],
        fold=np.zeros((~failed).sum(), np.int32),
        has_subjects=True,
        has_images=has_images,
        failures=failures,
    )
    protocol = {"level": LEVEL, "resamples": 399, "seed": 0}
    results = with_failures(Results("verification", protocol, [], {}, [], {}), loaded)
    name = "fta" if has_images else "pair_failure"
    p = results.get(f"{name}_equality_p_value", across="group").value
    return p is not None and p <= 1 - LEVEL


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--cases", nargs="*", help="only these, by name")
    parser.add_argument("--fast", action="store_true", help="2 repetitions, 20 resamples")
    args = parser.parse_args(arguments)
    if args.fast:
        args.repetitions, args.resamples = 2, 20
    normal = NormalDist()
    low, high = SEPARATION + normal.inv_cdf(FNMR), normal.inv_cdf(1 - FMR)

    def group(mated: bool, unequal: bool, rate: float) -> tuple[float, Method]:
        threshold = normal.inv_cdf(rate if mated else 1 - rate)
        return rate, partial(one_group, mated=mated, unequal=unequal, threshold=threshold)

    cases: dict[str, tuple[float, Method]] = {
        "fnmr": (FNMR, lambda rng: fixed("fnmr", low, rng, args.resamples)),
        "fmr": (FMR, lambda rng: fixed("fmr", high, rng, args.resamples)),
        "fnmr_at_fmr": (
            normal.cdf(high - SEPARATION),
            lambda rng: at_fmr(rng, args.resamples),
        ),
        "fnmr_unequal": group(True, True, FNMR),
        "fmr_unequal": group(False, True, FMR),
        "fmr_rare": group(False, False, RARE),
        "fmr_rare_unequal": group(False, True, RARE),
        "fnmr_rare_unequal": group(True, True, 5e-3),
        "group_at_fmr": (RARE, group_at_fmr),
    }
    common = {
        "benchmark": "coverage",
        "level": LEVEL,
        "repetitions": args.repetitions,
        "machine": platform.machine(),
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__},
    }
    for case, (truth, intervals) in cases.items():
        if args.cases and case not in args.cases:
            continue
        found: dict[str, list[Interval]] = defaultdict(list)
        for repetition in range(args.repetitions):
            for method, interval in intervals(np.random.default_rng([repetition])):
                found[method].append(interval)
        for method, seen in found.items():
            ends = np.array(seen)
            line = {
                "case": case,
                "method": method,
                "coverage": round(float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))), 3),
                "mean_width": round(float(np.mean(ends[:, 1] - ends[:, 0])), 5),
                "truth": round(truth, 5),
                "resamples": args.resamples if "bootstrap" in method else None,
            }
            print(json.dumps(common | line), flush=True)
    for fmr, people, unequal in TESTS if not args.cases or "tests" in args.cases else ():
        said = [
            fair_groups(np.random.default_rng([k]), fmr=fmr, people=people, unequal=unequal)
            for k in range(args.repetitions)
        ]
        rejected, excluded = np.mean(said, axis=0)
        line = {
            "case": "tests",
            "fmr": fmr,
            "people_a_group": people,
            "unequal": unequal,
            "called_unequal": round(float(rejected), 3),
            "gini_interval_excludes_0": round(float(excluded), 3),
        }
        print(json.dumps(common | line), flush=True)
    some = FAILING if not args.cases or "failures" in args.cases else []
    for (rate, people), has_images in product(some, (True, False)):
        seen = [
            fair_failures(
                np.random.default_rng([k]), rate=rate, people=people, has_images=has_images
            )
            for k in range(args.repetitions)
        ]
        line = {
            "case": "failures",
            "rate": rate,
            "people_a_group": people,
            "tested": "images" if has_images else "pairs",
            "called_unequal": round(float(np.mean(seen)), 3),
        }
        print(json.dumps(common | line), flush=True)


if __name__ == "__main__":
    main()
