"""What a score means: kinds, thresholds, calibration, accuracies on a grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import kinds, run
from fairjax.audit.layout import Asked
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError

PEOPLE = 24


def cosines(*, seed: int = 0) -> list[tuple[int, int, int, int, float]]:
    """(person, image, person, image, cosine): mated around 0.6, non-mated around 0."""
    rng = np.random.default_rng(seed)
    pairs = [(p, 0, p, 1) for p in range(PEOPLE)]
    pairs += [(p, 0, q, 1) for p in range(PEOPLE) for q in range(p + 1, PEOPLE)]
    mean = [0.6 if p == q else 0.0 for p, _, q, _ in pairs]
    return [
        (*pair, round(float(s), 6)) for pair, s in zip(pairs, rng.normal(mean, 0.15), strict=True)
    ]


def table(folder: Path, turn=lambda cosine: cosine, *, seed: int = 0, name: str = "value") -> Path:
    """The pairs as CSV, their scores made of the cosines."""
    rows = [
        f"p{p}_{i},p{q}_{j},p{p},p{q},{'XY'[p % 2]},{'XY'[q % 2]},{(p + q) % 4},{turn(c):.9f}\n"
        for p, i, q, j, c in cosines(seed=seed)
    ]
    path = folder / f"pairs{seed}.csv"
    path.write_text(f"image1,image2,subject1,subject2,group1,group2,fold,{name}\n" + "".join(rows))
    return path


TURNS = {
    "cosine": (False, lambda c: c),
    "l2": (True, lambda c: np.sqrt(2 - 2 * c)),
    "squared_l2": (True, lambda c: 2 - 2 * c),
    "cosine_distance": (True, lambda c: 1 - c),
}


def load(folder: Path, kind: str, *, stated: bool = True, **more) -> Loaded:
    distance, turn = TURNS[kind]
    columns = {"distances": ["value"]} if distance else {"scores": ["value"]}
    asked = Asked(**columns, kind=kind if stated else "", **more)
    return load_comparisons(table(folder, turn), asked)["group"]


@pytest.mark.parametrize("protocol", ["lfw", "rfw"])
@pytest.mark.parametrize("kind", ["l2", "squared_l2", "cosine_distance"])
def test_accuracies_on_a_grid_are_those_of_the_cosines(tmp_path, kind, protocol):
    settings = run.Settings(fmrs=[0.1], protocol=protocol, resamples=10)
    ours, theirs = (run.measure(load(tmp_path, k), settings) for k in (kind, "cosine"))
    found = [m for m in theirs.measures if m.name.startswith("accuracy") and m.value is not None]
    assert len(found) > 3
    for m in found:
        if not m.across and "facexzoo" not in (m.name, m.rule.split(":")[0]):
            group = dict(m.group)
            assert ours.get(m.name, **group).value == pytest.approx(m.value), m.name


@pytest.mark.parametrize("kind", ["l2", "squared_l2", "cosine_distance"])
def test_accuracies_on_a_grid_are_left_out_where_nobody_says_the_kind(tmp_path, kind):
    settings = run.Settings(fmrs=[0.1], protocol="lfw", resamples=10)
    results = run.measure(load(tmp_path, kind, stated=False), settings)
    assert results.protocol["accuracies"] == ["exact"]
    assert results.protocol["score_kinds"] == {"value": "not stated"}
    assert any("Left out: the accuracy variants insightface" in limit for limit in results.limits)


def test_percentages_have_no_accuracy_on_a_grid(tmp_path):
    path = table(tmp_path, lambda c: 50 + 50 * c)
    settings = run.Settings(fmrs=[0.1], protocol="lfw", resamples=10)
    for kind, said in (("percent", "the scores are percentages"), ("", "nobody says what")):
        loaded = load_comparisons(path, Asked(scores=["value"], kind=kind))["group"]
        results = run.measure(loaded, settings)
        assert results.protocol["accuracies"] == ["exact"]
        assert any(said in limit for limit in results.limits)


def test_scores_with_negative_values_within_one_are_taken_for_cosines(tmp_path):
    assert load(tmp_path, "cosine", stated=False).kinds == {"value": "cosine"}


def test_a_threshold_of_distances_is_a_distance(tmp_path):
    results = run.measure(
        load(tmp_path, "l2"), run.Settings(fmrs=(), thresholds=[1.2], resamples=10)
    )
    known = np.array([np.sqrt(2 - 2 * c) for *_, c in cosines()])
    mated = np.array([p == q for p, _, q, _, _ in cosines()])
    at = "threshold 1.2"
    assert results.get("fnmr", at=at).value == pytest.approx(np.mean(known[mated] > 1.2))
    assert results.get("fmr", at=at).value == pytest.approx(np.mean(known[~mated] <= 1.2))
    assert results.protocol["threshold_rule"] == results.protocol["threshold_source"] == "given"
    assert results.protocol["thresholds"] == [1.2]
    assert any("all 300 values were turned" in limit for limit in results.limits)


def test_a_threshold_that_is_a_distance_itself_accepts_it(tmp_path):
    path = table(tmp_path)
    text = path.read_text().splitlines()
    (tmp_path / "t.csv").write_text(
        "\n".join(
            [text[0], *(line.rsplit(",", 1)[0] + f",{k % 3}" for k, line in enumerate(text[1:]))]
        )
    )
    asked = Asked(distances=["value"], any_direction=True)
    loaded = load_comparisons(tmp_path / "t.csv", asked)["group"]
    results = run.measure(loaded, run.Settings(fmrs=(), thresholds=[1.0], resamples=5))
    distance = np.arange(len(loaded)) % 3
    assert results.get("fnmr", at="threshold 1").value == pytest.approx(
        np.mean(distance[loaded.mated] > 1)
    )


@pytest.mark.parametrize(
    ("kind", "threshold", "words"),
    [
        ("cosine", 40.0, "lies outside the scores of value"),
        ("l2", -0.4, "lies outside the distances of value"),
        ("l2", 3.0, "in the distances' own unit"),
    ],
)
def test_a_threshold_outside_the_scores_is_refused(tmp_path, kind, threshold, words):
    with pytest.raises(InputError, match=words):
        run.measure(load(tmp_path, kind), run.Settings(thresholds=[threshold], resamples=5))


@pytest.mark.parametrize(
    ("asked", "turn", "words"),
    [
        (Asked(scores=["value"], kind="cosine"), lambda c: 100 * c, "cosines lie between -1 and 1"),
        (Asked(scores=["value"], kind="l2"), lambda c: c, "name value with --distance"),
        (Asked(distances=["value"], kind="cosine"), lambda c: 1 - c, "name value with --score"),
        (Asked(scores=["value"], kind="probability"), lambda c: c, "probabilities lie between"),
        (Asked(distances=["value"]), lambda c: -c, "no distance is negative"),
    ],
)
def test_scores_of_another_kind_than_stated_are_refused(tmp_path, asked, turn, words):
    with pytest.raises(InputError, match=words):
        load_comparisons(table(tmp_path, turn), asked)


@pytest.mark.parametrize(
    "turn", [lambda c: 100 * c, lambda c: 50 + 50 * c, lambda c: (1 + c) / 2, lambda c: c / 20]
)
def test_a_calibration_in_another_unit_is_refused(tmp_path, turn):
    audited = load_comparisons(table(tmp_path), Asked(scores=["value"]))["group"]
    settings = run.Settings(fmrs=[0.1], resamples=5)
    same = load_comparisons(table(tmp_path, seed=1), Asked(scores=["value"]))["group"]
    assert run.measure(audited, settings, calibration=same, calibration_source="c").measures
    other = load_comparisons(table(tmp_path, turn, seed=1), Asked(scores=["value"]))["group"]
    for one, two in ((audited, other), (other, audited)):
        with pytest.raises(InputError, match="seem to be in another unit"):
            run.measure(one, settings, calibration=two, calibration_source="c.csv")


def test_a_calibration_of_distances_does_not_fit_scores(tmp_path):
    audited = load_comparisons(table(tmp_path), Asked(scores=["value"]))["group"]
    with pytest.raises(InputError, match="a distance in one of the tables only"):
        run.measure(
            audited,
            run.Settings(resamples=5),
            calibration=replace(audited, distances=("value",)),
            calibration_source="c.csv",
        )


@pytest.mark.parametrize("kind", ["cosine", "l2", "squared_l2", "cosine_distance"])
def test_every_kind_turns_back_into_the_cosine(kind):
    cosine = np.linspace(-1, 1, 9)
    distance, turn = TURNS[kind]
    held = -turn(cosine) if distance else turn(cosine)
    np.testing.assert_allclose(kinds.cosines(held, kind), cosine, atol=1e-12)
