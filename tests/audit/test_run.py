from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fairjax.audit import outputs, run
from fairjax.audit.loaded import Loaded, independent
from fairjax.audit.tables import InMemory, InputError
from fairjax.core.comparisons import Embeddings, Pairs
from fairjax.core.results import Measure, Results
from fairjax.protocols.verification import accuracy


def nameless(pairs: int, seed: int = 0) -> Loaded:
    """Pairs of unknown people: independent, half of them mated, FMR 10 % and FNMR 20 % at 0.5."""
    rng = np.random.default_rng(seed)
    mated = np.arange(pairs) % 2 == 0
    score = np.where(mated, rng.random(pairs) < 0.8, rng.random(pairs) < 0.1) * 0.6
    score = score + 0.1 * rng.random(pairs)
    group = np.repeat(rng.integers(2, size=(pairs, 1)), 2, axis=1)
    return Loaded(
        by="group",
        groups=("X", "Y"),
        scores={"score": score},
        mated=mated,
        subject=independent(mated),
        group=group,
        fold=np.zeros(pairs, np.int32),
        has_subjects=False,
        has_images=False,
    )


def test_pairs_of_unknown_people_have_binomial_intervals_and_no_people():
    results = run.measure(nameless(4000), run.Settings(fmrs=[0.1], resamples=1000))
    found = results.get("fmr", at="FMR 1e-1", group="X")
    assert "bootstrap" in found.method
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / found.n)
    # the resampled threshold holds the mean of both groups' rates in place, but an interval is
    # never narrower than that of independent trials
    assert (found.interval[1] - found.interval[0]) / 2 == pytest.approx(half, rel=0.05)
    assert found.n_clusters is None
    assert [row["subjects"] for row in results.arrays["adequacy"]] == [None, None]
    assert "DO NOT SAY WHO" in results.limits[0]


def test_many_pairs_of_unknown_people_are_not_resampled(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "MOST_NAMELESS", 100)
    results = run.measure(nameless(4000), run.Settings(fmrs=[0.1]))
    found = results.get("fmr", at="FMR 1e-1", group="X")
    assert found.interval is not None and "effective trials" in found.method
    outputs.write(tmp_path, results, title="t")
    with pytest.raises(InputError, match="Give the subjects"):
        run.measure(nameless(4000), run.Settings(tolerances={"fmr_gini": 0.1}))
    decided = replace(nameless(4000), decided=True)
    with pytest.raises(InputError, match="decisions have one operating point"):
        run.measure(decided, run.Settings(fmrs=[0.1]))


def test_the_hash_of_pairs_knows_neither_order_nor_scores():
    loaded = nameless(50)
    order = np.random.default_rng(0).permutation(50)
    shuffled = Loaded(
        by="group",
        groups=("X", "Y"),
        scores={"other": loaded.scores["score"][order] + 1},
        mated=loaded.mated[order],
        subject=loaded.subject[order][:, ::-1],
        group=loaded.group[order],
        fold=loaded.fold[order],
        has_subjects=True,
        has_images=False,
    )
    assert run.pairs_hash(loaded) == run.pairs_hash(shuffled)
    assert run.pairs_hash(loaded) != run.pairs_hash(nameless(48))


def test_settings_out_of_range_are_one_line():
    with pytest.raises(InputError, match="a tolerance for 'nope'"):
        run.measure(nameless(100), run.Settings(fmrs=[0.1], tolerances={"nope": 1.0}, resamples=5))
    with pytest.raises(InputError, match="add a column 'fold'"):
        run.measure(nameless(100), run.Settings(protocol="lfw"))


