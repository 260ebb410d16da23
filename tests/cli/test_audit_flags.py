"""Every option of `fairjax audit` as a user types it, on tables of twelve people."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from fairjax import cli
from fairjax.audit import grouping, outputs, self_test

PEOPLE = 12
RNG = np.random.default_rng(0)
MATED = [(p, p) for p in range(PEOPLE)]
PAIRS = [*MATED, *itertools.combinations(range(PEOPLE), 2)]
SCORE = np.round([0.6 if p == q else 0.0 for p, q in PAIRS] + RNG.normal(0, 0.15, len(PAIRS)), 6)
IS_MATED = np.array([p == q for p, q in PAIRS])
GROUP = np.array([["XY"[p % 2], "XY"[q % 2]] for p, q in PAIRS])


def columns(**changes):
    """The pairs' columns by name; a change of None leaves one out."""
    first, second = (np.array(side) for side in zip(*PAIRS, strict=True))
    table = {
        "image1": [f"p{p}_0" for p in first],
        "image2": [f"p{q}_1" for q in second],
        "subject1": [f"p{p}" for p in first],
        "subject2": [f"p{q}" for q in second],
        "group1": GROUP[:, 0],
        "group2": GROUP[:, 1],
        "score": SCORE,
    } | changes
    return {name: list(column) for name, column in table.items() if column is not None}


def write(path, table):
    rows = zip(*table.values(), strict=True)
    path.write_text(
        ",".join(table) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    )
    return str(path)


@pytest.fixture
def audited(monkeypatch, capsys):
    """`(words) -> (results by folder, what was printed)`; nothing is drawn or written."""

    def call(*words, out="out", few=True):
        kept = {}
        monkeypatch.setattr(
            outputs, "write", lambda folder, results, title: kept.update({folder: (results, title)})
        )
        line = ["audit", *words, *(["--out", out] if out else [])]
        few = [] if "--bootstrap" in words or not few else ["--bootstrap", "9"]
        assert cli.main([*line, *few]) == 0, capsys.readouterr().err
        return kept, capsys.readouterr().out

    return call


@pytest.fixture
def results(audited, tmp_path, monkeypatch):
    """`(table, words) -> results`, where one attribute is audited."""
    monkeypatch.chdir(tmp_path)

    def call(table, *words):
        ((found, _),) = audited(write(tmp_path / "t.csv", table), *words)[0].values()
        return found

    return call


def rate(kind, threshold, group=None, score=SCORE):
    """FMR or FNMR at a threshold, of everyone or of pairs within a group, counted here."""
    rows = IS_MATED.copy() if kind == "fnmr" else ~IS_MATED
    if group is not None:
        rows &= np.equal(GROUP, group).all(axis=1)
    accepted = score[rows] >= threshold
    return np.mean(accepted if kind == "fmr" else ~accepted)


def test_threshold(results):
    found = results(columns(), "--threshold", "0.2", "--threshold", "0.5")
    for at, group in itertools.product((0.2, 0.5), (None, "X", "Y")):
        for kind in ("fmr", "fnmr"):
            wanted = {} if group is None else {"group": group}
            value = found.get(kind, at=f"threshold {at}", **wanted).value
            assert value == pytest.approx(rate(kind, at, group)), (kind, at, group)


def test_fmr(results):
    found = results(columns(), "--fmr", "0.1,0.5")
    for at, fmr in (("FMR 1e-1", 0.1), ("FMR 5e-1", 0.5)):
        threshold = found.get("fmr", at=at).threshold
        assert rate("fmr", threshold) <= fmr < rate("fmr", threshold - 0.1)
        assert found.get("fnmr", at=at).value == pytest.approx(rate("fnmr", threshold))


def test_score_names_the_systems(results):
    table = columns(score=None, ours=SCORE, theirs=-SCORE + 3 * IS_MATED)
    found = results(table, "--score", "ours", "--score", "theirs", "--threshold", "0.2")
    for system, score in (("ours", SCORE), ("theirs", -SCORE + 3 * IS_MATED)):
        value = found.get("fmr", at="threshold 0.2", system=system).value
        assert value == pytest.approx(rate("fmr", 0.2, score=score))


