from fairjax.core.results import Table
from fairjax.report.accounts import MOST_ROWS, config_lists, manifest_parts, numeric_columns


def test_counts_by_split_and_group_become_one_table_with_splits_side_by_side():
    _, tables = manifest_parts(
        {"counts": {"train": {"race": {"A": 1200, "B": 3}}, "test": {"race": {"A": 4, "B": 5}}}}
    )
    (table,) = tables
    assert table.columns == ["", "train", "test"]
    assert table.rows == [["race: A", "1,200", "4"], ["race: B", "3", "5"]]


def test_a_crosstab_runs_down_its_longer_side():
    _, (table,) = manifest_parts({"n": {r: {"M": 1, "F": 2} for r in "ABC"}})
    assert table.columns == ["", "M", "F"]
    assert table.rows[2] == ["C", "1", "2"]


def test_counts_of_unlike_things_stay_apart():
    _, tables = manifest_parts({"counts": {"race": {"A": 1, "B": 2}, "gender": {"M": 1, "F": 2}}})
    assert [t.title for t in tables] == ["Counts: race", "Counts: gender"]


def test_long_lists_are_cut_and_the_rest_is_counted():
    skipped = [{"file": f"{k}.jpg", "reason": "truncated"} for k in range(MOST_ROWS + 7)]
    (source,), (table,) = manifest_parts({"skipped": skipped, "hash": "abc", "dropped": []})
    assert table.title == f"Skipped ({MOST_ROWS + 7})"
    assert len(table.rows) == MOST_ROWS
    assert table.note == "7 more are in data.json."
    assert source.items == [("hash", "abc"), ("dropped", "none")]


def test_an_empty_manifest_gives_nothing():
    assert manifest_parts({}) == ([], [])


def test_config_sections_are_lists_with_dotted_names():
    run, method = config_lists({"method": {"name": "x", "weights": {"age": 1.0}}, "seed": 0})
    assert run == ("Run", [("seed", "0")])
    assert method == ("Method", [("name", "x"), ("weights.age", "1.0")])


def test_only_columns_of_numbers_are_set_to_the_right():
    rows = [
        ["1", "0.10 [0.08, 0.12]", "12.5%", "8 GPUs were used for this long run", "–"],
        ["2", "6.2 to 6.6", "−3", "none", "1,204"],
    ]
    assert numeric_columns(Table("t", list("abcde"), rows)) == [False, True, True, False, True]
    assert numeric_columns(Table("t", ["a", "b"], [])) == [False, False]