def test_protocols_of_scores_alone_put_an_uncentred_variant_first():
    loaded = nameless(400)
    fold = (np.arange(400) // 2 % 4).astype(np.int32)
    folds = replace(loaded, fold=fold, kinds={"score": "cosine"})
    results = run.measure(folds, run.Settings(fmrs=[0.1], protocol="rfw", resamples=20))
    assert results.get("accuracy", group="X").rule.startswith("uncentred")
    centred = results.get("accuracy_rfw_official", group="X")
    assert centred.value is None and "only scores were given" in centred.note


def named(seed=0, *, people=10, shift=0.0):
    """Every pair of so many people of two groups, two images each."""
    rng = np.random.default_rng(seed)
    subject = np.array([(p, q) for p in range(people) for q in range(p, people)])
    mated = subject[:, 0] == subject[:, 1]
    return Loaded(
        by="group",
        groups=("X", "Y"),
        scores={"score": np.where(mated, 0.6, 0.0) + rng.normal(shift, 0.15, len(mated))},
        mated=mated,
        subject=subject,
        group=subject % 2,
        fold=subject.sum(axis=1) % 3,
        has_subjects=True,
        has_images=True,
    )


FEW = run.Settings(fmrs=[0.1], resamples=9)


def test_a_threshold_is_read_in_the_scores_own_unit():
    loaded = named()
    cosine = run.measure(loaded, replace(FEW, thresholds=[0.25]))
    distance = replace(loaded, scores={"score": loaded.scores["score"] - 1}, distances=("score",))
    ours = run.measure(distance, replace(FEW, thresholds=[0.75]))
    for rate in ("fmr", "fnmr"):
        one = cosine.get(rate, at="threshold 0.25")
        other = ours.get(rate, at="threshold 0.75")
        assert (one.value, one.n_errors) == (other.value, other.n_errors)
    assert other.threshold == pytest.approx(0.75)  # as it was typed
    assert ours.protocol["thresholds"] == [0.75]


def test_points_of_several_systems_are_in_each_ones_unit():
    loaded = named()
    score = loaded.scores["score"]
    both = replace(loaded, scores={"s": score, "d": -np.abs(score)}, distances=("d",))
    found = run.given_points(both, run.Settings(thresholds=[0.1, 0.2]))
    assert [(p.at, p.threshold) for p in found["s"]] == [
        ("threshold 0.1", 0.1),
        ("threshold 0.2", 0.2),
    ]
    assert [(p.at, p.threshold) for p in found["d"]] == [
        ("threshold 0.1", -0.1),
        ("threshold 0.2", -0.2),
    ]
    assert {point.source for point in found["s"]} == {"given"}


@pytest.mark.parametrize(
    ("changes", "settings", "said"),
    [
        ({}, {"thresholds": [0.1, 0.1]}, "--threshold holds a value twice"),
        ({}, {"thresholds": [7.0]}, "--threshold 7 lies outside the scores"),
        ({"decided": True}, {"fmrs": [0.1]}, "decisions have one operating point"),
        (
            {"decided": True, "kinds": {"score": "other"}},
            {"protocol": "rfw", "fmrs": ()},
            "no --fm",
        ),
        ({"fold": np.zeros(55, int)}, {"protocol": "lfw"}, "chooses thresholds on other folds"),
        ({}, {"fmrs": [2.0]}, "fmr"),
    ],
)
def test_what_does_not_fit_the_pairs_is_refused_in_one_line(changes, settings, said):
    with pytest.raises(InputError) as caught:
        run.measure(replace(named(), **changes), replace(FEW, **settings))
    assert said in str(caught.value).lower() or said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_thresholds_come_from_the_calibration_where_there_is_one():
    loaded, other = named(), named(seed=1, shift=0.2)
    found = run.measure(loaded, FEW, calibration=other, calibration_source="c.csv")
    alone = run.measure(other, FEW)
    at = "FMR 1e-1"
    assert found.get("fmr", at=at).threshold == alone.get("fmr", at=at).threshold
    assert found.get("fmr", at=at).value != alone.get("fmr", at=at).value
    noted = replace(other, notes=("It is odd.",))
    limits = run.measure(loaded, FEW, calibration=noted, calibration_source="c.csv").limits
    assert "c.csv: It is odd." in limits


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": {"other": np.zeros(55)}}, "c.csv has no scores of 'score'"),
        ({"distances": ("score",)}, "c.csv: score is a distance in one of the tables only"),
        ({"scores": {"score": 100 * named().scores["score"]}}, "seem to be in another unit"),
    ],
)
def test_a_calibration_of_other_scores_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        run.measure(
            named(), FEW, calibration=replace(named(), **changes), calibration_source="c.csv"
        )


