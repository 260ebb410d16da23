"""What the first screen says of 1:N searches."""

from fairjax.core.results import Measure, Results
from fairjax.report.identification import quantities
from fairjax.report.summary import summarise


def rate(name, at, value, *, n=200, threshold=None, **group):
    errors = round(value * n)
    source = quantities.FOUND_HERE if threshold else ""
    return Measure(
        name,
        value,
        "fraction",
        n,
        group,
        n_errors=errors,
        n_clusters=50,
        at=at,
        threshold=threshold,
        threshold_source=source,
    )


def equality(name, at, p):
    raw = Measure(f"{name}_equality_p_value", p, "fraction", 400, across="g", at=at)
    holm = Measure(f"{name}_equality_p_value_holm", p, "fraction", 400, across="g", at=at)
    return [raw, holm]


def searched(p_by_rate):
    measures = []
    for gallery in ("N 50", "N 500"):
        for name, point in (
            ("fnir", "rank 1"),
            ("fpir", "FPIR 0.1"),
            ("fnir", "FPIR 0.1"),
            ("fnir", "FPIR 0.01"),
        ):
            at, threshold = f"{gallery}, {point}", None if "rank" in point else 0.4
            for value, group in ((0.3, {}), (0.4, {"g": "a"}), (0.2, {"g": "b"})):
                measures.append(rate(name, at, value, threshold=threshold, **group))
            measures += equality(name, at, p_by_rate.get((name, at), 0.9))
    protocol = {"attribute": "g", "groups": ["a", "b"], "galleries": {"N 50": 50, "N 500": 500}}
    return Results("identification", protocol, measures, {}, [], {})


def test_the_first_point_of_the_largest_gallery_is_shown_where_nothing_differs():
    shown = quantities.quantities(searched({}))
    assert [q.measures[0].at for q in shown] == [
        "N 500, FPIR 0.1",
        "N 500, FPIR 0.1",
        "N 500, rank 1",
    ]
    summary = summarise(searched({}))
    assert summary.headline == "Not shown to be unfair."
    assert summary.sentences[0].startswith(
        "False alarms: a people who are not enrolled are taken for somebody 40 times in 100 "
        "searches, b 20."
    )


def test_a_rate_that_differs_anywhere_is_shown_there_and_named_in_the_verdict():
    results = searched({("fnir", "N 500, FPIR 0.01"): 0.01, ("fnir", "N 50, rank 1"): 0.02})
    at = {q.title: q.measures[0].at for q in quantities.quantities(results)}
    assert at["Misses at the threshold"] == "N 500, FPIR 0.01"
    assert at["Misses at rank 1"] == "N 50, rank 1"
    assert summarise(results).headline == (
        "Shown to differ between groups: misses at the threshold and misses at rank 1."
    )


def test_the_scope_counts_the_searches_of_the_largest_gallery():
    assert quantities.scope(searched({})) == (
        "400 searches in 2 groups (g), gallery of 500 people: 200 of people who are enrolled "
        "(mated), 200 of people who are not (non-mated). Searched, too: gallery of 50 people."
    )
