"""Words in a table of pairs as numbers: failures, decisions, and whether a pair is mated."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fairjax.audit import table_files
from fairjax.audit.layout import TableOptions
from fairjax.audit.pair_values import (
    check_decisions,
    decisions_as_scores,
    is_mated,
    without_failures,
)
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError

PATH = Path("t.csv")


def decided(*words, start=1, **options):
    options = TableOptions(**{"decision": "verdict", "accept": ["Match"], **options})
    return decisions_as_scores(pa.array(words), start, PATH, options).tolist()


def test_scores_that_stand_for_a_failure_are_none():
    score = np.array([0.5, -1.0, 0.0, -7.0])
    assert without_failures(score, TableOptions()) is score
    kept = without_failures(score, TableOptions(failure_scores=[-1, "error", -7.0]))
    np.testing.assert_array_equal(kept, [0.5, np.nan, 0.0, np.nan])


def test_decisions_are_ones_and_zeros():
    assert decided("match", "no", "MATCH", "no") == [1.0, 0.0, 1.0, 0.0]
    assert decided("match", "sure", "no", accept=["match", "sure"]) == [1.0, 1.0, 0.0]
    assert decided("match", "match") == [1.0, 1.0]


def test_a_missing_decision_is_a_failure_where_failures_are_counted():
    kept = decided("match", "", "no", "nan", failures=True)
    np.testing.assert_array_equal(kept, [1.0, np.nan, 0.0, np.nan])
    with pytest.raises(InputError, match="t.csv, data row 12: verdict is empty; --failures counts"):
        decided("match", "", "no", start=11)
    assert decided("None", "match", accept=["none"]) == [1.0, 0.0]  # a word that accepts


@pytest.mark.parametrize(
    ("words", "accept", "message"),
    [
        (["yes", "no"], ["match"], "--accept says which words in verdict accept a pair; it holds"),
        (["match", "no"], [], "it holds 'match', 'no'"),
        (["match", "no", "perhaps"], ["match"], "name all that accept with --accept, one word is"),
        (["Match", "match", "no", "may"], ["match"], "holds 'match', 'may', 'no'; name all that"),
    ],
)
def test_decisions_that_are_not_two_are_refused(words, accept, message):
    with pytest.raises(InputError, match=message):
        check_decisions(words, PATH, TableOptions(decision="verdict", accept=accept))


def test_some_rows_may_hold_one_of_the_two_words(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 4096)
    rows = [f"p{k},{'pq'[k % 2]}{k},{'ab'[k // 2 % 2]}" for k in range(600)]
    text = [f"{row},{word}\n" for word, k in (("no", 1), ("Match", 0)) for row in rows[k::2]]
    path = tmp_path / "sorted.csv"  # hundreds of rows of one word, then as many of the other
    path.write_text("subject1,subject2,group,verdict\n" + "".join(text))
    options = TableOptions(decision="verdict", accept=["match"])
    loaded = load_comparisons(path, options)["group"]
    np.testing.assert_array_equal(loaded.scores["verdict"], np.repeat([0.0, 1.0], 300))
    path.write_text(path.read_text() + "p1,q2,a,perhaps\n")
    with pytest.raises(InputError, match="one word is left for those that do not"):
        load_comparisons(path, options)


@pytest.mark.parametrize(
    ("word", "mated"),
    [
        *[(word, True) for word in ("1", "1.0", "True", "yes", "same", "MATED", "genuine", " 1 ")],
        *[(word, False) for word in ("0", "0.0", "false", "no", "non-mated", "Impostor")],
    ],
)
def test_words_for_one_person_and_for_two(word, mated):
    assert is_mated(pa.array([word]), 1, PATH, "same").tolist() == [mated]


@pytest.mark.parametrize("word", ["2", "", "maybe"])
def test_another_word_is_refused_with_its_row(word):
    with pytest.raises(InputError, match=f"t.csv, data row 7: same is '{word}'; expected 1 or 0"):
        is_mated(pa.array(["1", "0", word]), 5, PATH, "same")