def test_kinds_of_scores_are_kept_as_they_were_stated():
    both = replace(named(), scores={"a": named().scores["score"], "b": named(1).scores["score"]})
    found = run.measure(replace(both, kinds={"a": "cosine", "b": ""}), FEW)
    assert found.protocol["score_kinds"] == {"a": "cosine", "b": "not stated"}
    assert found.provenance["scored"] == ["a", "b"]
    assert {m.system for m in found.measures if m.name == "fnmr"} == {"a", "b"}


def test_variants_that_need_cosines_are_left_out_with_the_reason():
    loaded = replace(named(), kinds={"score": "percent"})
    found = run.measure(loaded, replace(FEW, protocol="lfw"))
    assert any("the scores are percentages" in said for said in found.limits)
    stated = run.measure(
        replace(
            named(), kinds={"score": "cosine"}, scores={"score": np.tanh(named().scores["score"])}
        ),
        replace(FEW, protocol="lfw"),
    )
    assert stated.get("accuracy").rule.startswith("insightface")
    assert found.get("accuracy").rule.startswith("exact")


def test_embeddings_are_centred_for_the_variants_that_centre():
    rng = np.random.default_rng(0)
    vector = np.repeat(rng.standard_normal((10, 8)), 2, axis=0) + 1.0
    vector += 0.3 * rng.standard_normal(vector.shape)
    first, second = (named().subject * 2 + [0, 1]).T
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    zeros = np.zeros(len(vector), int)
    loaded = replace(
        named(),
        scores={"score": (unit[first] * unit[second]).sum(axis=1)},
        kinds={"score": "cosine"},
        embeddings={"score": Embeddings(np.arange(20).astype(str), zeros, zeros - 1, (), vector)},
        pairs=Pairs(first, second, named().mated, named().fold),
    )
    found = run.measure(loaded, replace(FEW, protocol="rfw"))
    assert found.get("accuracy", group="X").rule.startswith("rfw_official")
    assert found.get("accuracy", group="X").value is not None
    bare = run.measure(replace(loaded, embeddings={}, pairs=None), replace(FEW, protocol="rfw"))
    assert bare.get("accuracy", group="X").rule.startswith("uncentred")


def test_decisions_have_no_curve_and_one_point():
    decided = replace(
        named(),
        scores={"verdict": (named().scores["score"] > 0.3).astype(float)},
        decided=True,
        kinds={"verdict": "other"},
    )
    found = run.measure(decided, run.Settings(fmrs=(), resamples=9))
    assert {m.at for m in found.measures} == {"decision"}
    assert not {"det", "rates", "histograms"} & set(found.arrays)
    assert found.limits[0].startswith("The table holds decisions")
    assert found.get("fmr", at="decision").value == np.mean(
        named().scores["score"][~named().mated] > 0.3
    )


def test_many_pairs_of_unknown_people_may_be_decisions_too(monkeypatch):
    monkeypatch.setattr(run, "MOST_NAMELESS", 100)
    pairs = nameless(400)
    decided = replace(pairs, scores={"v": (pairs.scores["score"] > 0.5) * 1.0}, decided=True)
    found = run.measure(decided, run.Settings(fmrs=()))
    assert {m.at for m in found.measures} == {"decision"}
    at = "threshold 0.5"
    same = run.measure(pairs, run.Settings(fmrs=(), thresholds=[0.5])).get("fmr", at=at)
    assert found.get("fmr", at="decision").value == same.value
    with pytest.raises(InputError, match="one system"):
        two = {"a": pairs.scores["score"], "b": pairs.scores["score"]}
        run.measure(replace(pairs, scores=two), run.Settings(fmrs=[0.1]))


