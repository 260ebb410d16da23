"""How often the answers beside an audit are right, on made-up data whose truth is known.

    python benchmarks/desk.py [CASE ...] [--repeats 200]

One JSON line a case. Shares stand with their standard error, sqrt(share (1 - share) / repeats).

    plan           share of audits with as many people as planned that show the planned ratio (0.8
                   is planned), and of fair audits that show anything (0.025 is the level); the
                   reverse: with given people the ratio that they are said to show (0.8, too)
    threshold      share of tables whose chosen threshold has a true FMR above the target in some
                   group (--worst-group: 0.05 at most is wanted), and overall
    paired         share of unchanged systems in which any change is called shown (0.05 at most),
                   of single tests at 5 %, and of changed systems in which the change is shown
    identify       share of 95 % intervals that hold a group's true FNIR and FPIR, for other people
                   and another gallery; share of fair systems called unequal
    intersections  share of fair tables in which any intersection is called worse (0.05 at most), of
                   tables with a planted one in which it is found; share of 95 % shrunk intervals
                   that hold the truth
    covariates     share of 95 % intervals that hold a group's true rate with covariates held, and
                   the true ratio of two groups; share of tables in which a gap is shown as found
                   and with covariates held (0.05 at most where only pictures differ), and in which
                   covariates take part of it (0.05 at most where pictures do not differ)
    speed          seconds to fit and apply each method by scores on a million pairs

`--fast` runs everything a few times over: it shows that it runs, and no number.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy import special

from fairjax.audit import intersections
from fairjax.audit.galleries import Galleries, Gallery
from fairjax.audit.identification import measure
from fairjax.audit.loaded import Loaded
from fairjax.audit.phantom_scores import Planted, Size, draw, true_rates
from fairjax.core.comparisons import Comparisons
from fairjax.core.verdict import ALPHA, holm
from fairjax.metrics import planning
from fairjax.metrics.clustered import ClusteredRate, clustered_rate, dyads
from fairjax.metrics.covariates import standardise
from fairjax.metrics.identification import search
from fairjax.metrics.planning import Design
from fairjax.metrics.thresholds import GroupPairs, bounded_threshold
from fairjax.metrics.verification import threshold_at_fmr
from fairjax.postprocess import METHODS
from fairjax.postprocess.scores import Scores
from fairjax.protocols.verification.core import measure_comparisons
from fairjax.protocols.verification.gaps import known_of

Shares = dict[str, list[float]]
_NORMAL = NormalDist()


def plan(seed: int, found: Shares) -> None:
    """Audits with as many people as planned, and with the ratio that given people can show."""
    rng = np.random.default_rng(seed)
    for rate, value, ratio in (("fnmr", 0.05, 2.0), ("fmr", 0.01, 3.0)):
        correlation = planning.assumed_correlation(rate, value)
        design = Design(rate, value, correlation, images=3)
        needed = planning.people_needed(design, ratio, groups=4, alpha=ALPHA / 2)
        given = np.array([60, 80, 110, 150])
        shown = planning.detectable_ratio(design, given, alpha=ALPHA / 2)
        what = f"{rate} {value:g}, ratio {ratio:g}, {needed} people"
        reverse = f"{rate} {value:g}, {'/'.join(map(str, given))} people, ratio {shown:.2g}"
        for name, people, times in (
            (f"{what}: planned ratio shown", np.full(4, needed), ratio),
            (f"{what}: false alarm", np.full(4, needed), 1.0),
            (f"{reverse}: ratio shown", given, shown),
        ):
            found[name].append(is_shown(rng, rate, value, people, times, seed))


def is_shown(
    rng: np.random.Generator, rate: str, value: float, people: np.ndarray, times: float, seed: int
) -> bool:
    """Whether an audit shows that one group, another each time, has so many times the rate."""
    trials = people if rate == "fnmr" else people * (people - 1)
    apart = np.where(np.arange(len(people)) == seed % len(people), times, 1.0)
    true = apart * value * trials.sum() / (apart @ trials)
    rates = [one_rate(rng, rate, int(n), float(t)) for n, t in zip(people, true, strict=True)]
    known = known_of(rates)
    null = known.null(1000, seed=seed)
    return known.p_value(np.array([r.rate for r in rates]), null, seed=seed) <= ALPHA / 2


def one_rate(rng: np.random.Generator, rate: str, people: int, true: float) -> ClusteredRate:
    """One group's error rate: all pairs of so many people with three images each."""
    if rate == "fnmr":
        person = np.repeat(np.arange(people), 3)
        z = np.sqrt(0.3) * rng.standard_normal(people)[person]
        subject = np.stack([person, person], axis=1)
    else:
        couple = np.stack(np.triu_indices(people, 1), axis=1)
        subject = np.repeat(couple, 9, axis=0)
        z = np.sqrt(0.15) * rng.standard_normal(people)[subject].sum(axis=1)
    z += np.sqrt(0.7) * rng.standard_normal(len(z))
    return clustered_rate(z < _NORMAL.inv_cdf(true), subject)


