"""Made-up but lifelike results of a UTKFace evaluation, for the tests of reports and plots."""

import numpy as np

from fairjax.core.results import Measure, Results, Table
from fairjax.core.verdict import verdict

RACES = ("White", "Black", "Asian", "Indian", "Others")
GENDERS = ("Male", "Female")
DECADES = tuple(f"{start}-{start + 9}" for start in range(0, 120, 10))
RACE_SHARE = dict(zip(RACES, (0.43, 0.19, 0.145, 0.165, 0.07), strict=True))
AGE_SHARE = (0.128, 0.065, 0.309, 0.193, 0.095, 0.096, 0.055, 0.03, 0.021, 0.006, 0.001, 0.001)
TOTAL = 3021
METHOD = "cluster bootstrap, percentile, 2000 resamples"
RULES = {
    "gender_fpr": "positive = Female; false positives / true Male",
    "gender_fnr": "positive = Female; false negatives / true Female",
    "age_fpr": "positive = age >= 30, prediction = regressed age >= 30",
    "age_fnr": "positive = age >= 30, prediction = regressed age >= 30",
    "age_mae": "mean of |predicted - labelled age|",
    "gender_accuracy": "argmax of the logits",
    "race_accuracy": "argmax of the logits",
}
BASE = {
    "age_mae": 6.4,
    "gender_accuracy": 0.893,
    "race_accuracy": 0.752,
    "gender_fpr": 0.101,
    "gender_fnr": 0.114,
    "age_fpr": 0.118,
    "age_fnr": 0.214,
}
SHIFT = dict(zip(RACES, (0.92, 0.81, 1.62, 0.98, 1.05), strict=True))  # errors times this


def stale_levels(results: Results) -> list[str]:
    """Detectable ratios that were found at another level than 5 % over all tests of the report."""
    found = [m for m in results.measures if m.name.endswith("_detectable_ratio")]
    tests = {(c.measure, c.across, c.at): c.tests for c in verdict(results).claims}
    assert found and {(m.name[: -len("_detectable_ratio")], m.across, m.at) for m in found} <= {
        *tests
    }
    level = {key: f"at level {0.05 / count:.2g}" for key, count in tests.items()}
    return [
        f"{m.name} {m.at}: {m.rule}"
        for m in found
        if not m.rule.endswith(level[m.name[: -len("_detectable_ratio")], m.across, m.at])
    ]


def example_results() -> Results:
    """Overall, by race, gender and decade, race x gender, gaps, confusion, calibration."""
    measures = []
    for name, base in BASE.items():
        measures.append(_measure(name, base, TOTAL, {}))
        for race in RACES:
            measures.append(_shifted(name, base, SHIFT[race], RACE_SHARE[race], {"race": race}))
        for gender, factor in zip(GENDERS, (0.94, 1.07), strict=True):
            if not name.startswith("gender_f"):
                measures.append(_shifted(name, base, factor, 0.5, {"gender": gender}))
            for race in RACES:
                group = {"race": race, "gender": gender}
                share = RACE_SHARE[race] * (0.54 if gender == "Male" else 0.46)
                measures.append(_shifted(name, base, factor * SHIFT[race], share, group))
        for across, values in (("race", RACES), ("gender", GENDERS)):
            measures += _gaps(name, across, values, measures)
    for decade, share, years in zip(
        DECADES,
        AGE_SHARE,
        (2.6, 5.1, 4.4, 5.9, 7.9, 8.3, 8.8, 9.9, 11.7, 15.2, 24.0, 61.0),
        strict=True,
    ):
        n = round(TOTAL * share)
        measures.append(_measure("age_mae", years, n, {"age": decade}))
        for race in RACES:
            cell = round(n * RACE_SHARE[race])
            value = years * (0.7 + 0.3 * SHIFT[race]) if cell else None
            measures.append(_measure("age_mae", value, cell, {"age": decade, "race": race}))
    return Results(
        kind="attributes",
        protocol={
            "name": "utkface",
            "split": "test",
            "group_by": "race",
            "level": 0.95,
            "gender_positive": "Female",
            "age_rate": "threshold",
            "age_positive_from": 30,
            "bootstrap": {"resamples": 2000, "seed": 0, "unit": "duplicate group"},
        },
        measures=measures,
        arrays={"confusion": _confusion(), "calibration": _calibration()},
        limits=[
            "Race and gender are other people's guesses from a picture, in coarse classes.",
            "'Others' is a leftover class, not a group.",
            "Ages are partly estimates; 26 and 35 are heavily over-used.",
        ],
        provenance={"checkpoint_step": 5200, "data_hash": "sha256:" + "5f3a" * 16},
    )


