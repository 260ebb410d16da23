"""Made-up but lifelike results of a verification audit, for the tests of reports and tables.

Normal scores are drawn for five groups, one with a hostile name, one with few mated and no
non-mated pairs; every rate is counted from them. Intervals and noise floors are only plausible.
"""

import functools

import numpy as np

from fairjax.core.results import Measure, Results, Table

HOSTILE = '</script><script>alert("x")</script> & =1+1|é'
GROUPS = ("African", "Asian", "Caucasian", HOSTILE, "South-East Asian and Pacific Islander")
SHIFT = (0.075, 0.045, 0.0, 0.03, 0.02)  # added to the non-mated scores
MATED = (3000, 3000, 3000, 2400, 120)
NONMATED = (24000, 24000, 24000, 15000, 0)
SUBJECTS = (600, 590, 610, 410, 24)
POINTS = {"FMR 1e-2": 1e-2, "FMR 1e-3": 1e-3, "FMR 1e-6": 1e-6}
SOURCE = "all non-mated pairs"
METHOD = "cluster bootstrap, percentile, 2000 resamples"


@functools.cache
def verification_example(*, systems=("",)) -> Results:
    """Rates by group and cell at three operating points, summaries, curves, adequacy, verdicts."""
    measures, arrays = [], {}
    for place, name in enumerate(systems):
        found, arrays[name] = _system(name, place)
        measures += found
    first = arrays[systems[0]]
    if len(systems) > 1:
        first = {**first, "systems": arrays}
        measures += _changes(measures, systems)
    return Results(
        kind="verification",
        protocol={
            "name": "verification",
            "attribute": "race",
            "groups": list(GROUPS),
            "level": 0.95,
            "threshold_rule": "smallest score with FMR <= target over all non-mated pairs",
            "bootstrap": {"resamples": 2000, "seed": 0, "unit": "subject"},
        },
        measures=measures,
        arrays=first,
        limits=["Race is the annotators' guess from a picture, in coarse classes."],
        provenance={"scores_hash": "sha256:" + "5f3a" * 16, "source": "scores.csv"},
    )


def verification_tables() -> list[Table]:
    """A benchmark's own table, with made-up numbers."""
    rows = [[group, "94.1 [93.2, 95.0]", "6,000"] for group in GROUPS]
    return [Table("Accuracy by race", ["race", "accuracy, %", "pairs"], rows, "ddof 1.")]


def _system(system, seed):
    rng = np.random.default_rng(seed)
    scores = {
        group: (
            rng.normal(0.60 + 0.02 * seed, 0.12, mated),
            rng.normal(0.04 + shift, 0.10, nonmated),
        )
        for group, shift, mated, nonmated in zip(GROUPS, SHIFT, MATED, NONMATED, strict=True)
    }
    cross = {
        (a, b): rng.normal(0.0 + 0.3 * (SHIFT[k] + SHIFT[j]), 0.10, 0 if k == 4 or j == 4 else 9000)
        for k, a in enumerate(GROUPS)
        for j, b in enumerate(GROUPS)
        if j > k
    }
    every = np.concatenate([*(n for _, n in scores.values()), *cross.values()])
    measures = []
    operating = {}
    for at, target in POINTS.items():
        rank = int(np.floor(target * len(every)))
        if not rank:
            operating[at] = None
        else:
            operating[at] = float(np.sort(every)[::-1][rank - 1])
        measures += _at_point(system, at, operating[at], scores, cross, every)
    measures += _threshold_free(system, scores)
    arrays = {
        "det": _det(scores, every),
        "rates": _rates(scores, operating),
        "matrix": _matrix(scores, cross, operating["FMR 1e-3"]),
        "histograms": _histograms(scores),
        "adequacy": _adequacy(measures),
        "verdicts": _verdicts(),
    }
    return measures, arrays


