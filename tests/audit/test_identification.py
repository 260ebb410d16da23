"""1:N identification from embeddings and from candidate lists."""

import re

import numpy as np
import pytest

from fairjax.audit import galleries, identification
from fairjax.audit.people import load_people
from fairjax.core.errors import UserError


def save(path, *, people=80, images=3, dim=12, shift=3.0):
    rng = np.random.default_rng(0)
    group = np.arange(people) % 2
    centre = rng.normal(size=(people, dim))
    centre[group == 1, 0] += shift
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    embedding = centre[:, None] + 0.12 * rng.normal(size=(people, images, dim))
    person = np.repeat(np.arange(people), images)
    np.savez(
        path,
        embedding=embedding.reshape(-1, dim),
        id=np.array([f"i{k:03d}" for k in range(len(person))]),
        subject=np.array([f"s{k:03d}" for k in person]),
        race=np.array(["amber", "jade"])[group[person]],
    )
    return path


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = save(tmp_path_factory.mktemp("faces") / "faces.npz")
    return galleries.from_embeddings(
        path, "race", people=None, sizes=(10, 40), unenrolled=0.5, seed=0
    )


def test_people_are_enrolled_or_left_out_and_galleries_are_nested(loaded):
    small, large = (g.searches for g in loaded.galleries)
    assert [g.size for g in loaded.galleries] == [10, 40]
    assert (~small.mated).sum() == (~large.mated).sum() == 40 * 3
    assert small.mated.sum() == 10 * 2 and large.mated.sum() == 40 * 2
    members = set(small.person[small.mated].tolist())
    assert members < set(large.person[large.mated].tolist())
    assert not members & set(small.person[~small.mated].tolist())
    assert sorted(np.bincount(small.group[small.mated])) == [10, 10]  # groups in equal parts
    np.testing.assert_array_less(small.top[~small.mated], large.top[~large.mated] + 1e-12)


def test_a_group_that_is_alike_has_more_false_positives_and_it_is_shown(loaded):
    found = identification.measure(loaded, fpirs=(0.2,), rank=3, level=0.95, seed=0)
    at = "N 40, FPIR 0.2"
    amber, jade = (found.results.get("fpir", at=at, race=g) for g in ("amber", "jade"))
    searches = loaded.galleries[1].searches
    threshold = searches.threshold(0.2)
    own = ~searches.mated & (searches.group == 1)
    assert jade.value == np.mean(searches.top[own] >= threshold)
    assert jade.value > amber.value and jade.interval[0] <= jade.value <= jade.interval[1]
    assert "false alarms" in found.answer
    p = found.results.get("fpir_equality_p_value", across="race", at=at)
    holm = found.results.get("fpir_equality_p_value_holm", across="race", at=at)
    assert p.value <= holm.value <= 0.05
    ranks = [found.results.get("fnir", at=f"N 40, rank {r}").value for r in (1, 3)]
    assert ranks[0] >= ranks[1]
    assert [table.title for table in found.tables][:2] == [
        "Identification by group",
        "Are the groups alike?",
    ]


def test_targets_that_searches_do_not_resolve_are_said(loaded):
    found = identification.measure(loaded, fpirs=(0.001,), rank=1, level=0.95, seed=0)
    assert any("1,000 are needed" in limit for limit in found.results.limits)
    assert found.results.find("fpir", at="N 40, FPIR 0.001") is None


LIST = """probe,probe_subject,candidate_subject,score,group,enrolled,seconds,failed
p1,ann,ann,0.9,a,1,0.5,0
p1,ann,bea,0.4,a,1,0.5,0
p2,bea,ann,0.7,a,1,0.7,0
p2,bea,bea,0.6,a,1,0.7,0
p3,cyd,dot,0.8,b,1,0.2,0
p4,eve,ann,0.5,b,0,0.9,0
p5,fay,,,b,0,,1
"""


def write(tmp_path, text=LIST):
    path = tmp_path / "list.csv"
    path.write_text(text)
    return path