def threshold(seed: int, found: Shares) -> None:
    """Thresholds on a table of four groups, one of them with twice the others' FMR, or none."""
    for planted in (Planted(), Planted(fmr_ratio=2.0)):
        pairs = draw(
            planted, seed=seed, size=Size(people=100, images=2, nonmated=12_000, across=100)
        ).comparisons
        groups = []
        for g in range(4):
            rows = (pairs.group == g).all(axis=1) & ~pairs.mated
            groups.append(
                GroupPairs.of(str(g), pairs.score[rows], pairs.subject[rows], mated=False)
            )
        bounded = bounded_threshold(groups, fmr=0.01, confidence=0.95)
        plain = threshold_at_fmr(np.concatenate([g.score for g in groups]), fmr=0.01)
        for name, chosen in (("every group's bound", bounded), ("overall rate", plain)):
            true = true_rates(planted, chosen)[0]
            key = f"ratio {planted.fmr_ratio:g}, {name}"
            found[f"{key}: a group truly above"].append(bool(true.max() > 0.01))
            found[f"{key}: overall truly above"].append(bool(true.mean() > 0.01))


def paired(seed: int, found: Shares) -> None:
    """Two systems on the same pairs: as good as each other, or one worse for a group."""
    pairs = draw(
        Planted(fmr_ratio=2.0, fnmr_ratio=2.0),
        seed=seed,
        size=Size(people=60, images=4, nonmated=2000, across=100),
    ).comparisons
    rng = np.random.default_rng([seed, 1])
    for moved in (0.0, 0.03):
        scores = []
        for system in (0, 1):
            noise = 0.06 * rng.standard_normal(len(pairs))
            shift = moved * system * ((pairs.group == 0).all(axis=1) & pairs.mated)
            scores.append(pairs.score + noise - shift)
        systems = {
            key: Comparisons(
                score, pairs.mated, pairs.subject, pairs.group, pairs.groups, pairs.fold
            )
            for key, score in zip("ab", scores, strict=True)
        }
        results = measure_comparisons(
            systems,
            attribute="group",
            fmrs=(1e-2,),
            paired=True,
            resamples=200,
            level=0.95,
            seed=seed,
            limits=[],
        )
        p = [m for m in results.measures if m.name.endswith("_change_p_value")]
        adjusted = holm(np.array([m.value for m in p]))
        if moved:
            own = [
                a
                for m, a in zip(p, adjusted, strict=True)
                if m.name.startswith("fnmr_change") and m.group == {"group": "amber"}
            ]
            found["changed: shown for the group that changed"].append(own[0] <= ALPHA)
            continue
        found["unchanged: any change shown"].append(bool((adjusted <= ALPHA).any()))
        for m in p:
            kind = (
                m.name.removesuffix("_change_p_value") if m.across else f"{m.name[:4]} of a group"
            )
            found[f"unchanged: {kind} at 5 %"].append(float(m.value) <= 0.05)


def identify(seed: int, found: Shares) -> None:
    """Searches of a gallery of 120 with people of two alike groups; the truth from many others."""
    rates = [searched(seed, people=200)]
    if not _TRUTH:
        many = [searched(10_000 + k, people=200) for k in range(60)]
        for key in many[0]:
            _TRUTH[key] = float(np.mean([one[key].rate for one in many]))
    for key, rate in rates[0].items():
        low, high = rate.interval(level=0.95)
        found[f"{key}: interval holds the truth"].append(low <= _TRUTH[key] <= high)
    loaded = Galleries("group", ("a", "b"), [Gallery("N", 120, _LAST[0])])
    results = measure(loaded, fpirs=(0.1,), rank=1, level=0.95, seed=seed).results
    adjusted = [m.value for m in results.measures if m.name.endswith("_p_value_holm")]
    found["fair: called unequal"].append(
        any(value is not None and value <= ALPHA for value in adjusted)
    )


_TRUTH: dict[str, float] = {}
_LAST: list = [None]
_AT = 0.45