def _rate(system, name, at, threshold, wrong, n, group, clusters, **more):
    place = {"at": at, "system": system, "n": n, "n_clusters": clusters, "group": group}
    if threshold is None or not n:
        note = "no pair" if threshold else f"insufficient data: {at[4:]} needs 1000000 pairs"
        return Measure(
            name,
            None,
            "fraction",
            note=note,
            threshold_source=SOURCE,
            threshold=threshold,
            n_errors=None,
            **place,
        )
    p = wrong / n
    half = 1.96 * np.sqrt(2.5 * max(p, 1 / n) / n)
    return Measure(
        name,
        1 - p if name == "tmr" else p,
        "fraction",
        n_errors=wrong,
        level=0.95,
        method=METHOD,
        interval=(max(0.0, p - half), p + half)
        if name != "tmr"
        else (1 - p - half, min(1.0, 1 - p + half)),
        rule="non-mated pairs at or above the threshold"
        if name == "fmr"
        else "mated pairs below the threshold",
        threshold=threshold,
        threshold_source=SOURCE,
        **place,
        **more,
    )


def _at_point(system, at, t, scores, cross, every):
    cut = np.inf if t is None else t
    mated = np.concatenate([m for m, _ in scores.values()])
    made = []
    for name, values in (("fmr", every >= cut), ("fnmr", mated < cut), ("tmr", mated < cut)):
        made.append(_rate(system, name, at, t, int(values.sum()), len(values), {}, sum(SUBJECTS)))
        for group, clusters in zip(GROUPS, SUBJECTS, strict=True):
            m, n = scores[group]
            wrong = n >= cut if name == "fmr" else m < cut
            made.append(
                _rate(system, name, at, t, int(wrong.sum()), len(wrong), {"race": group}, clusters)
            )
    for (a, b), values in cross.items():
        group = {"race": a, "other_race": b}
        made.append(
            _rate(system, "fmr", at, t, int((values >= cut).sum()), len(values), group, 900)
        )
    return made + _summaries(system, at, t, made)


def _summaries(system, at, t, made):
    place = {
        "across": "race",
        "at": at,
        "system": system,
        "threshold": t,
        "n": 100_000,
        "threshold_source": SOURCE,
    }
    found = []
    for rate in ("fmr", "fnmr"):
        own = [m for m in made if m.name == rate and list(m.group) == ["race"]]
        values = [(m.value, m.group) for m in own if m.value is not None]
        x = np.array([v for v, _ in values])
        zero = [g["race"] for v, g in values if v == 0]
        if not len(x):
            continue
        geo = np.exp(np.log(np.maximum(x, 1e-4)).mean())
        for name, value, unit, ddof in (
            ("difference", x.max() - x.min(), "fraction", None),
            ("std", x.std(ddof=1), "fraction", 1),
            ("max_over_min", None if zero else x.max() / x.min(), "ratio", None),
            ("max_over_geomean", None if zero else x.max() / geo, "ratio", None),
            ("gini", 0.42, "fraction", None),
            ("sum_abs_log10", None if zero else 1.4, "ratio", None),
        ):
            full = f"{rate}_{name}"
            if value is None:
                note = f"undefined (0 errors in group {zero[0]})"
                found.append(Measure(full, None, unit, note=note, **place))
                full, value = f"{full}_smoothed", 5.5
            found.append(
                Measure(
                    full,
                    float(value),
                    unit,
                    interval=(0.7 * value, 1.4 * value),
                    level=0.95,
                    method=METHOD,
                    ddof=ddof,
                    **place,
                )
            )
            floor = 0.5 * value if rate == "fmr" else 1.1 * value
            found.append(Measure(f"{full}_noise_floor", float(floor), unit, **place))
            p, holm = (0.0005, 0.004) if rate == "fmr" else (0.21, 1.0)
            found.append(Measure(f"{full}_p_value", p, "fraction", **place))
            found.append(Measure(f"{full}_p_value_holm", holm, "fraction", **place))
        worst = max(values, key=lambda pair: pair[0])
        found.append(Measure(f"{rate}_worst", worst[0], "fraction", group=worst[1], **place))
    if found:
        for name, value, floor, unit in (
            ("fairness_discrepancy_rate", 0.987, 0.995, "fraction"),
            ("inequity_rate", 4.9, 2.0, "ratio"),
            ("garbe", 0.38, 0.2, "fraction"),
            ("worst_error_rate_multiplier", 2.1, 1.4, "ratio"),
        ):
            ends = 0.8 * value, min(1.2 * value, 1.0 if value < 1 else 9.0)
            found.append(
                Measure(
                    name,
                    value,
                    unit,
                    interval=ends,
                    level=0.95,
                    method=METHOD,
                    rule="alpha 0.5",
                    **place,
                )
            )
            found.append(Measure(f"{name}_noise_floor", floor, unit, **place))
    return found