def test_the_provenance_names_every_file_by_its_bytes(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    found = run.provenance({"scores": tmp_path / "t.csv"}, "fairjax audit t.csv", {"flip": "yes"})
    assert found["command"] == "fairjax audit t.csv" and found["stated"] == {"flip": "yes"}
    assert found["files"]["scores"]["name"] == "t.csv" and found["files"]["scores"]["bytes"] == 8
    assert set(found["versions"]) == {"fairjax", "numpy", "python"}
    (tmp_path / "u.csv").write_text("a,b\n1,3\n")
    other = run.provenance({"scores": tmp_path / "u.csv"}, "", {})
    assert other["files"]["scores"]["hash"] != found["files"]["scores"]["hash"]
    assert "stated" not in other
    with pytest.raises(InputError, match="does not exist"):
        run.provenance({"scores": tmp_path / "none.csv"}, "", {})
    with pytest.raises(InputError, match="is a folder"):
        run.provenance({"scores": tmp_path}, "", {})


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_rates_of_two_three_and_eight_groups_are_counted_independently(groups):
    loaded = named(people=2 * groups)
    loaded = replace(loaded, groups=tuple("ABCDEFGH"[:groups]), group=loaded.subject % groups)
    settings = run.Settings(fmrs=(), thresholds=[0.3], resamples=9)
    found = run.measure(loaded, settings)
    score = loaded.scores["score"]
    for g, name in enumerate(loaded.groups):
        own = (loaded.group == g).all(axis=1)
        for rate, rows, wrong in (
            ("fmr", own & ~loaded.mated, score >= 0.3),
            ("fnmr", own & loaded.mated, score < 0.3),
        ):
            m = found.get(rate, at="threshold 0.3", group=name)
            assert (m.n, m.n_errors) == (rows.sum(), (rows & wrong).sum())
    assert found.get("fmr", at="threshold 0.3").n == (~loaded.mated).sum()


def test_the_names_and_order_of_groups_and_of_rows_change_no_rate():
    loaded, settings = named(), run.Settings(fmrs=(), thresholds=[0.3], resamples=9)
    plain = run.measure(loaded, settings)
    order = np.random.default_rng(4).permutation(len(loaded))
    turned = replace(loaded, groups=("Z", "W"), group=1 - loaded.group).take(order)
    other = run.measure(turned, settings)
    names = {"X": "W", "Y": "Z"}
    for m in plain.measures:
        if m.name in ("fmr", "fnmr") and set(m.group) <= {"group"}:
            named_group = {by: names[name] for by, name in m.group.items()}
            same = other.find(m.name, named_group, at=m.at)
            assert (same.value, same.n, same.n_errors) == (m.value, m.n, m.n_errors)
    assert plain.provenance["pairs"] == other.provenance["pairs"]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_is_a_fraction(rate):
    with pytest.raises(
        InputError, match=f"^fmr={rate:g}: a rate is a fraction between 0 and 1, as"
    ):
        run.Settings(fmrs=[0.1, rate])


def test_accuracies_that_centre_come_last_where_there_is_nothing_to_centre():
    variants = list(accuracy.VARIANTS)
    centred = [name for name in variants if accuracy.VARIANTS[name].centred]
    assert centred and run._own_first(variants, has_embeddings=True) == variants
    plain = [name for name in variants if name not in centred]
    assert run._own_first(variants, has_embeddings=False) == [*plain, *centred]


@pytest.mark.parametrize(
    ("couples", "same"),
    [
        ([[0, 1], [2, 2], [1, 3]], True),
        ([[1, 0], [3, 1], [2, 2]], True),
        ([[0, 1], [2, 2], [1, 2]], False),
        ([[0, 1], [0, 1], [2, 2], [1, 3]], False),  # one couple twice
        ([[0, 1], [2, 2]], False),
    ],
)
def test_the_hash_of_pairs_is_of_couples_and_how_often_they_meet(couples, same):
    def of(subject):
        subject = np.array(subject)
        rows = len(subject)
        return run.pairs_hash(
            replace(
                named(),
                subject=subject,
                group=subject % 2,
                mated=subject[:, 0] == subject[:, 1],
                scores={"score": np.zeros(rows)},
                fold=np.zeros(rows, int),
            )
        )

    assert (of(couples) == of([[0, 1], [2, 2], [1, 3]])) is same
    assert of(couples).startswith("sha256:") and len(of(couples)) == 7 + 64


def test_facts_and_closing_sentences_are_added():
    results = Results("verification", {}, [], {}, ["First."], {"scored": ["s"], "pairs": "a"})
    found = run.with_facts(results, {"command": "x", "pairs": "b"}, ["Last."])
    assert found.provenance == {"scored": ["s"], "pairs": "b", "command": "x"}
    assert found.limits == ["First.", "Last."] and results.limits == ["First."]


def test_tables_in_memory_are_files_with_a_name_and_a_hash():
    one, two = (InMemory(pa.table({"a": [k]}), name="ours") for k in (1, 2))
    facts = [run.provenance({"file 1": table}, "", {})["files"]["file 1"] for table in (one, two)]
    assert facts[0]["name"] == "ours" and facts[0]["bytes"] == 8
    assert facts[0]["hash"] != facts[1]["hash"]
    again = run.provenance({"file 1": InMemory(pa.table({"a": [1]}))}, "", {})
    assert again["files"]["file 1"]["hash"] == facts[0]["hash"]


def test_decisions_keep_what_has_a_point_and_lose_what_runs_over_thresholds():
    measures = [
        Measure("fmr", 0.1, "fraction", 9, at="decision"),
        Measure("eer", 0.1, "fraction", 9),
    ]
    arrays = dict.fromkeys(("det", "rates", "histograms", "matrix", "adequacy"), [])
    found = run._without_scores(Results("verification", {"a": 1}, measures, arrays, ["x"], {}))
    assert [m.name for m in found.measures] == ["fmr"]
    assert set(found.arrays) == {"matrix", "adequacy"}
    assert found.protocol == {"a": 1, "threshold_rule": "decisions as they are in the table"}
    assert found.limits[0].startswith("The table holds decisions") and found.limits[1:] == ["x"]


def test_nobodys_numbers_of_people_are_taken_back_everywhere():
    rows = [{"group": "X", "subjects": 4}]
    measures = [Measure("fmr", 0.1, "fraction", 9, n_clusters=4)]
    arrays = {"adequacy": rows, "systems": {"a": {"adequacy": rows, "det": 1}}}
    found = run._of_nobody(Results("verification", {"n_clusters": 4}, measures, arrays, [], {}))
    assert found.protocol["n_clusters"] is found.measures[0].n_clusters is None
    assert found.arrays["adequacy"] == [{"group": "X", "subjects": None}]
    assert found.arrays["systems"]["a"] == {"adequacy": found.arrays["adequacy"], "det": 1}
    assert rows == [{"group": "X", "subjects": 4}]
    alone = run._of_nobody(Results("verification", {}, measures, {"adequacy": rows}, [], {}))
    assert "systems" not in alone.arrays


@pytest.mark.parametrize(("pairs", "resampled"), [(100, True), (102, False)])
def test_nameless_pairs_are_resampled_up_to_a_number(monkeypatch, pairs, resampled):
    monkeypatch.setattr(run, "MOST_NAMELESS", 100)
    found = run.measure(nameless(pairs), run.Settings(fmrs=[0.2], resamples=9))
    assert ("resamples" in found.protocol) is resampled


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"protocol": "lfw"}, {}),
        ({"tolerances": {"fmr_gini": 0.1}}, {}),
        ({}, {"calibration": nameless(50), "calibration_source": "c.csv"}),
    ],
)
def test_many_nameless_pairs_take_no_more_than_rates(monkeypatch, settings, more):
    monkeypatch.setattr(run, "MOST_NAMELESS", 100)
    with pytest.raises(
        InputError, match=r"^400 pairs do not say who is on them; above 100 such pai"
    ):
        run.measure(nameless(400), run.Settings(fmrs=[0.1], **settings), **more)


def test_limits_come_in_order_from_pairs_calibration_and_settings():
    loaded = replace(named(), notes=("Pairs.",))
    calibration = replace(named(), notes=("Other.",))
    settings = run.Settings(thresholds=[0.3], limits=["Set."])
    assert run._limits(loaded, settings, "Left out.", calibration, "c.csv") == [
        "Pairs.",
        "Left out.",
        "c.csv: Other.",
        "Set.",
    ]
    (odd,) = run._limits(named(), run.Settings(thresholds=[0.9]), "", None, "")
    assert odd.startswith("--threshold 0.9 rejects ")
    decided = replace(named(), decided=True)
    assert run._limits(decided, run.Settings(thresholds=[0.9]), "", None, "") == []
