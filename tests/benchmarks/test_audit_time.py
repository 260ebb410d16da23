"""The tables that whole audits are timed on."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "audit_time.py"


@pytest.fixture(scope="module")
def audit_time():
    spec = importlib.util.spec_from_file_location("audit_time", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pairs_are_different_lie_within_groups_and_are_as_many_as_asked(audit_time):
    pairs = audit_time.table(audit_time.Size(3, 20, 4, 200, 0.25))
    columns = {name: np.array(pairs[name].to_pylist()) for name in audit_time.PAIRS}
    assert (columns["group1"] == columns["group2"]).all()
    assert np.unique(columns["group1"], return_counts=True)[1].tolist() == [200, 200, 200]
    mated = columns["subject1"] == columns["subject2"]
    assert mated.sum() == 3 * 50
    both = np.sort(np.stack([columns["image1"], columns["image2"]]), axis=0)
    assert (both[0] != both[1]).all()
    assert len(np.unique(both, axis=1).T) == len(mated)
    for side in "12":
        owners = [name.partition("/")[0] for name in columns[f"image{side}"].tolist()]
        assert owners == columns[f"subject{side}"].tolist()
    assert columns["score"][mated].mean() > columns["score"][~mated].mean() + 0.3


def test_every_case_that_reads_a_table_has_its_size(audit_time):
    reading = {case for case, lines in audit_time.COMMANDS.items() if "TABLE" in sum(lines, [])}
    assert reading == set(audit_time.SIZES)
