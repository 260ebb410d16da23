"""What a question beside the audit prints and writes."""

import io

from rich.console import Console

from fairjax.audit.findings import Findings, show, write
from fairjax.core.results import Measure, Results, Table, load_results

ROWS = [[f"row {k}", str(k)] for k in range(5)]


def findings(**changes):
    measures = [Measure("fnir", 0.25, "fraction", 8)]
    results = Results("identification", {"name": "x"}, measures, {}, ["a limit"], {"files": {}})
    settings = dict(
        answer="No [bold]difference[/bold] is shown.",
        sentences=["One reason.", "Another."],
        tables=[Table("Rates", ["what", "n"], ROWS, "A note.")],
        results=results,
        pictures={"curve": lambda: '<svg width="3"><text>x</text></svg>'},
    )
    return Findings(**{**settings, **changes})


def printed(found, **settings):
    out = io.StringIO()
    show(found, Console(file=out, width=100), **settings)
    return out.getvalue()


def test_the_answer_comes_first_then_reasons_tables_and_limits():
    text = printed(findings())
    order = ["No [bold]difference[/bold] is shown.", "One reason.", "Another.", "Rates", "row 4"]
    places = [text.index(words) for words in [*order, "A note.", "Note: a limit"]]
    assert places == sorted(places)  # and markup of the input is printed as it is


def test_sentences_are_not_broken_where_a_log_is_narrow():
    answer, reason = "No difference between groups is shown. " * 5, "One reason after another. " * 6
    lines = printed(findings(answer=answer.strip(), sentences=[reason.strip()])).splitlines()
    assert lines[:2] == [answer.strip(), reason.strip()]


def test_long_tables_are_cut_and_say_how_much_is_missing():
    text = printed(findings(), most_rows=2)
    assert "row 1" in text and "row 2" not in text
    assert "3 more rows: --out DIR writes them all. A note." in " ".join(text.split())
    for most in (0, 5, 6):
        assert "row 4" in printed(findings(), most_rows=most)
        assert "more rows" not in printed(findings(), most_rows=most)


def test_facts_join_the_provenance_of_a_copy():
    before = findings()
    after = before.with_facts({"seed": 3})
    assert after.results.provenance == {"files": {}, "seed": 3}
    assert before.results.provenance == {"files": {}}
    assert after.answer == before.answer


def test_everything_is_written_into_a_new_folder(tmp_path):
    folder = tmp_path / "new" / "folder"
    write(folder, findings())
    assert load_results(folder / "results.json").get("fnir").value == 0.25
    assert (folder / "curve.svg").read_text() == (
        '<svg font-family="sans-serif" width="3"><text>x</text></svg>\n'
    )
    table = next(folder.glob("table-1*.csv")).read_text()
    assert "row 4,4" in table
    assert "fnir" in (folder / "measures.csv").read_text()
