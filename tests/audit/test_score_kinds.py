"""What a score means: kinds, thresholds, calibration, accuracies on a grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv, parquet

from fairjax import cli
from fairjax.audit import kinds, run
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError
from fairjax.core.results import load_results

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
    options = TableOptions(**columns, kind=kind if stated else "", **more)
    return load_comparisons(table(folder, turn), options)["group"]


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
        loaded = load_comparisons(path, TableOptions(scores=["value"], kind=kind))["group"]
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
    assert any("value is a distance (all 300 values)" in limit for limit in results.limits)


def minus(values):
    return [-v for v in reversed(values)]


@pytest.mark.parametrize("systems", [["d"], ["s", "d"]])
def test_distances_stay_distances_in_all_that_is_shown(tmp_path, systems):
    """The same audit of minus the distances, as scores, is the independent route."""
    heads, *lines = table(tmp_path, lambda cosine: 3 - cosine, name="d").read_text().splitlines()
    lines = [f"{line},-{line.rpartition(',')[2]}" for line in lines]
    (tmp_path / "t.csv").write_text("\n".join([f"{heads},s", *lines]))
    settings = run.Settings(fmrs=(0.1,), resamples=5)

    def measured(**columns):
        return run.measure(
            load_comparisons(tmp_path / "t.csv", TableOptions(**columns))["group"], settings
        )

    scores = [name for name in systems if name == "s"]
    results = measured(scores=scores, distances=["d"])
    plain = measured(scores=["s"])
    of = "d" if scores else ""
    distance, score = (
        {(m.name, m.at, m.across, *m.group.items()): m for m in r.measures if m.system == name}
        for r, name in ((results, of), (plain, ""))
    )
    assert distance.keys() == score.keys()
    for key, m in distance.items():
        assert m.value == pytest.approx(score[key].value, nan_ok=True), key
        if m.threshold is not None:
            assert m.threshold == -score[key].threshold > 1.5, key
    assert distance["fmr", "FMR 1e-1", ""].rule == (
        "non-mated pairs with a distance of at most the threshold / non-mated pairs"
    )
    arrays, others = results.arrays.get("systems", {}).get("d", results.arrays), plain.arrays
    assert arrays["rates"]["threshold"] == minus(others["rates"]["threshold"])
    bins = arrays["histograms"]
    assert bins["edges"] == minus(others["histograms"]["edges"])
    for name, counts in others["histograms"]["mated"].items():
        assert bins["mated"][name] == counts[::-1]
        assert arrays["rates"]["fmr"][name] == others["rates"]["fmr"][name][::-1]
    assert arrays["matrix"]["threshold"] == -others["matrix"]["threshold"]
    if not scores:
        assert results.protocol["threshold_rule"].startswith("largest distance whose FMR")
    else:  # the first system's plots stand at the top: here the scores'
        top = results.arrays["rates"]["threshold"]
        assert top == others["rates"]["threshold"]


def test_a_threshold_that_half_of_the_pairs_contradict_is_questioned(tmp_path):
    def notes(threshold):
        settings = run.Settings(fmrs=(), thresholds=[threshold], resamples=5)
        results = run.measure(load(tmp_path, "l2"), settings)
        return [limit for limit in results.limits if limit.startswith("--threshold")]

    known = np.array([np.sqrt(2 - 2 * c) for *_, c in cosines()])
    mated = np.array([p == q for p, _, q, _, _ in cosines()])
    between = (np.median(known[mated]) + np.median(known[~mated])) / 2
    assert notes(between) == []
    (said,) = notes(low := np.quantile(known[mated], 0.25))
    assert f"rejects {np.mean(known[mated] > low):.1%} of the mated pairs" in said
    assert "in the unit of these distances?" in said
    (said,) = notes(high := np.quantile(known[~mated], 0.9))
    assert f"accepts {np.mean(known[~mated] <= high):.1%} of the non-mated pairs" in said
    assert f"the middle non-mated one {np.median(known[~mated]):.4g}" in said


def test_a_column_of_distances_beside_one_of_scores_is_not_passed_over_in_silence(tmp_path):
    text = table(tmp_path).read_text().replace("value", "score").splitlines()
    lines = [text[0] + ",distance", *(line + ",0.5" for line in text[1:])]
    (tmp_path / "both.csv").write_text("\n".join(lines))

    def notes(**columns):
        loaded = load_comparisons(tmp_path / "both.csv", TableOptions(**columns))["group"]
        return [note for note in loaded.notes if "is not read" in note]

    (said,) = notes()
    assert said.endswith("To audit both, say --score score --distance distance.")
    assert notes(scores=["score"]) == []
    (tmp_path / "both.csv").write_text("\n".join(lines).replace(",distance", ",sim"))
    (said,) = notes()
    assert said.endswith("To audit both, say --score score --score sim.")


def test_a_threshold_that_is_a_distance_itself_accepts_it(tmp_path):
    path = table(tmp_path)
    text = path.read_text().splitlines()
    (tmp_path / "t.csv").write_text(
        "\n".join(
            [text[0], *(line.rsplit(",", 1)[0] + f",{k % 3}" for k, line in enumerate(text[1:]))]
        )
    )
    options = TableOptions(distances=["value"], any_direction=True)
    loaded = load_comparisons(tmp_path / "t.csv", options)["group"]
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
    ("options", "turn", "words"),
    [
        (
            TableOptions(scores=["value"], kind="cosine"),
            lambda c: 100 * c,
            "cosines lie between -1 and 1",
        ),
        (TableOptions(scores=["value"], kind="l2"), lambda c: c, "name value with --distance"),
        (
            TableOptions(distances=["value"], kind="cosine"),
            lambda c: 1 - c,
            "name value with --score",
        ),
        (
            TableOptions(scores=["value"], kind="probability"),
            lambda c: c,
            "probabilities lie between",
        ),
        (TableOptions(distances=["value"]), lambda c: -c, "no distance is negative"),
    ],
)
def test_scores_of_another_kind_than_stated_are_refused(tmp_path, options, turn, words):
    with pytest.raises(InputError, match=words):
        load_comparisons(table(tmp_path, turn), options)


@pytest.mark.parametrize(
    "turn", [lambda c: 100 * c, lambda c: 50 + 50 * c, lambda c: (1 + c) / 2, lambda c: c / 20]
)
def test_a_calibration_in_another_unit_is_refused(tmp_path, turn):
    audited = load_comparisons(table(tmp_path), TableOptions(scores=["value"]))["group"]
    settings = run.Settings(fmrs=[0.1], resamples=5)
    same = load_comparisons(table(tmp_path, seed=1), TableOptions(scores=["value"]))["group"]
    assert run.measure(audited, settings, calibration=same, calibration_source="c").measures
    other = load_comparisons(table(tmp_path, turn, seed=1), TableOptions(scores=["value"]))["group"]
    for one, two in ((audited, other), (other, audited)):
        with pytest.raises(InputError, match="seem to be in another unit"):
            run.measure(one, settings, calibration=two, calibration_source="c.csv")


def test_a_calibration_of_distances_does_not_fit_scores(tmp_path):
    audited = load_comparisons(table(tmp_path), TableOptions(scores=["value"]))["group"]
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


def marked(path: Path, word: str) -> Path:
    """The table with a word for the score of every 20th pair, and of the first."""
    head, *lines = path.read_text().splitlines()
    lines[::20] = [f"{line.rpartition(',')[0]},{word}" for line in lines[::20]]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("turn", "name", "word", "options"),
    [
        (lambda c: c, "score", "-999", TableOptions(any_direction=True)),
        (lambda c: c, "score", "-1", TableOptions()),
        (lambda c: (1 + c) / 2, "score", "-1", TableOptions()),
        (lambda c: 1 - c, "distance", "999", TableOptions(any_direction=True)),
        (lambda c: 50 * (1 + c), "score", "12345", TableOptions(any_direction=True)),
    ],
)
def test_a_repeated_score_far_outside_is_reported_until_it_is_a_failure(
    tmp_path, turn, name, word, options
):
    path = marked(table(tmp_path, turn, name=name), word)
    (said,) = [s for s in load_comparisons(path, options)["group"].limits() if "apart from" in s]
    assert f"{name} is {float(word):g} in 15 rows" in said
    assert said.endswith(f"say --failure-score {float(word):g}.")
    options = replace(options, failure_scores=[float(word)])
    loaded = load_comparisons(path, options)["group"]
    assert not any("apart from" in s for s in loaded.limits())
    assert len(loaded) == len(cosines()) - 15


@pytest.mark.parametrize(
    ("turn", "name", "word", "options"),
    [
        (lambda c: c, "score", "-999", TableOptions()),  # the wrong way round
        (lambda c: 1 - c, "distance", "-1", TableOptions()),  # a negative distance
        (lambda c: c, "score", "-999", TableOptions(kind="cosine")),  # out of range
    ],
)
def test_messages_that_a_failure_score_may_explain_name_its_flag(
    tmp_path, turn, name, word, options
):
    path = marked(table(tmp_path, turn, name=name), word)
    with pytest.raises(InputError, match=f"15 rows, apart .* say --failure-score {word}"):
        load_comparisons(path, options)


def test_ordinary_scores_are_not_taken_for_failures(tmp_path):
    for turn in (lambda c: c, lambda c: max(c, 0), lambda c: round(c, 1), lambda c: float(c > 0.3)):
        loaded = load_comparisons(table(tmp_path, turn, name="score"), TableOptions())["group"]
        assert loaded.limits() == []


@pytest.mark.parametrize("end", [".csv", ".parquet", ".xlsx"])
def test_a_word_may_mark_a_failure(tmp_path, end):
    path = marked(table(tmp_path, name="score"), "no face")
    if end == ".parquet":
        whole = csv.read_csv(path)
        path = path.with_suffix(end)
        parquet.write_table(whole, path)
    if end == ".xlsx":
        lines = [line.split(",") for line in path.read_text().splitlines()]
        path = path.with_suffix(end)
        book = pytest.importorskip("openpyxl").Workbook()
        for *text, score in lines:
            number = score.replace(".", "").lstrip("-").isdigit()
            book.active.append([*text, float(score) if number else score])
        book.save(path)
    with pytest.raises(
        InputError, match=r"row 1: score is 'no face', not a number; .* --failure-score 'no face'"
    ):
        load_comparisons(path, TableOptions())
    loaded = load_comparisons(path, TableOptions(failure_scores=["no face"]))["group"]
    assert loaded.failures is not None and loaded.failures.failed.sum() == 15
    assert len(loaded) == len(cosines()) - 15


def test_the_command_takes_numbers_and_words_for_failures(tmp_path):
    path = marked(table(tmp_path, name="score"), "error")
    path.write_text(path.read_text().replace("error", "-999", 3))
    line = ["audit", str(path), "--failure-score", "-999", "--failure-score", "error"]
    assert cli.main([*line, "--bootstrap", "5", "--out", str(tmp_path / "out")]) == 0
    limits = load_results(tmp_path / "out" / "results.json").limits
    assert any(said.startswith(f"15 of {len(cosines())} pairs have no score") for said in limits)


def test_the_note_on_distances_names_no_threshold_that_nobody_gave(tmp_path):
    path = table(tmp_path, lambda cosine: 1 - cosine, name="distance")
    (said,) = load_comparisons(path, TableOptions())["group"].limits()
    assert said.startswith("distance is a distance (all 300 values): smaller means more alike")
    assert said.endswith("a threshold accepts distances up to it.")


def test_fractions_and_percentages_in_one_column_are_questioned(tmp_path):
    path = table(tmp_path, lambda cosine: 0.5 + cosine / 2, name="score")
    head, *lines = path.read_text().splitlines()

    def notes(turn):
        rows = [line.rpartition(",") for line in lines]
        text = [f"{a},{turn(k, float(s)):.6f}" for k, (a, _, s) in enumerate(rows)]
        (tmp_path / "t.csv").write_text("\n".join([head, *text]))
        return load_comparisons(tmp_path / "t.csv", TableOptions(any_direction=True))["group"].notes

    def questions(turn):
        return [note for note in notes(turn) if "percentages mixed?" in note]

    (said,) = questions(lambda k, s: 100 * s if k % 2 else s)
    assert said.startswith("50% of the mated pairs have a score of 1 or less")
    assert not questions(lambda k, s: s) and not questions(lambda k, s: 100 * s)
    assert not questions(lambda k, s: 100 * s if s > 0.7 else 0.01)  # a percentage that is mostly 0
    assert "score is 0.5 in all rows: it cannot tell people apart." in notes(lambda k, s: 0.5)


@pytest.mark.parametrize("blank", ["", "nan"])
def test_a_missing_score_is_refused_with_the_flag_that_counts_it(tmp_path, blank):
    path = table(tmp_path, name="score")
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + "," + blank
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="data row 3: score is .*--failures counts such pairs"):
        load_comparisons(path, TableOptions())