def test_distances_are_accepted_up_to_the_threshold(results):
    table = columns(score=None, d=1 - SCORE)
    found = results(table, "--distance", "d", "--kind", "cosine_distance", "--threshold", "0.8")
    at = "threshold 0.8"
    assert found.get("fmr", at=at).value == pytest.approx(rate("fmr", 0.2))
    assert found.get("fnmr", at=at).value == pytest.approx(rate("fnmr", 0.2))
    assert found.protocol["score_kinds"] == {"d": "cosine_distance"}


def test_decisions_in_words(results):
    words = np.where(SCORE >= 0.3, np.where(SCORE > 0.6, "match", "perhaps"), "no")
    found = results(
        columns(score=None, verdict=words), "--decision", "verdict", "--accept", "match,Perhaps"
    )
    assert found.get("fmr", at="decision").value == pytest.approx(rate("fmr", 0.3))
    assert found.get("fnmr", at="decision", group="Y").value == pytest.approx(
        rate("fnmr", 0.3, "Y")
    )


def test_blank_scores_are_failures(results):
    blank = ["" if k in (0, 5) else score for k, score in enumerate(SCORE)]
    found = results(columns(score=blank), "--failures", "--threshold", "0.2")
    assert found.get("frr", at="threshold 0.2").n == PEOPLE
    assert found.get("fnmr", at="threshold 0.2").n == PEOPLE - 2
    assert found.get("frr", at="threshold 0.2").n_errors >= 2


def test_scores_that_stand_for_failures(results):
    odd = [{0: -7, 1: "error"}.get(k, score) for k, score in enumerate(SCORE)]
    found = results(
        columns(score=odd),
        "--failure-score",
        "-7",
        "--failure-score",
        "error",
        "--threshold",
        "0.2",
    )
    assert found.get("fnmr", at="threshold 0.2").n == PEOPLE - 2


def test_marks_of_mated_pairs(results):
    marks = columns(subject1=None, subject2=None, image1=None, image2=None)
    one = results({**marks, "ok": IS_MATED.astype(int)}, "--mated", "ok", "--threshold", "0.2")
    two = results(
        {**marks, "ok": 1 - IS_MATED}, "--mated", "ok", "--zero-is-same", "--threshold", "0.2"
    )
    for found in (one, two):
        assert found.get("fmr", at="threshold 0.2").value == pytest.approx(rate("fmr", 0.2))
    assert any("--zero-is-same: 0 in 'ok' was read as one person" in said for said in two.limits)


@pytest.mark.parametrize("option", ["who", "who_a,who_b"])
def test_subjects(results, option):
    table = columns(subject1=None, subject2=None)
    table |= {"who_a": columns()["subject1"], "who_b": columns()["subject2"]}
    found = results(table, "--subject", option, "--threshold", "0.2")
    assert found.get("fnmr", at="threshold 0.2").n == PEOPLE


def test_names_as_written(results, tmp_path, capsys):
    renamed = [
        {"p1": "Eve", "p3": "eve"}.get(name, name)
        for side in ("subject1", "subject2")
        for name in columns()[side]
    ]
    table = columns(subject1=renamed[: len(PAIRS)], subject2=renamed[len(PAIRS) :])
    assert cli.main(["audit", write(tmp_path / "t.csv", table)]) == 1
    assert "--names-as-written" in capsys.readouterr().err
    found = results(table, "--names-as-written", "--threshold", "0.2")
    assert found.get("fnmr", at="threshold 0.2").n_clusters == PEOPLE


def test_images_listed_twice_are_refused(results, tmp_path, capsys):
    table = columns(image1=None, image2=None)
    table |= {"pic_l": columns()["image1"], "pic_r": columns()["image2"]}
    found = results(table, "--image", "pic_l,pic_r", "--threshold", "0.2")
    assert not any("name no images" in said for said in found.limits)
    table["pic_l"][1], table["pic_r"][1] = table["pic_l"][0], table["pic_r"][0]
    line = ["audit", write(tmp_path / "t.csv", table), "--image", "pic_l,pic_r"]
    assert cli.main(line) == 1
    assert "is in data rows 1 and 2" in capsys.readouterr().err


