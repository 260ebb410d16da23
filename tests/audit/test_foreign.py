"""Files of bob.bio, NIST's drivers, DeepFace and FHIBE's evaluation, as these tools write them."""

import json

import numpy as np
import pytest

from fairjax import cli
from fairjax.audit.api import audit
from fairjax.audit.foreign import adopt, candidates_of, release_of
from fairjax.audit.tables import InMemory, InputError
from fairjax.core.results import load_results

PEOPLE = 24
GROUPS = "\n".join(["subject,race", *(f"p{p},{'xy'[p % 2]}" for p in range(PEOPLE))])
ROOT = "/home/me/fhibe.20250708.m.k_2vTAkV_downsampled_public/data/raw/fhibe_downsampled"


def lines(columns):
    """Each person's model against two probes of everybody, between blanks."""
    rng = np.random.default_rng(0)
    rows = ["# claimed_id ... score"]
    for a in range(PEOPLE):
        for b in range(PEOPLE):
            for k in (1, 2):
                score = rng.normal(0.6 if a == b else 0.0, 0.15)
                model = [f"m/p{a}"] if columns == 5 else []
                rows.append(" ".join([f"p{a}", *model, f"p{b}", f"s/p{b}_{k}", f"{score:.4f}"]))
    return rows


@pytest.mark.parametrize(("columns", "name"), [(4, "scores-dev"), (5, "scores-eval.txt")])
def test_score_files_of_bob_are_audited_as_they_are(tmp_path, columns, name, capsys):
    path, groups = tmp_path / name, tmp_path / "people.csv"
    path.write_text("\n".join(lines(columns)) + "\n")
    groups.write_text(GROUPS)
    table = adopt(path)
    assert isinstance(table, InMemory) and table.table.num_rows == PEOPLE * PEOPLE * 2
    row = table.table.slice(2, 1).to_pylist()[0]
    assert (row["subject1"], row["subject2"], row["image2"]) == ("p0", "p1", "s/p1_1")
    assert row["image1"] == ("m/p0" if columns == 5 else "model of p0")
    line = ["audit", str(path), "--groups", str(groups), "--by", "race", "--fmr", "1e-1"]
    other = tmp_path / "scores-other"
    other.write_text(path.read_text())
    assert cli.main([*line, "--bootstrap", "5", "--calibrate-on", str(other)]) == 0
    assert "False matches" in capsys.readouterr().out


def test_score_files_of_bob_are_parts_of_a_merge_too(tmp_path):
    half = len(lines(4)) // 2
    (tmp_path / "people.csv").write_text(GROUPS)
    line = ["--groups", str(tmp_path / "people.csv"), "--by", "race", "--fmr", "1e-1"]
    for name, rows in (("scores-1", lines(4)[:half]), ("scores-2", lines(4)[half:])):
        (tmp_path / name).write_text("\n".join(rows))
        made = ["audit", str(tmp_path / name), "--partial", "--out", str(tmp_path / f"{name}-made")]
        assert cli.main([*made, *line]) == 0
    folders = [str(tmp_path / f"scores-{k}-made") for k in (1, 2)]
    out = tmp_path / "audit"
    assert cli.main(["audit", "--merge", *folders, "--out", str(out)]) == 0
    assert load_results(out / "results.json").protocol["n"] == PEOPLE * PEOPLE * 2


def test_a_score_that_is_nan_counts_as_a_failure(tmp_path, capsys):
    rows = lines(4)
    rows[5] = rows[5].rpartition(" ")[0] + " nan"
    (tmp_path / "scores-dev").write_text("\n".join(rows))
    (tmp_path / "people.csv").write_text(GROUPS)
    line = ["audit", str(tmp_path / "scores-dev"), "--groups", str(tmp_path / "people.csv")]
    line += ["--by", "race", "--fmr", "1e-1", "--bootstrap", "5"]
    assert cli.main([*line, "--failures"]) == 0
    assert "1 of 1,152 pairs have no score" in capsys.readouterr().out


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "scores-dev").write_text("a b c 0.5\na b 0.5\n")
    with pytest.raises(InputError, match="line 2: expected 4 fields"):
        adopt(tmp_path / "scores-dev")


def test_text_that_is_not_utf8_is_refused_in_one_line(tmp_path):
    (tmp_path / "scores-dev").write_bytes(b"a b c 0.5\n\xe9 b c 0.5\n")
    with pytest.raises(InputError, match="not UTF-8"):
        adopt(tmp_path / "scores-dev")


MATCHES = """enrollTempl verifTempl simScore returnCode
a_0.template b_1.template 0.25 0
enrollTempl verifTempl simScore returnCode
a_0.template a_1.template -1 2
"""


def test_match_lists_of_nists_driver_name_images_and_their_failures(tmp_path):
    path = tmp_path / "match.log.0"
    path.write_text(MATCHES)
    table = adopt(path)
    assert isinstance(table, InMemory)
    assert table.table.to_pylist() == [
        {"image1": "a_0", "image2": "b_1", "score": 0.25},
        {"image1": "a_0", "image2": "a_1", "score": None},  # its return code says that it failed
    ]
    path.write_text(MATCHES.replace("simScore", "returnCode", 1))
    assert adopt(path) == path  # another order of the columns is another format


