"""The studies that docs/results keeps can be read, written again and compared with a new run."""

from pathlib import Path

import pytest

from fairjax.cli import main

RESULTS = Path(__file__).parents[2] / "docs" / "results"
STORED = sorted(path.parent for path in RESULTS.glob("*/study.json"))


def test_there_are_some():
    assert STORED


@pytest.mark.parametrize("folder", STORED, ids=lambda path: path.name)
def test_a_page_is_what_its_folder_says_and_a_run_can_be_checked_against_it(folder, tmp_path):
    again = tmp_path / f"{folder.name}.md"
    assert main(["study", "page", str(folder), "--out", str(again)]) == 0
    assert again.read_text() == (RESULTS / again.name).read_text()
    for name in ("study.json", "curves.json"):
        assert (again.with_suffix("") / name).read_text() == (folder / name).read_text()
    assert main(["study", "check", str(again.with_suffix("")), str(folder)]) == 0
