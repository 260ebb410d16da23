"""Before and after: the same pairs scored twice."""

import re
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import paired
from fairjax.audit.layout import TableOptions
from fairjax.audit.phantom_scores import Planted, Size, draw
from fairjax.audit.run import Settings, measure
from fairjax.audit.tables import InputError

SIZE = Size(people=40, images=4, nonmated=1500, across=100)


def write(path, pairs, image, score, order=None, names=True):
    rows = []
    for k in range(len(score)):
        (a, b), (i, j), (g, h) = pairs.subject[k], image[k], pairs.group[k]
        images = f"p{a}_{i},p{b}_{j}," if names else ""
        rows.append(f"{images}p{a},p{b},{pairs.groups[g]},{pairs.groups[h]},{score[k]:.6f}")
    header = ("image1,image2," if names else "") + "subject1,subject2,group1,group2,score"
    order = range(len(rows)) if order is None else order
    path.write_text("\n".join([header, *(rows[k] for k in order)]) + "\n")


@pytest.fixture(scope="module")
def phantom():
    return draw(Planted(fmr_ratio=4.0), seed=0, size=SIZE)


@pytest.fixture(scope="module")
def both(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paired")
    pairs = phantom.comparisons
    files = [folder / "before.csv", folder / "after.csv"]
    write(files[0], pairs, phantom.image, pairs.score)
    moved = pairs.score - 0.1 * (pairs.group == 2).all(axis=1)
    order = np.random.default_rng(0).permutation(len(moved))
    write(files[1], pairs, phantom.image, moved, order=order)
    return files, moved


def test_the_second_tables_rows_may_come_in_any_order(phantom, both):
    files, moved = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    assert list(loaded.scores) == ["before", "after"]
    np.testing.assert_allclose(loaded.scores["before"], phantom.comparisons.score, atol=1e-6)
    np.testing.assert_allclose(loaded.scores["after"], moved, atol=1e-6)


def test_a_change_of_one_group_is_shown_and_no_other(both):
    files, _ = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    settings = Settings(fmrs=(), thresholds=(0.28,), resamples=300, paired=True)
    results = measure(loaded, settings)
    table = paired.table(results)
    rows = {(row[1], row[2]): row for row in table.rows}
    assert rows["FNMR", "jade"][-1] == "higher" and float(rows["FMR", "jade"][6]) < 0.05
    assert rows["FMR", "amber"][-1] == "not shown"
    assert float(rows["FMR", "amber"][6]) == 1  # nothing changed at all
    assert any("FNMR of jade higher" in sentence for sentence in paired.sentences(results))
    p = results.get(
        "fnmr_change_p_value", at="threshold 0.28", system="after minus before", group="jade"
    )
    change = results.get(
        "fnmr_change", at="threshold 0.28", system="after minus before", group="jade"
    )
    assert 0 < p.value < 1e-3 and change.interval[0] > 0
    holm = results.get(
        "fnmr_change_p_value_holm", at="threshold 0.28", system="after minus before", group="jade"
    )
    assert holm.value == pytest.approx(7 * p.value, rel=0.5) and "Holm" in holm.rule


def test_without_paired_no_change_is_tested(both):
    files, _ = both
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    results = measure(loaded, Settings(fmrs=(), thresholds=(0.28,), resamples=50))
    assert not paired.table(results).rows and not paired.sentences(results)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("amber", "umber"), "have different groups"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "must list the same pairs"),
        (lambda text: text.replace("p1_0", "p1_9"), "is in the first alone"),
        (lambda text: text.replace("p0,p0,", "q0,q0,"), "disagree about people"),
    ],
)
def test_other_pairs_are_refused(both, tmp_path, change, said):
    files, _ = both
    other = tmp_path / "other.csv"
    other.write_text(change(files[0].read_text()))
    with pytest.raises(InputError, match=re.escape(said)):
        paired.load_both([files[0], other], TableOptions(), people=None)


def test_without_images_rows_are_matched_in_their_order(phantom, tmp_path):
    pairs = phantom.comparisons
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "s.csv", pairs, phantom.image, pairs.score, names=False)
    files = [tmp_path / "a" / "s.csv", tmp_path / "b" / "s.csv"]
    loaded = paired.load_both(files, TableOptions(), people=None)["group"]
    assert list(loaded.scores) == ["before", "after"]
    turned = Path(files[1])
    lines = turned.read_text().splitlines()
    turned.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with pytest.raises(InputError, match="disagree about"):
        paired.load_both(files, TableOptions(), people=None)
