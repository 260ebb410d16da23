import pytest

from fairjax.audit import demo, run, streaming, tables
from fairjax.audit.layout import Asked
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.tables import InputError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "pairs.csv"
    demo.write_comparisons(path, demo.GAP, seed=0)
    return path


SETTINGS = run.Settings(fmrs=[1e-2, 1e-7], thresholds=[0.3], resamples=2)


def test_a_stream_gives_the_rates_of_the_whole(table, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 1 << 20)  # many batches
    streamed = streaming.measure(table, Asked(), SETTINGS)["group"]
    whole = run.measure(load_comparisons(table, Asked())["group"], SETTINGS)
    at = "threshold 0.3"
    for rate in ("fmr", "fnmr", "tmr"):
        for group in [{}, {"group": "jade"}, {"group": "amber"}]:
            for point in (at, "FMR 1e-2"):
                a = streamed.get(rate, at=point, **group)
                b = whole.get(rate, at=point, **group)
                assert (a.value, a.n, a.n_errors, a.threshold, a.n_clusters) == (
                    b.value,
                    b.n,
                    b.n_errors,
                    b.threshold,
                    b.n_clusters,
                ), (rate, group)
            assert streamed.get(rate, at=at, **group).interval == pytest.approx(
                whole.get(rate, at=at, **group).interval
            )
    cell = {"group": "amber", "other_group": "jade"}
    assert streamed.get("fmr", at=at, **cell).value == whole.get("fmr", at=at, **cell).value
    a, b = (r.get("fmr_gini", across="group", at=at).value for r in (streamed, whole))
    assert a == pytest.approx(b)
    assert streamed.get("fmr", at="FMR 1e-7").value is None
    assert "insufficient data" in streamed.get("fmr", at="FMR 1e-7").note


def test_a_stream_refuses_what_it_cannot_give(table):
    with pytest.raises(InputError, match="no --tolerance"):
        streaming.measure(table, Asked(), run.Settings(tolerances={"fmr_gini": 0.1}))


TEXT = "subject1,subject2,group1,group2,score\na,a,X,X,0.9\nb,b,Y,Y,0.8\na,c,X,X,0.1\nb,c,Y,X,0.2\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("b,c,Y,X", "b,c,X,X", "data row 4: 'b' is in 'X' here and in 'Y' elsewhere"),
        ("0.9", "-9", "mated pairs score lower than non-mated ones"),
        ("Y", "X", "needs two groups and both kinds of pairs; it has 1"),
        ("score", "same,score", "Expected 6 columns, got 5"),
    ],
)
def test_a_stream_is_checked_as_the_whole_is(tmp_path, old, new, words):
    path = tmp_path / "pairs.csv"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError, match=words):
        streaming.measure(path, Asked(), SETTINGS)


def test_a_stream_needs_people_and_marks_that_agree_with_them(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("same,group,score\n1,X,0.9\n0,Y,0.1\n")
    with pytest.raises(InputError, match="needs to know who is on each side"):
        streaming.measure(path, Asked(), SETTINGS)
    path.write_text("same,subject1,subject2,group,score\n1,a,a,X,0.9\n1,a,b,Y,0.1\n")
    with pytest.raises(InputError, match="data row 2: marked mated, but its people say otherwise"):
        streaming.measure(path, Asked(), SETTINGS)