def searched(seed: int, *, people: int) -> dict[str, ClusteredRate]:
    """Rates of the first group at a fixed threshold."""
    rng = np.random.default_rng(seed)
    dim, images = 24, 4
    home = np.arange(people) % 2
    centre = rng.normal(size=(people, dim))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    spread = 0.14 * np.exp(0.25 * rng.standard_normal(people))[:, None, None]
    images_of = centre[:, None] + spread * rng.normal(size=(people, images, dim))
    enrolled = np.arange(120)
    probe = np.concatenate([images_of[:120, 1:].reshape(-1, dim), images_of[120:].reshape(-1, dim)])
    person = np.concatenate([np.repeat(np.arange(120), 3), np.repeat(np.arange(120, people), 4)])
    (searches,) = search(
        probe, images_of[:120, 0], person=person, group=home[person], enrolled=enrolled, sizes=[120]
    )
    _LAST[0] = searches
    own = searches.take(searches.group == 0)
    return {
        "FPIR": own.fpir(0.5),
        "FNIR, threshold": own.fnir(0.7),
        "FNIR, rank 1": own.fnir(-np.inf, rank=1),
    }


def intersect(seed: int, found: Shares) -> None:
    """Three attributes of 300 people, fair or with one intersection of three times the FNMR."""
    for name, ratio in (("fair", 1.0), ("planted", 3.0)):
        rng = np.random.default_rng([seed, int(ratio)])
        people, images = 300, 4
        values = {
            "race": rng.integers(0, 4, people),
            "gender": rng.integers(0, 2, people),
            "age": rng.integers(0, 2, people),
        }
        hard = (values["race"] == 2) & (values["gender"] == 1)
        true = np.where(hard, 0.05 * ratio, 0.05)
        first, _ = np.triu_indices(images, 1)
        mated = np.repeat(np.arange(people), len(first))
        z = np.sqrt(0.3) * rng.standard_normal(people)[mated]
        z += np.sqrt(0.7) * rng.standard_normal(len(mated))
        quantile = np.array([_NORMAL.inv_cdf(p) for p in true])
        couple = rng.integers(0, people, (12_000, 2))
        couple = couple[couple[:, 0] != couple[:, 1]]
        lamb = np.sqrt(0.15) * rng.standard_normal(people)
        other = lamb[couple].sum(axis=1) + np.sqrt(0.7) * rng.standard_normal(len(couple))
        score = np.concatenate([z - quantile[mated], other - 2.4])
        subject = np.concatenate([np.stack([mated, mated], axis=1), couple])
        shared = dict(
            scores={"s": score},
            mated=subject[:, 0] == subject[:, 1],
            subject=subject,
            fold=np.zeros(len(score), np.int64),
            has_subjects=True,
            has_images=True,
        )
        loaded = {
            key: Loaded(
                by=key,
                groups=tuple(f"{key}{k}" for k in range(value.max() + 1)),
                group=value[subject],
                **shared,
            )
            for key, value in values.items()
        }
        results = intersections.measure(
            loaded, "s", fmr=None, threshold=0.0, smallest=10, level=0.95, seed=seed
        ).results
        p = [m for m in results.measures if m.name == "fnmr_against_others_p_value_holm"]
        rates = {tuple(m.group.items()): m.value for m in results.measures if m.name == "fnmr"}
        higher = [
            m
            for m in p
            if m.value is not None and m.value <= ALPHA and rates[tuple(m.group.items())] > 0.05
        ]
        every = [m.value for m in results.measures if m.name.endswith("_p_value_holm")]
        if name == "fair":
            found["fair: any intersection shown"].append(
                any(value is not None and value <= ALPHA for value in every)
            )
        else:
            wanted = {"race": "race2", "gender": "gender1"}
            found["planted: it is shown"].append(any(m.group == wanted for m in higher))
        for m in results.measures:
            if m.name != "fnmr_shrunk" or m.interval is None or len(m.group) < 3:
                continue
            is_hard = m.group["race"] == "race2" and m.group["gender"] == "gender1"
            truth = 0.05 * ratio if is_hard else 0.05
            inside = m.interval[0] <= truth <= m.interval[1]
            found[f"{name}: shrunk interval holds the truth"].append(inside)


def covariates(seed: int, found: Shares) -> None:
    """Four groups, one of them with worse pictures, less alike, both or neither."""
    for shift, like in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.4), (1.0, 0.4)):
        for mated in (True, False):
            key = (shift, like, mated)
            if key not in _RATES:
                many = [pictured(10_000 + k, *key).true for k in range(30)]
                _RATES[key] = np.mean(many, axis=0)
            drawn, true = pictured(seed, *key), _RATES[key]
            fit = standardise(drawn.error, drawn.group, drawn.variables, dyads(drawn.subject))
            what = f"pictures {shift:g}, group {like:g}, {'mated' if mated else 'non-mated'}"
            for g in range(4):
                low, high = fit.interval(g, held=True, level=0.95)
                found[f"{what}: rate inside"].append(low <= true[g] <= high)
            low, high = fit.log_ratio(2, 0, held=True, level=0.95).interval
            found[f"{what}: ratio inside"].append(low <= np.log(true[2] / true[0]) <= high)
            found[f"{what}: gap shown as found"].append(fit.equality(held=False) <= ALPHA)
            found[f"{what}: gap shown, held"].append(fit.equality(held=True) <= ALPHA)
            moved = fit.shrinkage(2, 0, level=0.95).p <= ALPHA
            found[f"{what}: covariates take part"].append(moved)