def test_a_protocol_takes_its_thresholds_on_other_folds(results):
    table = columns(part=np.arange(len(PAIRS)) % 3)
    found = results(table, "--fold", "part", "--protocol", "lfw", "--fmr", "0.1")
    accuracy = found.get("accuracy")
    assert 0.8 < accuracy.value <= 1 and found.protocol["name"] == "lfw"


def test_groups_of_people(results, tmp_path):
    people = {"who": [f"p{k}" for k in range(PEOPLE)], "race": list("XYXYXYXYXYXY"), "sex": "f" * 6}
    people["sex"] = list("ffmm" * 3)
    write(tmp_path / "people.csv", people)
    flags = ["--groups", "people.csv", "--groups-subject", "who", "--threshold", "0.2"]
    table = columns(group1=None, group2=None)
    one = results(table, *flags, "--by", "race")
    assert one.get("fmr", at="threshold 0.2", race="X").value == pytest.approx(
        rate("fmr", 0.2, "X")
    )
    two = results(table, *flags, "--by", "race+sex")
    assert two.protocol["groups"] == ["X f", "X m", "Y f", "Y m"]


def test_groups_of_images(results, tmp_path):
    names = [f"p{k}_{i}" for k in range(PEOPLE) for i in (0, 1)]
    images = {"pic": names, "race": ["XY"[k // 2 % 2] for k in range(2 * PEOPLE)]}
    write(tmp_path / "images.csv", images)
    flags = ["--groups", "images.csv", "--groups-image", "pic", "--by", "race"]
    found = results(columns(group1=None, group2=None), *flags, "--threshold", "0.2")
    assert found.get("fnmr", at="threshold 0.2", race="Y").n == PEOPLE // 2


def test_several_attributes_are_audited_each(audited, tmp_path):
    table = columns(age1=[20 + 3 * p for p, _ in PAIRS], age2=[20 + 3 * q for _, q in PAIRS])
    path = write(tmp_path / "t.csv", table)
    kept, printed = audited(path, "--by", "group", "--by", "age:30,41", "--threshold", "0.2")
    found = {folder.name: results for folder, (results, _) in kept.items()}
    assert found["group"].protocol["groups"] == ["X", "Y"]
    assert found["age"].protocol["groups"] == ["<30", "30-40", "41+"]
    assert "By group:" in printed and "By age:" in printed


def test_many_groups(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grouping, "MOST_GROUPS", 1)
    assert cli.main(["audit", write(tmp_path / "t.csv", columns())]) == 1
    assert "--many-groups" in capsys.readouterr().err
    assert results(columns(), "--many-groups", "--threshold", "0.2").protocol["groups"] == [
        "X",
        "Y",
    ]


def test_group_names_give_the_order_and_refuse_others(results, tmp_path, capsys):
    found = results(columns(), "--group-names", "Y,X", "--threshold", "0.2")
    assert found.protocol["groups"] == ["Y", "X"]
    assert cli.main(["audit", write(tmp_path / "t.csv", columns()), "--group-names", "X,Z"]) == 1
    assert "'Y' is not among --group-names" in capsys.readouterr().err


def test_people_without_a_group_stay_among_everyone(results, tmp_path, capsys):
    blank = [
        ["" if p == 0 else g for p, g in zip(side, GROUP[:, k], strict=True)]
        for k, side in enumerate(zip(*PAIRS, strict=True))
    ]
    table = columns(group1=blank[0], group2=blank[1])
    assert cli.main(["audit", write(tmp_path / "t.csv", table)]) == 1
    assert "--unknown-groups" in capsys.readouterr().err
    found = results(table, "--unknown-groups", "--threshold", "0.2")
    at = "threshold 0.2"
    assert found.get("fnmr", at=at).n == PEOPLE
    assert found.get("fnmr", at=at, group="X").n == PEOPLE // 2 - 1


def test_one_name_in_two_groups_is_two_people(results):
    renamed = [[f"n{p // 2}" for p in side] for side in zip(*PAIRS, strict=True)]
    table = columns(subject1=renamed[0], subject2=renamed[1])
    found = results(table, "--subjects-by-group", "--threshold", "0.2")
    at = "threshold 0.2"
    assert found.get("fnmr", at=at).n == PEOPLE
    assert found.get("fmr", at=at).n == len(PAIRS) - PEOPLE - PEOPLE // 2
    assert any("6 of 6 names occur in several groups" in said for said in found.limits)


def test_scores_that_run_against_their_kind(results, tmp_path, capsys):
    table = columns(score=-SCORE)
    assert cli.main(["audit", write(tmp_path / "t.csv", table)]) == 1
    assert "--any-direction" in capsys.readouterr().err
    found = results(table, "--any-direction", "--threshold", "-0.2")
    assert any(said.startswith("--any-direction") for said in found.limits)


def test_thresholds_of_other_pairs(results, tmp_path):
    write(tmp_path / "other.csv", columns(score=SCORE + 0.1))
    found = results(columns(), "--calibrate-on", "other.csv", "--fmr", "0.1")
    own = results(columns(), "--fmr", "0.1")
    at = "FMR 1e-1"
    assert found.get("fmr", at=at).threshold == pytest.approx(own.get("fmr", at=at).threshold + 0.1)
    assert found.get("fmr", at=at).threshold_source.endswith("of other.csv")


def test_tolerances_become_verdicts(results):
    words = ["--threshold", "0.2", "--tolerance", "fnmr_difference=1", "--tolerance", "50"]
    found = results(columns(), *words)
    verdicts = {v["measure"]: v["verdict"] for v in found.arrays["verdicts"]}
    assert set(verdicts) == {"fnmr_difference", "fmr_max_over_min", "fnmr_max_over_min"}
    assert found.protocol["tolerances"]["fmr_max_over_min"] == 50
    assert verdicts["fnmr_difference"] == "within"


def test_resamples_their_level_and_seed(results):
    def at(*words):
        found = results(columns(), "--fmr", "0.1", *words)
        return found.get("fnmr", at="FMR 1e-1"), found.protocol

    usual, protocol = at("--bootstrap", "19", "--level", "0.5", "--seed", "3")
    assert (protocol["resamples"], protocol["seed"], usual.level) == (19, 3, 0.5)
    wide, _ = at("--bootstrap", "19", "--level", "0.99", "--seed", "3")
    assert wide.interval[1] - wide.interval[0] > usual.interval[1] - usual.interval[0]
    assert at("--bootstrap", "19", "--level", "0.5", "--seed", "3")[0] == usual


def test_a_stream_gives_the_same_rates(results):
    streamed = results(columns(), "--stream", "--threshold", "0.2")
    assert streamed.get("fmr", at="threshold 0.2").value == pytest.approx(rate("fmr", 0.2))
    assert any(said.startswith("Streamed") for said in streamed.limits)


def test_partial_files_are_merged(audited, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = columns(race1=GROUP[:, 0], race2=GROUP[:, 1])
    parts = []
    for k, rows in enumerate((slice(0, 30), slice(30, None))):
        name = f"part-{k}.csv"
        write(tmp_path / name, {column: cells[rows] for column, cells in table.items()})
        parts.append(name)
    words = ["--fmr", "0.1", "--by", "group", "--by", "race"]
    for k, part in enumerate(parts):
        line = ["audit", part, "--partial", "--keep", "0.5", *words, "--out", f"partials/{k}"]
        assert cli.main(line) == 0
        said = capsys.readouterr().out
        assert "partial.npz: " in said and "names of people" in said
    streamed, _ = audited(*parts, "--stream", *words)
    merged, printed = audited(
        "--merge", "partials/0", "partials/1", "--title", "Both", out="merged", few=False
    )
    assert "By race:" in printed and "By group:" in printed
    for (folder, (found, title)), (whole, _) in zip(merged.items(), streamed.values(), strict=True):
        assert title == "Both" and folder.parent == Path("merged")
        assert found.measures == whole.measures and found.protocol == whole.protocol
    assert cli.main(["audit", *parts]) == 2
    assert "if they are parts of one table, say --stream" in capsys.readouterr().err


def test_what_the_user_says_is_kept(results):
    found = results(columns(), "--stated", "flip=yes", "--stated", "model=m 1", "--fmr", "0.1")
    assert found.provenance["stated"] == {"flip": "yes", "model": "m 1"}


def test_title_tables_and_folder(audited, tmp_path):
    path = write(tmp_path / "t.csv", columns())
    kept, printed = audited(path, "--title", "My system", "--tables", "--fmr", "0.1")
    assert [title for _, title in kept.values()] == ["My system"]
    assert list(kept) == [Path("out")] and f"Report: {Path('out/report.html')}" in printed
    assert "Error rates at one threshold" in printed
    kept, printed = audited(path, "--fmr", "0.1", out="")
    assert kept == {} and "Report" not in printed and "Error rates at" not in printed
    kept, _ = audited(path, "--fmr", "0.1")
    assert [title for _, title in kept.values()] == ["t.csv"]


def test_a_demonstration_without_a_gap(audited, tmp_path):
    kept, printed = audited(
        "--demo", "fair", "--bootstrap", "5", "--threshold", "0.3", out=str(tmp_path / "d")
    )
    ((found, title),) = kept.values()
    assert title == "Demonstration on made-up scores"
    assert "there is no gap" in printed and found.provenance["dataset"] == "phantom"
    assert (tmp_path / "d" / "comparisons.csv").exists()


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 3)])
def test_the_self_test_ends_with_its_code(monkeypatch, capsys, passed, code):
    outcome = self_test.run(1, seed=0)
    asked = []

    def run(repeats, *, seed, progress):
        asked.append((repeats, seed))
        return outcome

    monkeypatch.setattr(self_test, "run", run)
    monkeypatch.setattr(self_test.SelfTestResult, "passed", property(lambda self: passed))
    try:
        ended = cli.main(["audit", "--self-test", "7", "--seed", "4"])
    except SystemExit as leaving:
        ended = leaving.code
    assert (ended, asked) == (code, [(7, 4)])
    assert ("passed" in capsys.readouterr().out) is passed


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    """A table of embeddings of two images a person, in a folder that is the present one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    people = np.repeat(rng.standard_normal((PEOPLE, 4)), 2, axis=0)
    table = {
        "image": [f"p{k // 2}_{k % 2}" for k in range(2 * PEOPLE)],
        "subject": [f"p{k // 2}" for k in range(2 * PEOPLE)],
        "group": ["XY"[k // 2 % 2] for k in range(2 * PEOPLE)],
    }
    table |= {f"e{d}": people[:, d] + 0.05 * rng.standard_normal(2 * PEOPLE) for d in range(4)}
    write(tmp_path / "v.csv", table)
    return np.stack([table[f"e{d}"] for d in range(4)], axis=1), table


def test_a_list_of_pairs_of_embeddings(audited, vectors, tmp_path):
    write(tmp_path / "pairs.csv", {k: columns()[k] for k in ("image1", "image2")})
    ((found, _),) = audited("v.csv", "--pairs", "pairs.csv", "--threshold", "0.5")[0].values()
    unit = vectors[0] / np.linalg.norm(vectors[0], axis=1, keepdims=True)
    score = np.array([unit[2 * p] @ unit[2 * q + 1] for p, q in PAIRS])
    assert found.get("fmr", at="threshold 0.5").value == pytest.approx(
        rate("fmr", 0.5, score=score)
    )


@pytest.mark.parametrize(
    ("words", "mated", "within"),
    [(["--all-pairs"], PEOPLE, 120), (["--sample-pairs", "20"], PEOPLE, 40)],
)
def test_all_pairs_or_some(audited, vectors, words, mated, within):
    ((found, _),) = audited("v.csv", *words, "--threshold", "0.5")[0].values()
    at = "threshold 0.5"
    assert found.get("fnmr", at=at).n == mated
    own = [found.get("fmr", at=at, group=g).n for g in "XY"]
    assert sum(own) == within


def test_one_series_of_several_is_the_embedding(audited, vectors, tmp_path, capsys):
    _, table = vectors
    write(tmp_path / "v.csv", table | {f"f{d}": np.arange(24.0) + d for d in range(4)})
    assert cli.main(["audit", "v.csv", "--all-pairs"]) == 1
    assert "--embedding PREFIX" in capsys.readouterr().err
    assert audited("v.csv", "--all-pairs", "--embedding", "e", "--threshold", "0.5")


LABEL = np.arange(40) % 2
SAID = np.where(np.arange(40) % 5 == 0, 1 - LABEL, LABEL)
RACE = np.array(list("XY"))[np.arange(40) // 2 % 2]


def predicted(label="fm", **changes):
    table = {
        "file": [f"{k}.jpg" for k in range(40)],
        "truth": [label[k] for k in LABEL],
        "said": [label[k] for k in SAID],
        "p": np.where(SAID == 0, 0.8, 0.3),
        "race": RACE,
    }
    return {**table, **changes}


def test_predictions(results):
    words = ["--label", "truth", "--prediction", "said", "--positive", "f", "--by", "race"]
    found = results(predicted(), *words)
    assert found.get("truth_accuracy").value == pytest.approx(np.mean(SAID == LABEL))
    rows = (RACE == "X") & (LABEL == 1)
    fpr = np.mean(SAID[rows] == 0)  # "f" is positive
    assert found.get("truth_fpr", race="X").value == pytest.approx(fpr)


def test_probabilities_decide_at_half(results):
    words = ["--label", "truth", "--probability", "p", "--positive", "f", "--by", "race"]
    found = results(predicted(), *words)
    assert found.get("truth_accuracy").value == pytest.approx(np.mean(SAID == LABEL))
    assert found.protocol["decision"] == "decision = p >= 0.5"


def test_a_class_that_never_occurs_is_one(results):
    words = ["--label", "truth", "--prediction", "said", "--by", "race", "--classes", "f,m,x"]
    found = results(predicted(), *words)
    assert found.protocol["positive"] == "each class in turn"


def test_predictions_that_are_none(results):
    said = ["no face" if k < 3 else "fm"[SAID[k]] for k in range(40)]
    words = ["--label", "truth", "--prediction", "said", "--positive", "f", "--by", "race"]
    found = results(predicted(said=said), *words, "--no-answer", "no face,none")
    assert found.get("truth_no_answer").n_errors == 3
    assert found.get("truth_accuracy").n == 37


def test_numbers_are_compared_by_their_errors(results):
    age = np.arange(40) + 20.0
    wrong = np.where(RACE == "X", 2.0, 5.0)
    words = ["--label", "truth", "--prediction", "said", "--regression", "--by", "race"]
    found = results(predicted(truth=age, said=age + wrong), *words)
    assert found.get("truth_mae", race="X").value == pytest.approx(2.0)
    assert found.get("truth_mae", race="Y").value == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["v.csv", "v.csv", "--all-pairs"], 2, "two files of embeddings have the same name"),
        (["v.npz"], 2, "embeddings need --pairs TABLE, --all-pairs or --sample-pairs N"),
        (["t.csv", "t.csv", "--label", "truth"], 2, "--label takes one table of predictions"),
        (["t.csv", "--label", "truth", "--groups", "t.csv"], 2, "--groups is for pairs"),
        (["t.csv", "--label", "truth", "--stream"], 2, "--stream is for scores of pairs"),
        (["t.csv", "--label", "truth"], 1, "--label needs --prediction COLUMN or --probability"),
        (["t.csv", "--label", "truth", "--threshold", "0.3"], 2, "from 0.5 on. For another thresh"),
        (["t.csv", "--label", "truth", "--fmr", "0.2"], 2, "--fmr is for pairs; leave it out"),
        (["t.csv", "--label", "truth", "--tolerance", "2"], 2, "--tolerance is for pairs"),
        (["t.csv", "--label", "truth", "--protocol", "lfw"], 2, "--protocol is for pairs"),
        (["t.csv", "--label", "truth", "--distance", "score"], 2, "--distance is for pairs"),
        (["t.csv", "--label", "truth", "--pairs", "t.csv"], 2, "--pairs is for pairs; leave"),
        (["t.csv", "--probability", "score"], 2, "--probability goes with --label"),
        (["t.csv", "--classes", "f,m"], 2, "--classes goes with --label"),
        (["t.csv", "--regression"], 2, "--regression goes with --label"),
        (["t.csv", "--size", "112"], 2, "--size goes with --model"),
        (["t.csv", "--flip", "sum"], 2, "--flip goes with --model"),
        (["t.csv", "--accept", "match"], 2, "--accept goes with --decision COLUMN"),
        (["t.csv", "--groups-subject", "who"], 2, "--groups-subject goes with --groups TABLE"),
        (["t.csv", "--embedding", "e"], 2, "--embedding goes with --pairs TABLE, --all-pairs or"),
        (["t.csv", "--threshold", "9"], 1, "--threshold 9 lies outside the scores"),
        (["t.csv", "--kind", "l2"], 1, "name score with --distance"),
        (["t.csv", "--decision", "group1"], 1, "--accept says which words"),
        (["t.csv", "--groups", "none.csv"], 1, "none.csv does not exist"),
        (["t.csv", "--calibrate-on", "none.csv"], 1, "none.csv does not exist"),
        (["t.csv", "--by", "age:30,18"], 1, "bins are ascending numbers"),
        (["t.csv", "--stream", "--tolerance", "2"], 1, "no --tolerance"),
        (["t.csv", "--stream", "--paired"], 2, "a stream takes tables of scores of one system"),
        (["t.csv", "--partial"], 2, "--partial needs one table or more, and --out DIR"),
        (["t.csv", "--partial", "--out", "x", "--tables"], 2, "--partial makes no report"),
        (["t.csv", "--partial", "--out", "x", "--label", "truth"], 2, "leave out --label"),
        (["t.csv", "--partial", "--out", "x", "--data", "lfw:x"], 2, "no --demo, --model"),
        (["t.csv", "--keep", "0.5"], 2, "--keep goes with --partial"),
        (["t.csv", "--merge", "x"], 2, "FILE is fixed when the partial files are made"),
        (["--merge", "x", "--fmr", "0.1"], 2, "--fmr is fixed when the partial files are made"),
        (["--merge", "x", "--level", "0.95"], 2, "--level is fixed"),
        (["--merge", "x"], 1, "partial.npz does not exist"),
        (["--merge", "x", "--seed", "1"], 2, "--seed is fixed when the partial files are made"),
        (["t.csv", "--self-test", "4"], 2, "takes --seed; leave out FILE."),
        (["--self-test", "4", "--fmr", "0.1"], 2, "takes --seed; leave out --fmr."),
        (["--self-test", "--demo"], 2, "takes --seed; leave out --demo."),
        (
            ["--self-test", "--out", "x"],
            2,
            "draws its own scores and takes --seed; leave out --out.",
        ),
        (["--self-test", "--merge", "x"], 2, "leave out --merge."),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, monkeypatch, capsys, words, code, said):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", columns(truth=IS_MATED))
    np.savez(tmp_path / "v.npz", embedding=np.eye(4))
    write(tmp_path / "v.csv", {"image": "ab", "e0": [0.1, 0.2], "e1": [1.0, 2.0]})
    assert cli.main(["audit", *words]) == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and error.startswith("fairjax: ")


@pytest.mark.parametrize(
    "words",
    [
        ["--fmr", "0"],
        ["--fmr", "1e-3,x"],
        ["--threshold", "high"],
        ["--level", "1"],
        ["--keep", "0"],
        ["--partial", "--merge", "x"],
        ["--bootstrap", "-1"],
        ["--seed", "-1"],
        ["--sample-pairs", "0"],
        ["--tolerance", "fmr_gini"],
        ["--kind", "likeness"],
        ["--protocol", "ijb"],
        ["--stated", "flip"],
        ["--self-test", "0"],
        ["--all-pairs", "--pairs", "p.csv"],
        ["--demo", "unfair"],
    ],
)
def test_a_value_that_an_option_never_has_is_one_line_and_ends_with_two(capsys, words):
    with pytest.raises(SystemExit) as caught:
        cli.main(["audit", "t.csv", *words])
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.startswith("fairjax: ") and error.count("\n") == 1


def test_covariates_are_held_from_a_table_or_from_columns_of_both_sides(tmp_path, capsys):
    assert cli.main(["audit", "--demo", "picture", "--out", str(tmp_path), "--bootstrap", "5"]) == 0
    assert "The gap goes with the picture" in capsys.readouterr().out
    table, images = str(tmp_path / "comparisons.csv"), str(tmp_path / "images.csv")
    line = ["audit", table, "--fmr", "1e-2", "--bootstrap", "5"]
    assert cli.main([*line, "--covariates", images, "--covariate", "brightness"]) == 0
    assert "with brightness held. The gap stays" in capsys.readouterr().out
    assert cli.main([*line, "--covariate", "brightness"]) == 1
    assert "no columns brightness1 and brightness2" in capsys.readouterr().err
    assert cli.main([*line, "--covariates", images, "--stream"]) == 2