def test_two_images_and_a_score_are_a_match_list(tmp_path):
    path = tmp_path / "match.txt"
    path.write_text("a_0 b_1 0.25\na_0 a_1 0.75\n")
    table = adopt(path)
    assert isinstance(table, InMemory)
    assert table.table.column_names == ["image1", "image2", "score"]
    assert table.table["score"].to_pylist() == [0.25, 0.75]


def test_labels_behind_two_images_are_no_scores(tmp_path):
    (tmp_path / "pairs.txt").write_text("a_0 b_1 0\na_0 a_1 1\n")
    with pytest.raises(InputError, match="only 0 and 1, which are labels"):
        adopt(tmp_path / "pairs.txt")


CANDIDATES = """searchId candidateRank searchRetCode isAssigned templateId score decision
p_1 0 0 1 p_0 0.9 1
p_1 1 0 1 q_0 0.2 1
q_1 0 4 0  0 0
q_1 1 4 0  0 0
r_1 0 0 1 q_0 0.4 0
r_1 1 0 0  0 0
"""


def test_candidate_lists_of_nists_driver_keep_a_row_of_searches_that_failed(tmp_path):
    path = tmp_path / "search.0"
    path.write_text(CANDIDATES)
    table = candidates_of(path)
    assert isinstance(table, InMemory)
    assert [tuple(row.values()) for row in table.table.to_pylist()] == [
        ("p_1", "p_0", 0.9, "0"),
        ("p_1", "q_0", 0.2, "0"),
        ("q_1", "", None, "1"),
        ("r_1", "q_0", 0.4, "0"),
    ]


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (adopt, MATCHES.replace(" 0.25 0", " 0.25"), "line 2: expected 4 fields between blanks"),
        (adopt, MATCHES.replace("0.25", "high"), "line 2: simScore is 'high'"),
        (candidates_of, CANDIDATES.replace(" 0.2 1", ""), "line 3: expected 7 fields"),
        (candidates_of, CANDIDATES.replace("p_0 0.9 1", "p_0 0.9"), "line 2: expected 7 fields"),
        (candidates_of, CANDIDATES.replace("0.9", "high"), "line 2: score is 'high'"),
        (candidates_of, CANDIDATES.replace("0.9", "nan"), "line 2: score is 'nan'"),
    ],
)
def test_a_damaged_line_of_nists_driver_is_named(tmp_path, read, text, said):
    (tmp_path / "log").write_text(text)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "log")


def test_a_json_list_of_pairs_is_a_table_of_its_plain_values(tmp_path):
    path = tmp_path / "pairs.json"
    pair = {"img1_path": "a", "img2_path": "b", "distance": 0.4, "facial_areas": {"img1": {}}}
    path.write_text(json.dumps([pair, {"distance": 0.5}]))
    table = adopt(path)
    assert isinstance(table, InMemory)
    assert table.table.to_pylist() == [
        {"img1_path": "a", "img2_path": "b", "distance": 0.4},
        {"img1_path": None, "img2_path": None, "distance": 0.5},
    ]
    for text in ('"x"', "true", str(1 << 70)):
        path.write_text(f'[{{"distance": {text}}}, {{"distance": 0.5}}]')
        with pytest.raises(InputError, match="'distance' mixes kinds of values"):
            adopt(path)


def outputs(vectors):
    return {
        f"{ROOT}/s{p}/i{k}/faces_crop_and_align_i{k}_s{p}.png": {"detections": vector}
        for (p, k), vector in vectors.items()
    }


def faces(people=16):
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(people, 12))
    return {
        (p, k): (centre[p] + 0.5 * rng.normal(size=12)).round(4).tolist()
        for p in range(people)
        for k in range(4)
    }


def test_outputs_of_fhibe_are_embeddings_with_people_and_their_release(tmp_path):
    path = tmp_path / "model_outputs.json"
    path.write_text(json.dumps(outputs(faces())))
    assert release_of(path) == "fhibe.20250708.m.k_2vTAkV_downsampled_public"
    people = {
        "subject_id": [f"s{p}" for p in range(16)],
        "ancestry": ["['Africa']" if p % 2 else "['Asia']" for p in range(16)],
    }
    shared = dict(sensitive_features="ancestry", all_pairs=True, fmr=1e-1, n_boot=5)
    results = audit(path, groups=people, **shared).results
    assert results.provenance["stated"]["release"] == release_of(path)
    assert {m.n for m in results.measures if m.name == "fnmr" and not m.group} == {16 * 6}
    table = {
        "filepath": [name[name.index("data/raw") :] for name in outputs(faces())],
        "subject_id": [f"s{p}" for p, _ in faces()],
        "ancestry": ["['Africa']" if p % 2 else "['Asia']" for p, _ in faces()],
    }
    by_file = audit(path, groups=table, **shared).results
    assert [m.value for m in by_file.measures] == [m.value for m in results.measures]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not whole JSON"),
        ("[]", "expected the outputs of FHIBE"),
        ('{"a": {"detections": null}, "b": {"detections": [1]}}', "1 image of 2 without"),
        ('{"a": {"detections": [1, 2]}, "b": {"detections": [1]}}', "differ in length"),
    ],
)
def test_damaged_outputs_are_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=said):
        adopt(tmp_path / "x.json")


def test_other_files_stay_as_they_are(tmp_path):
    for name, text in (("a.csv", "a b c 0.5\n"), ("b.txt", "image1,image2,score\n"), ("c", "")):
        (tmp_path / name).write_text(text)
        assert adopt(tmp_path / name) == tmp_path / name
    assert adopt(tmp_path / "missing") == tmp_path / "missing"