def test_candidate_lists_by_hand(tmp_path):
    loaded = galleries.from_candidates(write(tmp_path), "group", columns={}, gallery=None)
    (gallery,) = loaded.galleries
    s = gallery.searches
    assert s.mated.tolist() == [True, True, True, False, False]
    np.testing.assert_array_equal(s.top, [0.9, 0.7, 0.8, 0.5, -np.inf])
    assert s.rank[:2].tolist() == [1, 2] and s.rank[2] > 1000
    found = identification.measure(loaded, fpirs=(0.5,), rank=2, level=0.95, seed=0)
    assert found.results.get("fnir", at="candidate lists, rank 1").n_errors == 2
    assert found.results.get("fnir", at="candidate lists, rank 2").n_errors == 1
    fpir = found.results.get("fpir", at="candidate lists, FPIR 0.5")
    assert (fpir.n_errors, fpir.n, fpir.threshold) == (1, 2, 0.5)
    assert found.results.get("fta", at="candidate lists", group="b").n_errors == 1
    assert found.results.get("seconds_median", at="candidate lists").value == 0.5
    assert found.results.get("seconds_p95", at="candidate lists", group="a").value == 0.7
    assert found.tables[-1].title == "Failures and times"


def test_a_table_of_images_says_who_is_on_probes_and_candidates(tmp_path):
    whole = galleries.from_candidates(write(tmp_path), "group", columns={}, gallery=None)
    header, *rows = [line.split(",") for line in LIST.split()]
    people, lines = {}, [["probe", "candidate_image", "score", "enrolled"]]
    for row in rows:
        of = dict(zip(header, row, strict=True))
        people[of["probe"]] = (of["probe_subject"], of["group"])
        candidate = of["candidate_subject"] and f"of_{of['candidate_subject']}"
        people.setdefault(candidate, (of["candidate_subject"], "a"))
        lines.append([of["probe"], candidate, of["score"], of["enrolled"]])
    (tmp_path / "images.csv").write_text(
        "\n".join(["image,subject,group", *(f"{k},{','.join(v)}" for k, v in people.items() if k)])
    )
    path = write(tmp_path, "\n".join(",".join(line) for line in lines))
    settings = dict(columns={}, gallery=None, people=load_people(tmp_path / "images.csv"))
    (found,), (wanted,) = (
        galleries.from_candidates(path, "group", **settings).galleries,
        whole.galleries,
    )
    for name in ("person", "group", "mated", "top", "found", "rank"):
        np.testing.assert_array_equal(
            getattr(found.searches, name), getattr(wanted.searches, name), name
        )
    path.write_text(path.read_text().replace("of_bea", "of_eve"))
    with pytest.raises(UserError, match="lacks 1 image, such as 'of_eve'"):
        galleries.from_candidates(path, "group", **settings)


def test_where_no_search_finds_anybody_every_candidate_is_accepted(tmp_path):
    text = LIST.replace("p4,eve,ann,0.5,b", "p4,eve,,,b")
    loaded = galleries.from_candidates(write(tmp_path, text), "group", columns={}, gallery=None)
    found = identification.measure(loaded, fpirs=(0.5,), rank=1, level=0.95, seed=0)
    fpir = found.results.get("fpir", at="candidate lists, FPIR 0.5")
    assert (fpir.n_errors, fpir.n, fpir.threshold) == (0, 2, None)
    assert "every candidate is accepted" in " ".join(found.results.limits)
    assert all("E+" not in cell and len(cell) < 60 for row in found.tables[0].rows for cell in row)