def example_tables() -> list[Table]:
    """Tables 1 and 2 of the UTKFace study, with made-up numbers."""
    return [
        Table(
            "Table 1: accuracy",
            ["measure", "value", "95% interval", "n"],
            [
                ["Age MAE (years)", "6.40", "6.2 to 6.6", "3,021"],
                ["Gender accuracy", "89.3%", "88.1 to 90.4", "3,021"],
            ],
            "Accuracy is the share of faces whose highest logit is the label.",
        ),
        Table(
            "Table 2: gender error rates by race",
            ["race", "FPR [95% interval]", "FNR [95% interval]", "n"],
            [
                [race, "0.10 [0.08, 0.12]", "0.11 [0.09, 0.14]", f"{TOTAL * RACE_SHARE[race]:,.0f}"]
                for race in RACES
            ],
            "Positive = Female.",
        ),
    ]


def example_curves() -> list[dict[str, float]]:
    """metrics.jsonl of a run: training loss, learning rate, speed, validation now and then."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, float]] = []
    for step in range(20, 5201, 20):
        loss = 2.9 * np.exp(-step / 1400) + 0.7 + 0.05 * rng.standard_normal()
        rate = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 5200))
        row = {"step": step, "train/loss": loss, "train/learning_rate": rate}
        row["images_per_second"] = 61 + rng.standard_normal()
        rows.append(row)
        if step % 520 == 0:
            rows.append(
                {
                    "step": step,
                    "validation/loss": loss + 0.25 * step / 5200,
                    "validation/gender_accuracy": 0.9 - 0.3 * np.exp(-step / 900),
                    "validation/race_accuracy": 0.76 - 0.4 * np.exp(-step / 1100),
                    "validation/age_mae": 6.3 + 9 * np.exp(-step / 800),
                }
            )
    return rows


EXAMPLE_CONFIG = {
    "seed": 0,
    "dtype": "float32",
    "data": {"name": "utkface", "root": "faces", "image_size": 64, "on_error": "skip"},
    "model": {"name": "resnet", "depth": 50, "width": 64},
    "method": {"name": "classify", "weights": {"age": 1.0, "gender": 1.0, "race": 1.0}},
    "optim": {"name": "sgd", "peak_lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
    "train": {"steps": 5200, "batch_size": 64},
}
EXAMPLE_MANIFEST = {
    "name": "utkface",
    "source": "utkface.tar",
    "files": 20151,
    "usable": 20149,
    "skipped": [
        {"file": "61_1_20170109142408075.jpg", "kind": "name", "reason": "no race field"},
        {"file": "39_1_20170116174525125.jpg", "kind": "name", "reason": "no race field"},
    ],
    "hash": "sha256:" + "5f3a" * 16,
    "counts": {
        "race": {race: round(20149 * share) for race, share in RACE_SHARE.items()},
        "gender": {"Male": 10494, "Female": 9655},
        "race_gender": {
            race: {"Male": 11 * k, "Female": 10 * k} for k, race in enumerate(RACES, 5)
        },
    },
    "duplicates": {
        "rule": "equal bytes, or perceptual hashes at most 4 bits apart",
        "groups": 677,
        "files": 1409,
        "members": [[f"a{k}.jpg", f"b{k}.jpg"] for k in range(30)],
    },
    "split": {
        "seed": 0,
        "ratio": [0.7, 0.15, 0.15],
        "sizes": {"train": 14105, "validation": 3023, "test": TOTAL},
        "race_gender": {
            split: {race: {"Male": 52 * k, "Female": 48 * k} for race in RACES}
            for split, k in (("train", 14), ("validation", 3), ("test", 3))
        },
    },
}
EXAMPLE_ENVIRONMENT = {
    "command": "python -m fairjax.main --config configs/utkface/resnet50.py:small",
    "git_revision": "0123456789abcdef0123456789abcdef01234567",
    "versions": {"fairjax": "0.1.0", "jax": "0.10.2", "flax": "0.12.8", "python": "3.11.9"},
    "devices": ["CpuDevice(id=0)"],
    "wall_seconds": 6312.4,
}


def _measure(name, value, n, group, **more):
    unit = more.pop("unit", "years" if name.startswith("age_mae") else "fraction")
    if n == 0 or value is None:
        return Measure(name, None, unit, n, group, note="no examples", **more)
    scale = 0.9 * value if unit == "years" else np.sqrt(value * (1 - min(value, 0.99)))
    half = more.pop("half", 1.96 * float(scale) / np.sqrt(n))
    errors = None
    if unit == "fraction" and "across" not in more:
        errors = round(n * (1 - value if name.endswith("accuracy") else value))
    return Measure(
        name,
        value,
        unit,
        n,
        group,
        interval=(max(0.0, value - half), value + half),
        level=0.95,
        method=METHOD,
        n_clusters=round(0.97 * n),
        n_errors=errors,
        rule=RULES.get(name, ""),
        **more,
    )


def _shifted(name, base, factor, share, group):
    value = 1 - (1 - base) * factor if name.endswith("accuracy") else base * factor
    share *= 0.5 if name.endswith(("fpr", "fnr")) else 1.0
    return _measure(name, value, round(TOTAL * share), group)


def _gaps(name, across, values, measures):
    found = [m for m in measures if m.name == name and list(m.group) == [across]]
    if not found:
        return []
    numbers = [m.value for m in found]
    gap, half = max(numbers) - min(numbers), (0.9 if name == "age_mae" else 0.025)
    n = sum(m.n for m in found)
    unit, more = found[0].unit, {"n": n, "across": across}
    floor = 0.8 * half * 1.3
    rule = "permutations of the labels of whole clusters"
    worst = min(found, key=lambda m: m.value * (1 if name.endswith("accuracy") else -1))
    return [
        _measure(f"{name}_difference", gap, n, {}, across=across, unit=unit, half=half),
        Measure(f"{name}_difference_noise_floor", floor, unit, **more, rule=rule),
        Measure(f"{name}_difference_p_value", 0.0005 if gap > floor else 0.21, "fraction", **more),
        _measure(f"{name}_ratio", min(numbers) / max(numbers), n, {}, across=across, unit="ratio"),
        Measure(f"{name}_std", float(np.std(numbers, ddof=1)), unit, **more, ddof=1),
        Measure(f"{name}_worst", worst.value, unit, group=worst.group, **more),
    ]


def _confusion():
    race = np.full((5, 5), 9) + np.diag([1100, 420, 330, 340, 50])
    race[4] += (60, 10, 20, 30, 0)
    race[3, 0] = race[0, 3] = 70
    return {
        "gender": {"classes": list(GENDERS), "overall": [[1410, 158], [166, 1287]], "by_group": {}},
        "race": {"classes": list(RACES), "overall": race.tolist(), "by_group": {}},
    }


def _calibration():
    edges = np.linspace(0, 1, 16)
    confidence = (edges[1:] + edges[:-1]) / 2
    used = confidence > 0.5

    def diagram(slack, share):
        n = np.where(used, TOTAL * share * confidence**6 / (confidence[used] ** 6).sum(), 0)
        accuracy = confidence - slack * np.sin(np.pi * confidence)
        return {
            "n": n.round().astype(int).tolist(),
            "confidence": [
                c if u else None for c, u in zip(confidence.tolist(), used, strict=True)
            ],
            "accuracy": [a if u else None for a, u in zip(accuracy.tolist(), used, strict=True)],
        }

    by_group = {r: diagram(0.05 + 0.09 * (SHIFT[r] - 0.8), RACE_SHARE[r]) for r in RACES}
    return {
        "gender": {"edges": edges.tolist(), "overall": diagram(0.06, 1.0), "by_group": by_group}
    }