class Pictured(NamedTuple):
    """Errors of pairs of pictures, and the true rate of each group with covariates held."""

    error: np.ndarray
    group: np.ndarray
    variables: np.ndarray
    subject: np.ndarray
    true: np.ndarray


_RATES: dict[tuple[float, float, bool], np.ndarray] = {}


def pictured(seed: int, shift: float, like: float, mated: bool) -> Pictured:
    """Pairs of 400 people with five pictures each, whose errors follow a probit model."""
    rng = np.random.default_rng(seed)
    people, images = 400, 5
    home = np.arange(people) // 100
    quality = 0.85 * rng.standard_normal((people, images)) + 0.5 * rng.standard_normal((people, 1))
    quality += shift * (home == 2)[:, None]
    shared = rng.standard_normal(people)
    first, second = np.triu_indices(images, 1)
    if mated:
        subject = np.repeat(np.arange(people), len(first))[:, None].repeat(2, axis=1)
        image = np.tile(np.stack([first, second], axis=1), (people, 1))
    else:
        own = np.repeat(np.arange(4), 6000)[:, None]
        subject = rng.integers(0, 100, (len(own), 2)) + 100 * own
        subject = subject[subject[:, 0] != subject[:, 1]]
        image = rng.integers(0, images, subject.shape)
    group, both = home[subject[:, 0]], quality[subject, image]
    mean = both.mean(axis=1)
    z = np.sqrt(0.3) * shared[subject].sum(axis=1) / (2.0 if mated else np.sqrt(2))
    z += np.sqrt(0.7) * rng.standard_normal(len(z))
    error = z < -1.9 + 0.5 * mean + like * (group == 2)
    true = [special.ndtr(-1.9 + 0.5 * mean + like * (g == 2)).mean() for g in range(4)]
    variables = np.column_stack([mean, mean**2, np.abs(both[:, 0] - both[:, 1])])
    return Pictured(error, group, variables, subject, np.array(true))


def speed() -> None:
    """Seconds to fit and apply each method by scores on a million pairs."""
    rng = np.random.default_rng(0)
    pairs = 1_000_000
    mated = rng.random(pairs) < 0.1
    group = np.repeat(rng.integers(0, 4, (pairs, 1)), 2, axis=1)
    image = rng.integers(0, 2_000, (pairs, 2))
    scores = Scores(
        0.1 * rng.standard_normal(pairs) + 0.5 * mated,
        mated,
        group,
        ("a", "b", "c", "d"),
        image,
        image,
        tuple(map(str, range(2_000))),
    )
    for name, method in METHODS.items():
        if method.needs == "embeddings":
            continue
        settings = {**method.defaults, "images": list(scores.images)}
        start = time.perf_counter()
        arrays = method.fit(scores, settings)
        middle = time.perf_counter()
        method.apply(arrays, settings, scores)
        print(
            json.dumps(
                {
                    "case": "speed",
                    "method": name,
                    "pairs": pairs,
                    "fit_s": round(middle - start, 2),
                    "apply_s": round(time.perf_counter() - middle, 2),
                }
            )
        )


CASES: dict[str, Callable[[int, Shares], None]] = {
    "plan": plan,
    "threshold": threshold,
    "paired": paired,
    "identify": identify,
    "intersections": intersect,
    "covariates": covariates,
}


def main() -> None:
    """Runs the cases that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, "speed"], default=[])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    repeats = 2 if arguments.fast else arguments.repeats
    print(
        json.dumps(
            {"python": platform.python_version(), "numpy": np.__version__, "repeats": repeats}
        )
    )
    for case in arguments.cases or [*CASES, "speed"]:
        if case == "speed":
            speed()
            continue
        found: Shares = defaultdict(list)
        start = time.perf_counter()
        for seed in range(repeats):
            CASES[case](seed, found)
        for what, values in found.items():
            share = float(np.mean(values))
            error = np.sqrt(share * (1 - share) / len(values))
            line = {"case": case, "what": what, "share": round(share, 4)}
            print(json.dumps(line | {"standard_error": round(error, 4), "of": len(values)}))
        print(json.dumps({"case": case, "seconds": round(time.perf_counter() - start, 1)}))


if __name__ == "__main__":
    main()