def test_groups_of_the_list_go_before_those_of_a_table_whose_people_must_all_be_there(tmp_path):
    rows = "subject,group,race\n" + "".join(
        f"{who},{'ba'[k % 2]},{'xy'[k % 2]}\n"
        for k, who in enumerate(("ann", "bea", "cyd", "eve", "fay"))
    )
    (tmp_path / "people.csv").write_text(rows)
    people = load_people(tmp_path / "people.csv")
    settings = dict(columns={}, gallery=None, people=people)
    path = write(tmp_path)
    by_list = galleries.from_candidates(path, "group", **settings).galleries[0].searches
    assert by_list.group.tolist() == [0, 0, 1, 1, 1]
    by_table = galleries.from_candidates(path, "race", **settings).galleries[0].searches
    assert by_table.group.tolist() == [0, 1, 0, 1, 0]

    (tmp_path / "people.csv").write_text(rows.replace("cyd,b,x", "cyd,b,"))
    blank = dict(settings, people=load_people(tmp_path / "people.csv"))
    loaded = galleries.from_candidates(path, "race", **blank)
    assert "1 search of unknown race: counted for everyone alone." in loaded.notes
    assert loaded.galleries[0].searches.group.tolist() == [0, 1, -1, 1, 0]

    (tmp_path / "people.csv").write_text(rows.replace("cyd,b,x\n", ""))
    absent = dict(settings, people=load_people(tmp_path / "people.csv"))
    with pytest.raises(UserError, match="lacks 1 subject, such as 'cyd'"):
        galleries.from_candidates(path, "race", **absent)


def test_distances_are_no_scores(tmp_path):
    header, *rows = LIST.splitlines()
    lines = [header]
    for k, row in enumerate(rows * 5):
        fields = row.replace(row[:2], f"p{k}", 1).split(",")
        fields[3] = fields[3] and f"{1 - float(fields[3]):.1f}"
        lines.append(",".join(fields))
    path = write(tmp_path, "\n".join(lines).replace("0.5,0\n", "0.5,0\n"))
    with pytest.raises(UserError, match=r"lower \(median 0.25\) .* are these distances"):
        galleries.from_candidates(path, "group", columns={}, gallery=None)


def test_the_enrolled_stand_in_a_customary_column_and_are_found_among_the_candidates(tmp_path):
    (tmp_path / "enrolled.csv").write_text("no,Subject\n1,ann\n2,bea\n3,cyd\n4,dot\n")
    settings = dict(columns={}, gallery=tmp_path / "enrolled.csv")
    loaded = galleries.from_candidates(write(tmp_path), "group", **settings)
    assert loaded.galleries[0].searches.mated.tolist() == [True, True, True, False, False]
    (tmp_path / "enrolled.csv").write_text("no,PersonID\n1,ann\n2,bea\n3,cyd\n4,dot\n")
    with pytest.raises(UserError, match="nobody in the column 'no' of .* is among the candidates"):
        galleries.from_candidates(write(tmp_path), "group", **settings)


def test_a_table_of_the_enrolled_and_several_galleries(tmp_path):
    text = LIST.replace("enrolled", "gallery").replace("a,1,", "a,small,")
    text = text.replace("b,1,", "b,large,").replace("b,0,", "b,large,")
    (tmp_path / "enrolled.csv").write_text(
        "subject,gallery\nann,small\nbea,small\nann,large\ncyd,large\ndot,large\n"
    )
    loaded = galleries.from_candidates(
        write(tmp_path, text), "group", columns={}, gallery=tmp_path / "enrolled.csv"
    )
    assert [(g.name, g.size) for g in loaded.galleries] == [("small", 2), ("large", 3)]
    assert loaded.galleries[1].searches.mated.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("probe_subject", "whom"), "has no column 'probe_subject'"),
        (("enrolled", "other"), "add a column 'enrolled'"),
        (("p2,bea,bea", "p2,cat,bea"), "the probe 'p2' shows two people"),
        (("p1,ann,ann,0.9,a,1", "p1,ann,ann,0.9,a,0"), "is said not to be enrolled"),
        (("a,1,0.5,0", "a,maybe,0.5,0"), "enrolled is 'maybe'"),
        (("p1,ann,ann", "p1,,ann"), "probe_subject is empty"),
        ((",b,", ",a,"), "two groups are needed"),
    ],
)
def test_unfit_lists_are_refused_in_one_line(tmp_path, change, said):
    path = write(tmp_path, LIST.replace(*change))
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        galleries.from_candidates(path, "group", columns={}, gallery=None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(sizes=(1000,)), "40 people can be enrolled"),
        (dict(unenrolled=1.0), "--unenrolled 1 must be"),
        (dict(by="shoe"), "has no 'shoe'; it has"),
    ],
)
def test_impossible_galleries_are_refused(tmp_path, options, said):
    path = save(tmp_path / "faces.npz")
    settings = {"sizes": (), "unenrolled": 0.5, "seed": 0, "people": None, "by": "race", **options}
    by = settings.pop("by")
    with pytest.raises(UserError, match=re.escape(said)):
        galleries.from_embeddings(path, by, **settings)