def _threshold_free(system, scores):
    made = []
    for group, clusters in [(None, sum(SUBJECTS)), *zip(GROUPS, SUBJECTS, strict=True)]:
        where = {} if group is None else {"race": group}
        thin = group == GROUPS[4]
        n = sum(MATED) + sum(NONMATED) if group is None else len(np.concatenate(scores[group]))
        more = {"group": where, "n": n, "n_clusters": clusters, "system": system, "level": 0.95}
        for name, value, unit in (
            ("eer", 0.021, "fraction"),
            ("auc", 0.996, "fraction"),
            ("d_prime", 4.7, "ratio"),
        ):
            value = None if thin else value - (0.002 if group == "African" else 0.0)
            ends = None if thin else (0.97 * value, min(1.02 * value, 1.0 if value < 1 else 9.0))
            made.append(
                Measure(name, value, unit, interval=ends, note="no pair" if thin else "", **more)
            )
        accuracy = 0.962 - 0.03 * (group == "African") - 0.01 * (group == "Asian")
        for name, shift in (("accuracy", 0.0), ("accuracy_insightface", -0.004)):
            made.append(
                Measure(
                    name,
                    accuracy + shift,
                    "fraction",
                    interval=(accuracy - 0.01, accuracy + 0.008),
                    n_errors=round(n * (1 - accuracy)),
                    rule="best of 9 folds, read on the tenth",
                    method=METHOD,
                    **more,
                )
            )
    place = {"across": "race", "n": 60_000, "system": system}
    return [
        *made,
        Measure("accuracy_mean", 0.95, "fraction", **place),
        Measure("accuracy_std", 0.014, "fraction", ddof=1, **place),
        Measure("accuracy_ser", 1.79, "ratio", **place),
        Measure(
            "accuracy_difference", 0.03, "fraction", interval=(0.02, 0.04), level=0.95, **place
        ),
        Measure("accuracy_worst", 0.932, "fraction", group={"race": "African"}, **place),
    ]


def _curve(mated, nonmated):
    t = np.quantile(np.concatenate([mated, nonmated]), np.linspace(0, 1, 300))
    n = max(len(nonmated), 1)
    fmr = [(nonmated >= x).sum() / n if len(nonmated) else None for x in t]
    return {
        "threshold": t.tolist(),
        "fmr": [None if x is None else float(x) for x in fmr],
        "fnmr": [float((mated < x).mean()) for x in t],
        "thirty_fmr": 30 / n if len(nonmated) > 30 else None,
        "thirty_fnmr": 30 / len(mated) if len(mated) > 30 else None,
    }


def _det(scores, every):
    mated = np.concatenate([m for m, _ in scores.values()])
    curves = {"everyone": _curve(mated, every)}
    return {"groups": curves | {group: _curve(*pair) for group, pair in scores.items()}}


def _rates(scores, operating):
    t = np.linspace(-0.4, 1.0, 141)
    return {
        "threshold": t.tolist(),
        "fmr": {
            g: [float((n >= x).mean()) if len(n) else None for x in t]
            for g, (_, n) in scores.items()
        },
        "fnmr": {g: [float((m < x).mean()) for x in t] for g, (m, _) in scores.items()},
        "n_mated": {g: len(m) for g, (m, _) in scores.items()},
        "n_nonmated": {g: len(n) for g, (_, n) in scores.items()},
        "operating": {at: x for at, x in operating.items() if x is not None},
    }