def test_impossible_targets_are_refused(loaded):
    with pytest.raises(UserError, match="--fpir 2 must be"):
        identification.measure(loaded, fpirs=(2.0,), rank=1, level=0.95, seed=0)


def test_given_thresholds_are_counted_by_hand_without_any_target(tmp_path):
    loaded = galleries.from_candidates(write(tmp_path), "group", columns={}, gallery=None)
    settings = dict(fpirs=(), rank=1, level=0.95, seed=0)
    results = identification.measure(loaded, thresholds=(0.5, 0.65), **settings).results
    expected = {  # mates at 0.9, 0.6 and on no list; strangers at 0.5 and with nobody
        ("fpir", 0.5): (1, 2),
        ("fnir", 0.5): (1, 3),
        ("fpir", 0.65): (0, 2),
        ("fnir", 0.65): (2, 3),
    }
    for (rate, threshold), counts in expected.items():
        m = results.get(rate, at=f"candidate lists, threshold {threshold}")
        assert ((m.n_errors, m.n), m.threshold) == (counts, threshold)
        assert m.threshold_source == "given"
    b = results.get("fnir", at="candidate lists, threshold 0.65", group="b")
    assert (b.n_errors, b.n) == (1, 1)
    assert results.protocol["threshold_rule"] == "given"
    with pytest.raises(UserError, match="--threshold 40 lies outside the scores of candidate"):
        identification.measure(loaded, thresholds=(40.0,), **settings)


def test_distances_give_the_rates_of_their_scores_and_thresholds_in_their_own_unit(tmp_path):
    settings = dict(fpirs=(0.5,), rank=1, level=0.95, seed=0)
    path = write(tmp_path)
    scores = galleries.from_candidates(path, "group", columns={}, gallery=None)
    header, *rows = [line.split(",") for line in LIST.splitlines()]
    for row in rows:
        row[3] = row[3] and f"{1 - float(row[3]):.1f}"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]))
    turned = galleries.from_candidates(path, "group", columns={}, gallery=None, distance=True)
    by_score = identification.measure(scores, thresholds=(0.6,), **settings).results
    by_distance = identification.measure(turned, thresholds=(0.4,), **settings).results
    assert by_distance.protocol["distances"] == [""]
    points = [("threshold 0.6", "threshold 0.4", 0.4), ("FPIR 0.5", "FPIR 0.5", 0.5)]
    for at, twin, threshold in points:
        for rate in ("fpir", "fnir"):
            one = by_score.get(rate, at=f"candidate lists, {at}")
            other = by_distance.get(rate, at=f"candidate lists, {twin}")
            assert (one.n_errors, one.n, one.interval) == (other.n_errors, other.n, other.interval)
            assert other.threshold == pytest.approx(threshold) and "distance" in other.rule
    thresholds = by_distance.arrays["trade_off"]["candidate lists"]["threshold"]
    assert thresholds == [0.5, 0.4, 0.1]


def test_the_trade_off_of_a_group_is_its_rates_at_each_threshold(loaded):
    searches = loaded.galleries[1].searches
    found = identification.measure(loaded, fpirs=(0.2,), rank=1, level=0.95, seed=0)
    curves = found.results.arrays["trade_off"]["N 40"]
    jade = searches.take(searches.group == 1)
    for k in (0, 50, 150):
        threshold = curves["threshold"][k]
        assert curves["groups"]["jade"]["fpir"][k] == jade.fpir(threshold).rate
        assert curves["groups"]["jade"]["fnir"][k] == jade.fnir(threshold).rate