def _matrix(scores, cross, t):
    cell = {(g, g): n for g, (_, n) in scores.items()} | cross
    pairs = [[cell.get((a, b), cell.get((b, a))) for b in GROUPS] for a in GROUPS]
    fmr = [[float((x >= t).mean()) if len(x) else None for x in line] for line in pairs]
    return {
        "at": "FMR 1e-3",
        "threshold": t,
        "groups": list(GROUPS),
        "fmr": fmr,
        "errors": [[int((x >= t).sum()) for x in line] for line in pairs],
        "n": [[len(x) for x in line] for line in pairs],
        "low": [[None if x is None else 0.7 * x for x in line] for line in fmr],
        "high": [[None if x is None else 1.4 * x for x in line] for line in fmr],
    }


def _histograms(scores):
    edges = np.linspace(-0.4, 1.0, 57)
    return {
        "edges": edges.tolist(),
        "mated": {g: np.histogram(m, edges)[0].tolist() for g, (m, _) in scores.items()},
        "nonmated": {g: np.histogram(n, edges)[0].tolist() for g, (_, n) in scores.items()},
    }


def _adequacy(measures):
    errors = {
        (m.name, m.at, m.group.get("race")): m.n_errors
        for m in measures
        if list(m.group) == ["race"]
    }
    return [
        {
            "group": group,
            "subjects": subjects,
            "mated": mated,
            "nonmated": nonmated,
            "lowest_fmr": 30 * 2.5 / nonmated if nonmated else None,
            "design_effect_fmr": 2.5 if nonmated else None,
            "design_effect_fnmr": 1.7,
            "upper_if_zero": 3 / subjects,
            "at": {
                f"{at}, {rate}": errors[rate, at, group] or 0
                for at in list(POINTS)[:2]
                for rate in ("fmr", "fnmr")
            },
        }
        for group, subjects, mated, nonmated in zip(GROUPS, SUBJECTS, MATED, NONMATED, strict=True)
    ]


def _verdicts():
    return [
        {
            "measure": "fmr_max_over_min",
            "at": "FMR 1e-2",
            "value": 7.0,
            "interval": [5.0, 10.0],
            "tolerance": 2.0,
            "verdict": "exceeds",
            "words": "7.0 (95% interval 5.0 to 10.0) lies above the tolerance of 2.",
        },
        {
            "measure": "fnmr_difference",
            "at": "FMR 1e-3",
            "value": 0.01,
            "interval": [0.002, 0.03],
            "tolerance": 0.02,
            "verdict": "inconclusive",
            "words": "1.0 points (95% interval 0.2 to 3.0) hold the tolerance of 2 points.",
        },
        {
            "measure": "fnmr_difference",
            "at": "FMR 1e-2",
            "value": 0.004,
            "interval": [0.002, 0.01],
            "tolerance": 0.02,
            "verdict": "within",
            "words": "0.4 points (95% interval 0.2 to 1.0) lie below the tolerance of 2 points.",
        },
    ]


def _changes(measures, systems):
    first, second = systems[:2]
    old = {
        (m.name, m.at, m.across, tuple(m.group.items())): m for m in measures if m.system == first
    }
    made = []
    for m in measures:
        before = old.get((m.name, m.at, m.across, tuple(m.group.items())))
        if m.system != second or m.name not in ("fmr", "fnmr", "fmr_max_over_min", "accuracy"):
            continue
        if "other_race" in m.group or m.value is None or before.value is None:
            continue
        change = m.value - before.value
        half = 0.4 * abs(m.value)
        made.append(
            Measure(
                f"{m.name}_change",
                change,
                m.unit,
                m.n,
                m.group,
                m.across,
                level=0.95,
                method=METHOD,
                interval=(change - half, change + half),
                at=m.at,
                system=f"{second} minus {first}",
            )
        )
    return made
